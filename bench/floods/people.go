package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

const (
	members      = 50 // honest clients that stay
	pause        = 250 * time.Millisecond
	patience     = 5 * time.Second        // of who connects
	draining     = 3 * time.Second        // for the last messages to arrive
	reconnecting = 500 * time.Millisecond // after a connection was lost

	knownPause    = 200 * time.Millisecond
	strangerPause = 500 * time.Millisecond
)

// people are the honest clients: members, who stay and send, and visitors, who
// come, send one message and go. Some visitors come from where members live,
// others are strangers, from addresses that nobody has seen.
type people struct {
	address string
	tls     *tls.Config

	start, until time.Time    // of what counts
	packets      atomic.Int64 // that the broker has or is to have of them, less the next
	unanswered   atomic.Int64 // CONNECTs of which it is not known whether the broker has them
	names        atomic.Uint32

	mu                 sync.Mutex
	known, strangers   visits
	calm, deliveries   []time.Duration // of before start, and since
	sent, lost         int
	duplicates, broken int
}

// gather has all members connect.
func (p *people) gather() (all []*member, err error) {
	for n := range members {
		m := &member{people: p, number: n, version: packets.V5}
		if n%2 == 1 {
			m.version = packets.V311
		}
		if m.stream, err = p.connect(m.source(), m.user(), m.version); err != nil {
			return all, fmt.Errorf("honest client %d: %w", n, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// live has the members and the visitors do what they do, from now on until
// p.until, and waits for that.
func (p *people) live(ctx context.Context, all []*member) {
	var living sync.WaitGroup
	for _, m := range all {
		living.Go(func() { m.live(ctx) })
	}
	visiting := func(every time.Duration, v *visits, from func(n int) net.IP) {
		for n := 0; time.Now().Before(p.until) && ctx.Err() == nil; n++ {
			due := time.Now()
			living.Go(func() {
				took, err := p.visit(due, from(n), honestUser(n%honestUsers))
				p.count(v, due, took, err)
			})
			time.Sleep(every)
		}
	}
	living.Go(func() { visiting(knownPause, &p.known, home) })
	living.Go(func() { visiting(strangerPause, &p.strangers, abroad) })
	living.Wait()
}

// connect opens a connection and waits until it is accepted.
func (p *people) connect(from net.IP, user string, v packets.Version) (*rig.Stream, error) {
	deadline := time.Now().Add(patience)
	d := net.Dialer{Deadline: deadline, LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := d.Dial("tcp", p.address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, p.tls)
	if err := errors.Join(secured.SetDeadline(deadline), secured.HandshakeContext(context.Background())); err != nil {
		_ = secured.Close()
		return nil, err
	}
	s := &rig.Stream{Conn: secured, Reader: packets.NewReader(packets.Server)}
	s.Reader.Version = v
	s.Out = packets.AppendConnect(nil, v, &packets.Connect{
		Level: byte(v), CleanStart: true, KeepAlive: 60,
		ClientID:    fmt.Appendf(nil, "%s-%d", user, p.names.Add(1)),
		HasUsername: true, Username: []byte(user),
		HasPassword: true, Password: []byte(password),
	})
	if err := s.Expect(packets.CONNACK); err != nil {
		p.unanswered.Add(1)
		_ = s.Close()
		return nil, err
	}
	p.packets.Add(1)
	return s, nil
}
