package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// reference is the peer with which the others are compared.
const reference = "haproxy"

// printTable writes a row per scenario and peer, in the order of the first
// round. All values are medians over the rounds. A ratio compares measurements
// of the same round; in parentheses are the least and the greatest.
func printTable(w io.Writer, all []measurement) {
	fmt.Fprintf(w, "| scenario | peer | CPU µs/message | to %s | messages/s |\n|---|---|--:|--:|--:|\n", reference)
	for _, m := range all {
		if m.Round > 0 {
			break
		}
		rounds, references := roundsOf(all, m.Scenario, m.Peer), roundsOf(all, m.Scenario, reference)
		var cpu, ratios, perSecond []float64
		for i, m := range rounds {
			perSecond = append(perSecond, m.perSecond())
			if m.CPU == 0 { // direct
				continue
			}
			cpu = append(cpu, m.perMessage())
			if m.Peer != reference && len(references) > i {
				ratios = append(ratios, m.perMessage()/references[i].perMessage())
			}
		}
		ratio := ""
		if len(ratios) > 0 {
			ratio = fmt.Sprintf("%s (%.2f–%.2f)", median(ratios, 2), slices.Min(ratios), slices.Max(ratios))
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", m.Scenario, m.Peer, median(cpu, 2), ratio, median(perSecond, 0))
	}
}

func roundsOf(all []measurement, scenario, peer string) (rounds []measurement) {
	for _, m := range all {
		if m.Scenario == scenario && m.Peer == peer {
			rounds = append(rounds, m)
		}
	}
	return rounds
}

// median is the text of the median, which nothing does not have.
func median(values []float64, decimals int) string {
	n := len(values)
	if n == 0 {
		return ""
	}
	slices.Sort(values)
	return fmt.Sprintf("%.*f", decimals, (values[(n-1)/2]+values[n/2])/2)
}

// printSetting says what was measured, with what, and on what.
func printSetting(w io.Writer, peers []*peer, missing error) {
	fmt.Fprintf(w, "\n- `%s`\n", strings.Join(os.Args, " "))
	for _, p := range peers {
		fmt.Fprintf(w, "- %s: %s\n", p.name, p.version)
	}
	if missing != nil {
		fmt.Fprintf(w, "- %s\n", strings.ReplaceAll(missing.Error(), "\n", "\n- "))
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // left out if it cannot be read
	fmt.Fprintf(w, "- load and sink: %s, %d processors, %s, Linux %s\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOARCH, strings.TrimSpace(string(kernel)))
}

func writeJSON(file string, all []measurement) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // G306: nothing secret
}
