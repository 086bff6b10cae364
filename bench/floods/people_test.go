package main

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// meet has honest clients use v for some messages each, of which those of the
// first time do not count.
func meet(t *testing.T, v *victim) *people {
	t.Helper()
	var told sync.WaitGroup
	defer told.Wait()
	done := make(chan struct{})
	defer close(done)
	told.Go(func() {
		for {
			select {
			case <-v.saw:
			case <-done:
				return
			}
		}
	})
	p := &people{address: v.address, tls: v.tls}
	all, err := p.gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != members {
		t.Fatalf("%d members", len(all))
	}
	p.start = time.Now().Add(pause)
	p.until = p.start.Add(2 * pause)
	p.live(t.Context(), all)
	return p
}

// TestPeople: honest clients of a broker that works miss nothing.
func TestPeople(t *testing.T) {
	p := meet(t, newVictim(t))
	if p.sent == 0 || p.lost > 0 || p.duplicates > 0 || p.broken > 0 {
		t.Errorf("%d sent, %d lost, %d twice, %d disconnects", p.sent, p.lost, p.duplicates, p.broken)
	}
	if len(p.deliveries) != p.sent || len(p.calm) == 0 {
		t.Errorf("%d deliveries of %d, and %d before", len(p.deliveries), p.sent, len(p.calm))
	}
	for name, v := range map[string]visits{"known": p.known, "strangers": p.strangers} {
		if v.all == 0 || v.good != v.all || len(v.took) != v.good {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if p.unanswered.Load() > 0 {
		t.Errorf("%d CONNECTs without an answer", p.unanswered.Load())
	}
}

// TestMistreated: what a broker does to honest clients is counted.
func TestMistreated(t *testing.T) {
	v := newVictim(t)
	v.refuse = packets.PUBLISH
	p := meet(t, v)
	if p.sent == 0 || p.lost != p.sent || p.broken == 0 || len(p.deliveries) > 0 {
		t.Errorf("%d sent, %d lost, %d disconnects, %d deliveries", p.sent, p.lost, p.broken, len(p.deliveries))
	}
	if p.known.all == 0 || p.known.good > 0 || len(p.known.failures) == 0 {
		t.Errorf("%+v", p.known)
	}
}

// TestPacketsOfPeople: what they count of themselves is what they have sent.
func TestPacketsOfPeople(t *testing.T) {
	v := newVictim(t)
	p := &people{address: v.address, tls: v.tls}
	went := make(chan error)
	go func() {
		_, err := p.visit(time.Now(), home(0), honestUser(0))
		went <- err
	}()
	seen := 0
	for {
		select {
		case what := <-v.saw:
			if what != accepted && what != secured {
				seen++
			}
			if what != "DISCONNECT" {
				continue
			}
		case err := <-went:
			if err != nil {
				t.Fatal(err)
			}
			if seen < 4 { // it has left before its DISCONNECT was read
				<-v.saw
				seen++
			}
			if n := int(p.packets.Load()); n != 4 || n != seen {
				t.Errorf("%d packets are counted, %d came", n, seen)
			}
			return
		}
	}
}

func TestUnanswered(t *testing.T) {
	v := newVictim(t)
	v.refuse = packets.CONNECT
	p := &people{address: v.address, tls: v.tls}
	went := make(chan error)
	go func() {
		_, err := p.connect(home(0), honestUser(0), packets.V5)
		went <- err
	}()
	for {
		select {
		case <-v.saw:
			continue
		case err := <-went:
			if err == nil || p.unanswered.Load() != 1 || p.packets.Load() != 0 {
				t.Errorf("%v: %d unanswered, %d packets", err, p.unanswered.Load(), p.packets.Load())
			}
		}
		return
	}
}

func TestCause(t *testing.T) {
	err := &net.OpError{Op: "read", Addr: &net.TCPAddr{IP: home(0), Port: 12345}, Err: os.ErrDeadlineExceeded}
	if got := cause(errors.Join(err)); got != "read: i/o timeout" {
		t.Error(got)
	}
	if got := cause(context.Canceled); got != "context canceled" {
		t.Error(got)
	}
}

func TestSpread(t *testing.T) {
	if got := spreadOf(nil); got != (spread{}) {
		t.Errorf("%+v", got)
	}
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(200-i)*time.Millisecond)
	}
	if got := spreadOf(took); got != (spread{100, 198}) || took[0] != 200*time.Millisecond {
		t.Errorf("%+v, %v", got, took[0])
	}
}
