package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/bench/rig"
)

// reference is the peer with which the others are compared.
const reference = "haproxy"

// cost is what a row is about: microseconds a message, or kB a connection.
type cost func(measurement) float64

// printTables writes a row per scenario and peer, in the order of the first
// round. All values are medians over the rounds; what was not measured is
// empty. A ratio compares measurements of the same round; in parentheses are
// the least and the greatest.
func printTables(w io.Writer, all []measurement) {
	var traffic, idle, policies []string
	for _, m := range all {
		own := roundsOf(all, m.Scenario, m.Peer)
		if own[0].Round != m.Round { // the first has made the row
			continue
		}
		if m.Idle > 0 {
			idle = append(idle, rig.Row(m.Peer, compare(all, own, measurement.kilobytes, 1), median(own, measurement.megabytes, 1)))
			continue
		}
		traffic = append(traffic, rig.Row(m.Scenario, m.Peer, compare(all, own, measurement.perMessage, 2),
			median(own, measurement.perSecond, 0), percentiles(own), median(own, measurement.megabytes, 1)))
		if least := smallestPolicy(m.Scenario); least != "" {
			policies = append(policies, rig.Row(m.Scenario, m.Peer, median(own, measurement.perMessage, 2),
				ratio(own, roundsOf(all, least, m.Peer), measurement.perMessage), median(own, measurement.megabytes, 1)))
		}
	}
	rig.PrintRows(w, "scenario | peer | CPU µs/message | to "+reference+" | to the best peer | messages/s | p50 µs | p99 µs | p99.9 µs | RSS MB", traffic)
	rig.PrintRows(w, "idle | kB/connection | to "+reference+" | to the best peer | RSS MB", idle)
	rig.PrintRows(w, "policy | peer | CPU µs/message | to the smallest policy | RSS MB", policies)
}

// compare is three cells: the cost, and its ratios to the reference and to the
// best of the others.
func compare(all, own []measurement, c cost, decimals int) string {
	scenario, best := own[0].Scenario, bestPeer(all, own[0].Scenario, c)
	toBest := ""
	if best != "" && best != own[0].Peer {
		toBest = ratio(own, roundsOf(all, scenario, best), c)
	}
	if toBest != "" {
		toBest += " " + best
	}
	toReference := ""
	if own[0].Peer != reference {
		toReference = ratio(own, roundsOf(all, scenario, reference), c)
	}
	return strings.Join([]string{median(own, c, decimals), toReference, toBest}, " | ")
}

// percentiles is three cells.
func percentiles(own []measurement) string {
	var cells []string
	for _, of := range []func(*latency) float64{
		func(l *latency) float64 { return l.P50 },
		func(l *latency) float64 { return l.P99 },
		func(l *latency) float64 { return l.P999 },
	} {
		cells = append(cells, median(own, func(m measurement) float64 {
			if m.Latency == nil {
				return 0
			}
			return of(m.Latency)
		}, 0))
	}
	return strings.Join(cells, " | ")
}

// bestPeer returns the peer with the least median cost, "" if there is none.
// The sink itself and builds of mqttward do not count.
func bestPeer(all []measurement, scenario string, c cost) (best string) {
	least := 0.0
	for _, m := range all {
		if m.Scenario != scenario || strings.Contains(m.Peer, "/") {
			continue
		}
		v := middle(values(roundsOf(all, scenario, m.Peer), c))
		if v > 0 && (best == "" || v < least) {
			best, least = m.Peer, v
		}
	}
	return best
}

// ratio compares what was measured of two peers in the same rounds.
func ratio(own, others []measurement, c cost) string {
	var ratios []float64
	for _, m := range own {
		for _, o := range others {
			if o.Round == m.Round && c(o) > 0 && c(m) > 0 {
				ratios = append(ratios, c(m)/c(o))
			}
		}
	}
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", middle(ratios), slices.Min(ratios), slices.Max(ratios))
}

func roundsOf(all []measurement, scenario, peer string) (rounds []measurement) {
	for _, m := range all {
		if m.Scenario == scenario && m.Peer == peer {
			rounds = append(rounds, m)
		}
	}
	return rounds
}

// values leaves out what was not measured, which is zero.
func values(rounds []measurement, c cost) (measured []float64) {
	for _, m := range rounds {
		if v := c(m); v != 0 {
			measured = append(measured, v)
		}
	}
	return measured
}

// median is the text of the median, which nothing does not have.
func median(rounds []measurement, c cost, decimals int) string {
	measured := values(rounds, c)
	if len(measured) == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", decimals, middle(measured))
}

// middle is the median, zero of nothing.
func middle(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	return (values[(n-1)/2] + values[n/2]) / 2
}
