package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
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

// visits are attempts to connect, and how long those took that went well.
type visits struct {
	all, good int
	took      []time.Duration
	failures  map[string]int
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

// home is where the members of user n live, abroad is somewhere else.
func home(n int) net.IP   { return net.IPv4(127, 1, 0, byte((1+n%honestUsers)&0xff)) }
func abroad(n int) net.IP { return net.IPv4(127, 3, byte(n&0xff), 1) }

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

// visit connects, has a message come back, and goes.
func (p *people) visit(due time.Time, from net.IP, user string) (took time.Duration, err error) {
	s, err := p.connect(from, user, packets.V311)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	took = time.Since(due)
	topic := fmt.Appendf(nil, "plant/%s/visit-%d", user, p.names.Add(1))
	s.Out = packets.AppendSubscribe(s.Out, packets.V311, 1, nil, []packets.Subscription{{Filter: topic}})
	p.packets.Add(1)
	if err := s.Expect(packets.SUBACK); err != nil {
		return 0, err
	}
	s.Out = packets.AppendPublish(s.Out, packets.V311, 0, topic, 0, nil, []byte("here"), 0)
	p.packets.Add(1)
	if err := s.Expect(packets.PUBLISH); err != nil {
		return 0, err
	}
	p.packets.Add(1)
	s.Out = packets.AppendDisconnect(s.Out, packets.V311, packets.Success)
	return took, s.Flush()
}

// count counts a visit that began while it counts.
func (p *people) count(v *visits, due time.Time, took time.Duration, err error) {
	if due.Before(p.start) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v.all++
	if err != nil {
		if v.failures == nil {
			v.failures = map[string]int{}
		}
		v.failures[cause(err)]++
		return
	}
	v.good++
	v.took = append(v.took, took)
}

// cause is an error without addresses.
func cause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// spread are percentiles in milliseconds.
type spread struct{ P50, P99 float64 }

func spreadOf(took []time.Duration) (s spread) {
	if len(took) == 0 {
		return s
	}
	took = slices.Sorted(slices.Values(took))
	at := func(permille int) float64 {
		return float64(rig.Percentile(took, permille)) / float64(time.Millisecond)
	}
	return spread{at(500), at(990)}
}
