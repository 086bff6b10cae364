package main

import (
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	const mb = 1 << 20
	policies := []string{}
	for _, s := range scenarios {
		if s.policy > 0 {
			policies = append(policies, s.name)
		}
	}
	var all []measurement
	for round, cpu := range []float64{1, 9, 2} {
		l := &latency{float64(round + 1), 20, 30}
		all = append(all,
			measurement{Scenario: "load", Peer: "direct", Round: round, Messages: 4e6, Seconds: 1, Latency: l},
			measurement{Scenario: "load", Peer: reference, Round: round, Messages: 1e6, Seconds: 2, CPU: 2 * cpu, Resident: 8 * mb},
			measurement{Scenario: "load", Peer: "nginx", Round: round, Messages: 1e6, Seconds: 2, CPU: cpu, Latency: l, Resident: 8 * mb},
			measurement{Scenario: "load", Peer: "bin/mqttward", Round: round, Messages: 1e6, Seconds: 4, CPU: cpu + float64(round), Latency: l, Resident: 3 * mb / 2},
			measurement{Scenario: policies[0], Peer: "bin/mqttward", Round: round, Messages: 1e6, Seconds: 1, CPU: 2, Resident: mb},
			measurement{Scenario: policies[1], Peer: "bin/mqttward", Round: round, Messages: 1e6, Seconds: 1, CPU: 3, Resident: mb},
		)
	}
	all = append(all,
		measurement{Scenario: "late", Peer: "nginx", Round: 1, Messages: 1e6, Seconds: 1, CPU: 1},
		measurement{Scenario: "idle", Peer: reference, Messages: 4, Seconds: 1, Idle: 2048, Resident: mb},
		measurement{Scenario: "idle", Peer: "bin/mqttward", Messages: 4, Seconds: 1, Idle: 1024, Resident: mb},
	)
	var b strings.Builder
	printTables(&b, all)
	want := `| load | direct |  |  |  | 4000000 | 2 | 20 | 30 |  |
| load | haproxy | 4.00 |  | 2.00 (2.00–2.00) nginx | 500000 |  |  |  | 8.0 |
| load | nginx | 2.00 | 0.50 (0.50–0.50) |  | 500000 | 2 | 20 | 30 | 8.0 |
| load | bin/mqttward | 4.00 | 0.56 (0.50–1.00) | 1.11 (1.00–2.00) nginx | 250000 | 2 | 20 | 30 | 1.5 |
| ` + policies[0] + ` | bin/mqttward | 2.00 |  |  | 1000000 |  |  |  | 1.0 |
| ` + policies[1] + ` | bin/mqttward | 3.00 |  |  | 1000000 |  |  |  | 1.0 |
| late | nginx | 1.00 |  |  | 1000000 |  |  |  |  |
| haproxy | 2.0 |  |  | 1.0 |
| bin/mqttward | 1.0 | 0.50 (0.50–0.50) | 0.50 (0.50–0.50) haproxy | 1.0 |
| ` + policies[0] + ` | bin/mqttward | 2.00 | 1.00 (1.00–1.00) | 1.0 |
| ` + policies[1] + ` | bin/mqttward | 3.00 | 1.50 (1.50–1.50) | 1.0 |
`
	var rows strings.Builder
	for table := range strings.SplitSeq(b.String(), "\n\n") {
		_, body, _ := strings.Cut(table, "---|\n")
		if body != "" {
			rows.WriteString(body + "\n")
		}
	}
	if rows.String() != want {
		t.Errorf("got\n%s\nwant\n%s", rows.String(), want)
	}
}
