package payload

import (
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// TestWhole asks for what has to be seen, and for nothing that its length decides.
func TestWhole(t *testing.T) {
	inside := func(max int, a Action) Check {
		return Check{Topics: []string{"in/#"}, Format: JSON, MaxSize: max, Action: a}
	}
	size := func(max int, a Action) Check { return Check{Topics: []string{"#"}, MaxSize: max, Action: a} }
	declared := Check{Topics: []string{"in/#"}, Format: Declared, MaxSize: 20_000}
	small := Check{Topics: []string{"in/#"}, Format: Declared, MaxSize: 10}
	tests := []struct {
		name   string
		checks []Check
		topic  string
		ps     packets.Properties
		want   bool
		rule   string // of the verdict, without the rest
	}{
		{"inside", []Check{inside(20_000, Refuse)}, "in/a", nil, true, "payload[0]: packet is too large to look inside"},
		{"at its size", []Check{inside(18_000, Refuse)}, "in/a", nil, true, "payload[0]: packet is too large to look inside"},
		{"above its size", []Check{inside(17_999, Refuse)}, "in/a", nil, false, "payload[0]: payload is larger than max_size"},
		{"above its size, reported", []Check{inside(17_999, Report)}, "in/a", nil, false, "payload[0]: payload is larger than max_size"},
		{"another topic", []Check{inside(20_000, Refuse)}, "out/a", nil, false, ""},
		{"size alone", []Check{size(20_000, Refuse)}, "in/a", nil, false, ""},
		{"size alone, above", []Check{size(1, Drop)}, "in/a", nil, false, "payload[0]: payload is larger than max_size"},
		{"another refuses the size", []Check{inside(20_000, Refuse), size(1, Refuse)}, "in/a", nil, false, "payload[1]: payload is larger than max_size"},
		{"another reports the size", []Check{inside(20_000, Refuse), size(1, Report)}, "in/a", nil, true, "payload[0]: packet is too large to look inside"},
		{"declared", []Check{declared}, "in/a", indicator(1), true, "payload[0]: packet is too large to look inside"},
		{"declared and too large", []Check{small}, "in/a", indicator(1), false, "payload[0]: payload is larger than max_size"},
		{"too large, and not declared", []Check{small}, "in/a", indicator(0), false, ""},
		{"not declared", []Check{declared}, "in/a", indicator(0), false, ""},
		{"nothing declared", []Check{declared}, "in/a", nil, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := filter(t, tt.checks...)
			p := publish(t, packets.V5, 1, tt.topic, strings.Repeat("1", 8000), tt.ps, 10_000)
			if got := f.Whole(nil, p); got != tt.want {
				t.Errorf("has to be seen: %v, want %v", got, tt.want)
			}
			if v := judge(f, packets.V5, p); v.Rule != tt.rule {
				t.Errorf("rule %q, want %q", v.Rule, tt.rule)
			}
		})
	}
}

// TestDeclaredTwice: of two indicators, let through for a device that cannot be
// mended, either counts.
func TestDeclaredTwice(t *testing.T) {
	m := message{props: indicator(0, 1)}
	if !m.declared() {
		t.Error("the second is not seen")
	}
}
