package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	calm := result{Proxied: true, Seconds: 10, Deliveries: spread{1, 10}, Known: connects{All: 4, Good: 4, Took: spread{20, 30}}}
	direct := result{Attack: "flood", Seconds: 10, Messages: 10, Lost: 3, Broker: usage{Max: 3 << 19, CPU: 5, Descriptors: 9}, Arrived: 77}
	under := calm
	under.Attack, under.Quota, under.AttackersCPU = "flood", unlimited, 2
	under.Proxy = usage{Before: 1 << 20, Steady: 2 << 20, Max: 2 << 20, CPU: 1}
	under.Attackers = tally{Attempts: 5, Logins: 4, Packets: 3}
	r := &report{Command: "floods -x", Trials: []result{calm, direct, under}, Failed: []string{"it failed"}}
	var b strings.Builder
	r.print(&b)
	for _, want := range []string{
		"| none | proxy | 100.0 | 20 | 30 | 0.0 | 0 | 0 | 1.0 | 10.0 | 0 | 0 |",
		"| flood | nothing | 0.0 | 0 | 0 | 0.0 | 0 | 0 | 0.0 | 0.0 | 3 | 0 |",
		"| flood | nothing | 0 / 0 / 0 | 0 | 1.5 | 50 | 9 |  |  |  | 77 |  |",
		"| flood | proxy | 5 / 4 / 3 | 20 | 0.0 | 0 | 0 | 1 / 2 / 2 | 10 | 0 | 0 | none |",
		"| flood | strangers' connects 0.0 %; no quota |",
		"- `floods -x`",
		"- it failed",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("%s\nis not in\n%s", want, &b)
		}
	}
	// Every row of a table has its columns.
	columns := 0
	for line := range strings.Lines(b.String()) {
		switch n := strings.Count(line, "|"); {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d columns, want %d: %s", n, columns, line)
		}
	}
	file := filepath.Join(t.TempDir(), "x.json")
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil || len(back.Trials) != 3 || back.Trials[2].Attackers.Logins != 4 {
		t.Errorf("%v, %+v", err, back)
	}
}

func TestFirstLine(t *testing.T) {
	if got := firstLine([]byte(" one\ntwo\n")); got != "one" {
		t.Errorf("%q", got)
	}
}
