package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

const (
	warmup = 3 * time.Second // of the honest clients, before an attack

	// How long what is left of an attack may take to go, at least and at most.
	shortest = 2 * time.Second
	longest  = time.Minute
)

// trial is a new broker, with a new proxy in front of it or without.
type trial struct {
	*site
	broker   *rig.Process
	proxy    *rig.Process // nil: without
	monitor  *monitor
	address  string // at which clients arrive
	received int    // by the broker, before anybody came
}

// attempt has honest clients use a new broker, and has it attacked for d
// meanwhile. An attack of nil is none.
func (s *site) attempt(ctx context.Context, a *attack, proxied bool, d time.Duration) (r result, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r = result{Proxied: proxied, Seconds: d.Seconds()}
	t := &trial{site: s}
	defer t.close()
	if err := t.start(ctx, proxied); err != nil {
		return r, err
	}
	if proxied {
		if r.Before, err = s.stateOf(ctx, t.proxy.PID); err != nil {
			return r, err
		}
	}
	began := time.Now()
	honest, err := t.run(ctx, &r, a, d)
	if err != nil {
		return r, err
	}
	honest.report(&r)
	if err := errors.Join(t.calmDown(ctx, &r), t.monitor.fresh()); err != nil {
		return r, err
	}
	m := t.monitor
	r.Arrived = arrivals(m.value(brokerReceived)-t.received-int(honest.packets.Load()), int(honest.unanswered.Load()))
	r.Retained, r.Subscriptions, r.Away = m.value(brokerRetained), m.value(brokerSubs), m.value(brokerAway)
	if a != nil && proxied {
		r.Quota = a.quota(a, &s.limits, time.Since(began).Seconds(), r.Attackers.Logins+r.Attackers.Unanswered)
	}
	return r, nil
}

// start starts the processes, and waits until the broker's counters are known.
func (t *trial) start(ctx context.Context, proxied bool) (err error) {
	t.address = t.direct
	if t.broker, err = t.startBroker(ctx); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if proxied {
		t.address = t.proxied
		if t.proxy, err = t.startProxy(ctx); err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
	}
	if t.monitor, err = newMonitor(t.plain); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	err = t.monitor.fresh()
	t.received = t.monitor.value(brokerReceived)
	return err
}

func (t *trial) close() {
	if t.monitor != nil {
		t.monitor.close()
	}
	for _, p := range []*rig.Process{t.proxy, t.broker} {
		if p != nil {
			p.Stop()
		}
	}
}

// run is the part of a trial in which there are clients.
func (t *trial) run(ctx context.Context, r *result, a *attack, d time.Duration) (*people, error) {
	p := &people{address: t.address, tls: t.tls}
	all, err := p.gather()
	if err != nil {
		return nil, err
	}
	p.start = time.Now().Add(warmup)
	p.until = p.start.Add(d)
	var living sync.WaitGroup
	living.Go(func() { p.live(ctx, all) })
	defer living.Wait()
	if err := wait(ctx, time.Until(p.start)); err != nil {
		return nil, err
	}
	broker, err := sample(t.broker)
	if err != nil {
		return nil, err
	}
	proxy, err := sample(t.proxy)
	if err != nil {
		return nil, err
	}
	if a != nil {
		r.Attack = a.name
		err = attackWith(ctx, r, plan{Attack: a.name, Address: t.address, Authority: string(t.ca), Duration: d})
	} else {
		err = wait(ctx, d)
	}
	var ofBroker, ofProxy error
	r.Broker, ofBroker = broker.end()
	r.Proxy, ofProxy = proxy.end()
	return p, errors.Join(err, ofBroker, ofProxy)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
