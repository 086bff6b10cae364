package main

// result is what one trial has found.
type result struct {
	Attack  string // "": none
	Proxied bool

	Calm, Deliveries              spread // of members' messages, from when they were due: before the attack, and under it
	Messages, Lost, Duplicates    int
	Disconnects                   int
	Known, Strangers              connects
	Broker, Proxy                 usage // Proxy: only if Proxied
	Arrived                       int   // packets at the broker that no honest client has sent
	Quota                         float64
	Retained, Subscriptions, Away int // at the broker, after the attack
	Before, After                 state
	Attackers                     tally
	AttackersCPU                  float64
	Seconds                       float64
	CalmAfter                     float64 // seconds that the proxy's state took to be what it was, or that it was given
}

// connects are the visits of one kind.
type connects struct {
	All, Good int
	Took      spread
	Failures  map[string]int `json:",omitempty"`
}

// arrivals is how many packets of attackers are among those that are not known
// to be honest, of which up to unanswered may be.
func arrivals(others, unanswered int) int {
	return max(0, others-unanswered)
}

// report writes what the honest clients have seen.
func (p *people) report(r *result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Calm, r.Deliveries = spreadOf(p.calm), spreadOf(p.deliveries)
	r.Messages, r.Lost, r.Duplicates, r.Disconnects = p.sent, p.lost, p.duplicates, p.broken
	r.Known, r.Strangers = p.known.connects(), p.strangers.connects()
}

func (v *visits) connects() connects {
	return connects{All: v.all, Good: v.good, Took: spreadOf(v.took), Failures: v.failures}
}
