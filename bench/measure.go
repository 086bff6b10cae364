package main

import (
	"errors"
	"time"
)

// measurement is what one scenario took of one peer.
type measurement struct {
	Scenario string
	Peer     string
	Round    int
	Messages int
	Seconds  float64
	CPU      float64 // seconds of the peer's process, user and system
}

// perMessage is in microseconds of processor time.
func (m measurement) perMessage() float64 { return m.CPU / float64(m.Messages) * 1e6 }

func (m measurement) perSecond() float64 { return float64(m.Messages) / m.Seconds }

// measure runs the scenario against p for d, after a quarter of that to warm
// up.
func (s scenario) measure(p *peer, d time.Duration) (m measurement, err error) {
	var clients []*stream
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	for range s.clients {
		c, err := connect(p, time.Now().Add(2*d+grace))
		if err != nil {
			return m, err
		}
		clients = append(clients, c)
	}
	if _, err := s.run(p, clients, d/4); err != nil {
		return m, err
	}
	start := time.Now()
	before, err := p.cpu()
	if err != nil {
		return m, err
	}
	n, err := s.run(p, clients, d)
	if err != nil {
		return m, err
	}
	after, err := p.cpu()
	return measurement{
		Scenario: s.name, Peer: p.name, Messages: n,
		Seconds: time.Since(start).Seconds(), CPU: (after - before).Seconds(),
	}, err
}

// run lets all clients work for d and adds up what they did.
func (s scenario) run(p *peer, clients []*stream, d time.Duration) (total int, err error) {
	type result struct {
		n   int
		err error
	}
	until, results := time.Now().Add(d), make(chan result)
	for _, c := range clients {
		go func() {
			n, err := s.load(p, c, until)
			results <- result{n, err}
		}()
	}
	for range clients {
		r := <-results
		total += r.n
		err = errors.Join(err, r.err)
	}
	return total, err
}
