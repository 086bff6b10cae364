package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

const (
	warmup = 3 * time.Second // of the honest clients, before an attack

	// How long what is left of an attack may take to go, at least and at most.
	shortest = 2 * time.Second
	longest  = 30 * time.Second
)

// result is what one trial has found.
type result struct {
	Attack  string // "": none
	Proxied bool

	Calm, Deliveries                    spread // of members' messages, from when they were due: before the attack, and under it
	Messages, Lost, Duplicates          int
	Disconnects                         int
	Known, Strangers                    connects
	Broker, Proxy                       usage // Proxy: only if Proxied
	Arrived                             int   // packets at the broker that no honest client has sent
	Quota                               float64
	Retained, Subscriptions, AwayBroker int // at the broker, after the attack
	Before, After                       state
	Attackers                           tally
	AttackersCPU                        float64
	Seconds                             float64
	CalmAfter                           float64 // seconds that the proxy's state took to be what it was, or that it was given
}

// connects are the visits of one kind.
type connects struct {
	All, Good int
	Took      spread
	Failures  map[string]int `json:",omitempty"`
}

// trial starts a new broker, and a new proxy if it is to stand in front, has
// honest clients use it, and has it attacked for d meanwhile. An attack of nil
// is none.
func (s *site) trial(ctx context.Context, a *attack, proxied bool, d time.Duration) (r result, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r = result{Proxied: proxied, Seconds: d.Seconds()}
	address := s.direct
	broker, err := s.startBroker(ctx)
	if err != nil {
		return r, fmt.Errorf("broker: %w", err)
	}
	defer broker.Stop()
	var proxy *rig.Process
	if proxied {
		address = s.proxied
		if proxy, err = s.startProxy(ctx); err != nil {
			return r, fmt.Errorf("proxy: %w", err)
		}
		defer proxy.Stop()
	}
	m, err := newMonitor(s.plain)
	if err != nil {
		return r, fmt.Errorf("monitor: %w", err)
	}
	defer m.close()
	if err := m.fresh(); err != nil {
		return r, err
	}
	received := m.value(brokerReceived)
	if proxied {
		if r.Before, err = s.stateOf(ctx, proxy.PID); err != nil {
			return r, err
		}
	}
	began := time.Now()
	crowd, err := s.besieged(ctx, &r, a, address, broker, proxy, d)
	if err != nil {
		return r, err
	}
	crowd.report(&r)
	if err := s.calmDown(ctx, &r, proxy); err != nil {
		return r, err
	}
	if err := m.fresh(); err != nil {
		return r, err
	}
	r.Arrived = arrivals(m.value(brokerReceived)-received-int(crowd.packets.Load()), int(crowd.unanswered.Load()))
	r.Retained, r.Subscriptions, r.AwayBroker = m.value(brokerRetained), m.value(brokerSubs), m.value(brokerAway)
	if a != nil && proxied {
		r.Quota = a.quota(a, &s.limits, time.Since(began).Seconds(), r.Attackers.Logins)
	}
	return r, nil
}

// arrivals is how many packets of attackers are among those that are not known
// to be honest, of which up to unanswered may be.
func arrivals(others, unanswered int) int {
	return max(0, others-unanswered)
}

// calmDown waits until the proxy's state is what it was before anybody came,
// or has had the time for it.
func (s *site) calmDown(ctx context.Context, r *result, proxy *rig.Process) (err error) {
	began := time.Now()
	if err := s.wait(ctx, shortest); err != nil || proxy == nil {
		return err
	}
	for {
		if r.After, err = s.stateOf(ctx, proxy.PID); err != nil {
			return err
		}
		r.CalmAfter = time.Since(began).Seconds()
		if len(r.left()) == 0 || time.Since(began) > longest {
			return nil
		}
		if err := s.wait(ctx, shortest/10); err != nil {
			return err
		}
	}
}

// besieged is the part of a trial in which there are clients.
func (s *site) besieged(ctx context.Context, r *result, a *attack, address string, broker, proxy *rig.Process, d time.Duration) (*people, error) {
	p := &people{address: address, tls: s.tls}
	members, err := p.gather()
	if err != nil {
		return nil, err
	}
	p.start = time.Now().Add(warmup)
	p.until = p.start.Add(d)
	var living sync.WaitGroup
	living.Go(func() { p.live(ctx, members) })
	defer living.Wait()
	if err := s.wait(ctx, time.Until(p.start)); err != nil {
		return nil, err
	}
	brokers, err := sample(broker.PID)
	if err != nil {
		return nil, err
	}
	var proxies *sampler
	if proxy != nil {
		if proxies, err = sample(proxy.PID); err != nil {
			return nil, err
		}
	}
	if a != nil {
		r.Attack = a.name
		err = s.attackWith(ctx, r, plan{Attack: a.name, Address: address, Authority: string(s.ca), Duration: d})
	} else {
		err = s.wait(ctx, d)
	}
	var failed error
	if r.Broker, failed = brokers.end(); failed != nil {
		err = errors.Join(err, fmt.Errorf("broker: %w", failed))
	}
	if proxies != nil {
		if r.Proxy, failed = proxies.end(); failed != nil {
			err = errors.Join(err, fmt.Errorf("proxy: %w", failed))
		}
	}
	return p, err
}

// attackWith has a process of its own carry out p: attackers compete for the
// processors with everybody, and not with honest clients for one process's
// share.
func (s *site) attackWith(ctx context.Context, r *result, p plan) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	orders, err := json.Marshal(p)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, p.Duration+rig.Grace)
	defer stop()
	cmd := exec.CommandContext(ctx, self, attackerVerb) //nolint:gosec // G204: it is this program
	cmd.Stdin, cmd.Stderr = bytes.NewReader(orders), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("attackers: %w", err)
	}
	usage := cmd.ProcessState
	r.AttackersCPU = (usage.UserTime() + usage.SystemTime()).Seconds()
	return json.Unmarshal(out, &r.Attackers)
}

func (*site) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
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
