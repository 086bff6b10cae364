package main

import (
	"fmt"
	"math"
	"strings"
)

// The bar that a trial with the proxy is to reach.
const (
	leastSuccess  = 0.99
	mostTimes     = 3.0      // p99 beside that without an attack
	mostAboveRest = 0.2      // of the proxy's memory, above its steady state
	mostMore      = 64 << 20 // bytes of the proxy's memory, more than before the attack
	mostLeft      = 5        // goroutines and descriptors more than in the beginning
)

// misses says how a trial under attack, with the proxy, falls short of the bar.
// calm is the trial without an attack. The machine may be busier now than it
// was then: what the same clients saw just before the attack counts, too.
func misses(r, calm result) (all []string) {
	miss := func(format string, values ...any) { all = append(all, fmt.Sprintf(format, values...)) }
	if r.Lost > 0 {
		miss("%d of %d messages lost", r.Lost, r.Messages)
	}
	if r.Disconnects > 0 {
		miss("%d disconnects", r.Disconnects)
	}
	if share := r.Known.success(); share < leastSuccess {
		miss("known connects %.1f %%", 100*share)
	}
	if share := r.Strangers.success(); share < leastSuccess {
		miss("strangers' connects %.1f %%", 100*share)
	}
	if times := r.Deliveries.P99 / max(calm.Deliveries.P99, r.Calm.P99); times > mostTimes {
		miss("p99 %.1f times", times)
	}
	if float64(r.Arrived) > r.Quota {
		miss("%d packets at the broker, quota %.0f", r.Arrived, r.Quota)
	}
	if math.IsInf(r.Quota, 1) {
		miss("no quota")
	}
	if u := r.Proxy; float64(u.Max) > (1+mostAboveRest)*float64(u.Steady) {
		miss("memory %.0f %% above its steady state", 100*(float64(u.Max)/float64(u.Steady)-1))
	}
	if more := r.Proxy.Max - r.Proxy.Before; more > mostMore {
		miss("memory %d MiB more", more>>20)
	}
	return append(all, r.left()...)
}

// left says what is left of an attack in the proxy.
func (t *result) left() (all []string) {
	if more := t.After.Goroutines - t.Before.Goroutines; more > mostLeft {
		all = append(all, fmt.Sprintf("%d goroutines left", more))
	}
	if more := t.After.Descriptors - t.Before.Descriptors; more > mostLeft {
		all = append(all, fmt.Sprintf("%d descriptors left", more))
	}
	if t.After.Connections > 0 {
		all = append(all, fmt.Sprintf("%d connections left", t.After.Connections))
	}
	return all
}

func verdict(r, calm result) string {
	if all := misses(r, calm); len(all) > 0 {
		return strings.Join(all, "; ")
	}
	return "**pass**"
}

// success is the share of visits that went well. Of none, none did.
func (c connects) success() float64 {
	if c.All == 0 {
		return 0
	}
	return float64(c.Good) / float64(c.All)
}

func (c connects) String() string { return fmt.Sprintf("%d of %d connects", c.Good, c.All) }
