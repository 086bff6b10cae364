package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// measurement is what one scenario took of one peer.
type measurement struct {
	Scenario string
	Peer     string
	Round    int
	Messages int
	Seconds  float64
	CPU      float64  // seconds of the peer's processes, user and system
	Latency  *latency `json:",omitempty"` // nil: nothing was timed
	Resident int      // bytes of the peer's processes in the end, with the clients connected
	Idle     int      `json:",omitempty"` // bytes more for each connection than without any; zero: not measured
}

// perMessage is in microseconds of processor time.
func (m measurement) perMessage() float64 { return m.CPU / float64(m.Messages) * 1e6 }

func (m measurement) perSecond() float64 { return float64(m.Messages) / m.Seconds }

// megabytes is the resident memory, kilobytes that of an idle connection.
func (m measurement) megabytes() float64 { return float64(m.Resident) / (1 << 20) }
func (m measurement) kilobytes() float64 { return float64(m.Idle) / (1 << 10) }

// measure runs the scenario against p for d, after a quarter of that to warm
// up.
func (s scenario) measure(p *peer, d time.Duration) (m measurement, err error) {
	empty, err := p.resident()
	if err != nil {
		return m, err
	}
	published := p.sink.published.Load()
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	deadline := time.Now().Add(2*d + rig.Grace + s.settle + time.Duration(s.clients)*rig.Grace/1000)
	for i := range s.clients {
		c, err := open(p, i, deadline)
		if err != nil {
			return m, fmt.Errorf("connection %d: %w", i+1, err)
		}
		clients = append(clients, c)
		if s.prepare == nil {
			continue
		}
		if err := s.prepare(c); err != nil {
			return m, err
		}
	}
	if s.settle == 0 {
		if _, err := s.run(clients, d/4, 0); err != nil {
			return m, err
		}
	}
	for _, c := range clients {
		c.took = samples{}
	}
	if m, err = s.timed(p, clients, d); err != nil {
		return m, err
	}
	time.Sleep(s.settle)
	if m.Resident, err = p.resident(); err != nil {
		return m, err
	}
	if s.settle > 0 {
		m.Idle = (m.Resident - empty) / len(clients)
	}
	if s.denied {
		err = undelivered(p.sink.published.Load() - published)
	}
	return m, err
}

// timed runs the scenario between two looks at the clock of p.
func (s scenario) timed(p *peer, clients []*client, d time.Duration) (m measurement, err error) {
	before, err := p.cpu()
	if err != nil {
		return m, err
	}
	start := time.Now()
	n, err := s.run(clients, d, s.messages/s.clients)
	if err != nil {
		return m, err
	}
	took := time.Since(start)
	after, err := p.cpu()
	return measurement{
		Scenario: s.name, Peer: p.name, Messages: n,
		Seconds: took.Seconds(), CPU: (after - before).Seconds(), Latency: latencyOf(clients),
	}, err
}

// run lets all clients work for d, or until each has sent its messages, and
// adds up what they did. When one fails, the connections of all are closed.
func (s scenario) run(clients []*client, d time.Duration, messages int) (total int, err error) {
	type result struct {
		n   int
		err error
	}
	now := time.Now()
	j := &job{start: now, until: now.Add(d), messages: messages, clients: len(clients), fan: newFan(), failed: make(chan struct{})}
	results := make(chan result)
	for _, c := range clients {
		go func() {
			n, err := s.load(j, c)
			results <- result{n, err}
		}()
	}
	for range clients {
		r := <-results
		total += r.n
		if r.err == nil || err != nil { // the first error is the cause of the others
			continue
		}
		err = r.err
		close(j.failed)
		for _, c := range clients {
			_ = c.Close()
		}
	}
	if total == 0 {
		err = errors.Join(err, errors.New("nothing went through"))
	}
	return total, err
}
