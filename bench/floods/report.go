package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/mqttward/mqttward/bench/rig"
)

// report is all that a run has found.
type report struct {
	Command string
	Machine string
	Broker  string
	Proxy   string
	Failed  []string
	Trials  []result
}

// print writes a row for each trial, what the attackers did, and for each
// attack whether the proxy reached the bar.
func (r *report) print(w io.Writer) {
	var honest, cost, verdicts []string
	calm := r.calm()
	for _, t := range r.Trials {
		honest = append(honest, rig.Row(t.attack(), t.front(), t.Known.cells(), t.Strangers.cells(),
			fmt.Sprintf("%.1f | %.1f | %d | %d", t.Deliveries.P50, t.Deliveries.P99, t.Lost, t.Disconnects)))
		cost = append(cost, rig.Row(t.attack(), t.front(), t.effort(),
			fmt.Sprintf("%.1f | %.0f | %d", megabytes(t.Broker.Max), t.share(t.Broker.CPU), t.Broker.Descriptors), t.proxy(), t.arrived()))
		if t.Proxied {
			verdicts = append(verdicts, rig.Row(t.attack(), verdict(t, calm)))
		}
	}
	rig.PrintRows(w, "attack | in front | known connects % | p50 ms | p99 ms | strangers' connects % | p50 ms | p99 ms | p50 ms | p99 ms | lost | disconnects", honest)
	rig.PrintRows(w, "attack | in front | connections tried / logins / packets | attackers' CPU % | broker MB | broker CPU % | broker descriptors | proxy MB before / steady / most | proxy CPU % | calm after s | attack packets at the broker | quota", cost)
	rig.PrintRows(w, "attack | with the proxy", verdicts)
	for _, note := range append([]string{"`" + r.Command + "`", r.Proxy, r.Broker, r.Machine}, r.Failed...) {
		fmt.Fprintf(w, "- %s\n", note)
	}
}

// calm is the trial with the proxy and without an attack.
func (r *report) calm() (calm result) {
	for _, t := range r.Trials {
		if t.Attack == "" && t.Proxied {
			return t
		}
	}
	return calm
}

func (t *result) attack() string {
	if t.Attack == "" {
		return "none"
	}
	return t.Attack
}

func (t *result) front() string {
	if t.Proxied {
		return "proxy"
	}
	return "nothing"
}

func (c connects) cells() string {
	return fmt.Sprintf("%.1f | %.0f | %.0f", 100*c.success(), c.Took.P50, c.Took.P99)
}

// effort is two cells.
func (t *result) effort() string {
	a := t.Attackers
	return fmt.Sprintf("%d / %d / %d | %.0f", a.Attempts, a.Logins, a.Packets, t.share(t.AttackersCPU))
}

// proxy is three cells.
func (t *result) proxy() string {
	if !t.Proxied {
		return " |  | "
	}
	u := t.Proxy
	return fmt.Sprintf("%.0f / %.0f / %.0f | %.0f | %.0f", megabytes(u.Before), megabytes(u.Steady), megabytes(u.Max), t.share(u.CPU), t.CalmAfter)
}

// arrived is two cells.
func (t *result) arrived() string {
	quota := ""
	switch {
	case !t.Proxied || t.Attack == "":
	case math.IsInf(t.Quota, 1):
		quota = "none"
	default:
		quota = fmt.Sprintf("%.0f", t.Quota)
	}
	return fmt.Sprintf("%d | %s", t.Arrived, quota)
}

// share is how much of one processor seconds are.
func (t *result) share(seconds float64) float64 { return 100 * seconds / t.Seconds }

func megabytes(n int) float64 { return float64(n) / (1 << 20) }

func (r *report) write(file string) error {
	for i := range r.Trials { // JSON has no infinity
		if math.IsInf(r.Trials[i].Quota, 1) {
			r.Trials[i].Quota = -1
		}
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // G306: nothing secret
}

// firstLine is what a program prints about itself.
func firstLine(output []byte) string {
	line, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(line)
}
