package main

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestScenarios runs the load against the sink: what is measured with, works.
func TestScenarios(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveSink(l)
	}()
	p := &peer{name: "direct", address: l.Addr().String()}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			m, err := s.measure(p, 10*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if m.Messages < s.clients || m.Seconds <= 0 {
				t.Errorf("%d messages of %d clients in %v s", m.Messages, s.clients, m.Seconds)
			}
		})
	}
	_ = l.Close()
	<-served
}

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 250 125 0 0 20 0"
	for _, name := range []string{"1 (mqttward)", "1 (a) R 7 (b c)"} {
		got, err := parseStat(name + rest)
		if want := 3750 * time.Millisecond; err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	for _, stat := range []string{"", "1 (x) S 1 2", "1 (x)" + strings.ReplaceAll(rest, "250", "x")} {
		if got, err := parseStat(stat); err == nil {
			t.Errorf("%q gave %v", stat, got)
		}
	}
	if _, err := cpuOf(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	var all []measurement
	for round, cpu := range []float64{1, 9, 2} {
		all = append(all,
			measurement{"load", "direct", round, 4e6, 1, 0},
			measurement{"load", reference, round, 1e6, 2, 2 * cpu},
			measurement{"load", "bin/mqttward", round, 1e6, 4, cpu + float64(round)},
		)
	}
	var b strings.Builder
	printTable(&b, all)
	want := `| load | direct |  |  | 4000000 |
| load | haproxy | 4.00 |  | 500000 |
| load | bin/mqttward | 4.00 | 0.56 (0.50–1.00) | 250000 |
`
	if _, rows, _ := strings.Cut(b.String(), "--:|\n"); rows != want {
		t.Errorf("got\n%s\nwant\n%s", rows, want)
	}
}
