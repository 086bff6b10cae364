package authz

import (
	"strings"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	at := func(text string) time.Time {
		now, err := time.Parse("Mon 2006-01-02 15:04:05", text)
		if err != nil {
			t.Fatal(err)
		}
		return now // in UTC
	}
	tests := []struct {
		window string
		zone   *time.Location
		now    string
		want   bool
	}{
		{"mon-fri 06:00-22:00", time.UTC, "Mon 2026-03-02 06:00:00", true},
		{"mon-fri 06:00-22:00", time.UTC, "Mon 2026-03-02 05:59:59", false},
		{"mon-fri 06:00-22:00", time.UTC, "Fri 2026-03-06 21:59:59", true},
		{"mon-fri 06:00-22:00", time.UTC, "Fri 2026-03-06 22:00:00", false},
		{"mon-fri 06:00-22:00", time.UTC, "Sat 2026-03-07 12:00:00", false},
		{"sat,sun 08:00-12:00", time.UTC, "Sun 2026-03-08 11:00:00", true},
		{"SAT 08:00-24:00", time.UTC, "Sat 2026-03-07 23:59:59", true},
		{"sat 08:00-24:00", time.UTC, "Sun 2026-03-08 00:00:00", false},
		{"fri-mon 08:00-12:00", time.UTC, "Sun 2026-03-08 09:00:00", true},
		{"fri-mon 08:00-12:00", time.UTC, "Tue 2026-03-03 09:00:00", false},
		{"22:00-06:00", time.UTC, "Tue 2026-03-03 23:00:00", true},
		{"22:00-06:00", time.UTC, "Tue 2026-03-03 05:00:00", true},
		{"22:00-06:00", time.UTC, "Tue 2026-03-03 06:00:00", false},
		{"fri 22:00-06:00", time.UTC, "Sat 2026-03-07 05:00:00", true},
		{"fri 22:00-06:00", time.UTC, "Fri 2026-03-06 05:00:00", false},
		{"06:00-22:00", berlin, "Mon 2026-03-02 05:00:00", true},  // six in winter
		{"06:00-22:00", berlin, "Mon 2026-06-01 04:00:00", true},  // and in summer
		{"06:00-22:00", berlin, "Mon 2026-06-01 20:30:00", false}, // half past ten
	}
	for _, tt := range tests {
		w, err := ParseWindow(tt.window, tt.zone)
		if err != nil {
			t.Errorf("%s: %v", tt.window, err)
			continue
		}
		if got := w.Holds(at(tt.now)); got != tt.want || w.String() != tt.window {
			t.Errorf("%s holds at %s: %v", w, tt.now, got)
		}
	}
	if (Window{}).Holds(noon) {
		t.Error("the zero Window holds")
	}
}

func TestParseWindowErrors(t *testing.T) {
	for text, want := range map[string]string{
		"": "no hours", "mon": "no hours", "mon-fri": "no time of day", "mo 06:00-07:00": `no days: "mo"`, "mon- 06:00-07:00": "no days",
		"06:00": "no hours", "6-7": "no time of day", "06:00-25:00": "no time of day", "06:60-07:00": "no time of day",
		"06:00-06:00": "without end", "24:00-06:00": "without end", "mon  06:00-07:00": "no time of day", "06:00-07:00-08:00": "no time of day",
	} {
		if _, err := ParseWindow(text, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("mon-fri 06:00-22:00")
	f.Add("sat,sun 22:00-06:00")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWindow(text, time.UTC)
		held := 0
		for hour := range 7 * 24 {
			if w.Holds(noon.Add(time.Duration(hour)*time.Hour + 59*time.Minute)) {
				held++
			}
		}
		if err == nil && held == 7*24 && w.from != 0 {
			t.Errorf("%q always holds", text)
		}
	})
}
