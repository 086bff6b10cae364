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

	"golang.org/x/time/rate"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// siege is one attack under way.
type siege struct {
	plan
	attack *attack
	ctx    context.Context //nolint:containedctx // its end is that of the attack
	until  time.Time
	tls    *tls.Config
	hello  []byte        // the first record of a TLS handshake
	opens  *rate.Limiter // connections a second, all attackers together
	writes *rate.Limiter // packets a second, all attackers together
	next   atomic.Uint32 // numbers connections

	attempts, opened, logins, packets, bytes, unanswered atomic.Int64
}

// besiege carries out a plan. Nothing that the victim does is an error.
func besiege(ctx context.Context, a *attack, p plan) (t tally, err error) {
	s := &siege{
		plan: p, attack: a, tls: rig.ClientTLS([]byte(p.Authority)),
		opens:  rate.NewLimiter(rate.Limit(a.opens), max(1, int(a.opens)/100)),
		writes: rate.NewLimiter(rate.Limit(a.packets), max(maxRun, int(a.packets)/100)),
	}
	if s.hello, err = clientHello(s.tls); err != nil {
		return t, err
	}
	s.until = time.Now().Add(p.Duration)
	var stop context.CancelFunc
	s.ctx, stop = context.WithDeadline(ctx, s.until)
	defer stop()
	var attackers sync.WaitGroup
	for n := range a.connections {
		attackers.Go(func() { s.attackAgain(n) })
	}
	attackers.Wait()
	return tally{
		Attempts: s.attempts.Load(), Opened: s.opened.Load(), Logins: s.logins.Load(),
		Packets: s.packets.Load(), Bytes: s.bytes.Load(), Unanswered: s.unanswered.Load(),
	}, nil
}

// attackAgain opens one connection after the other until the time is over.
func (s *siege) attackAgain(number int) {
	for s.opens.Wait(s.ctx) == nil {
		c, err := s.open(number)
		if err != nil {
			continue // at the pace of opens
		}
		over := context.AfterFunc(s.ctx, func() { _ = c.Close() })
		s.attack.life(s, c)
		over()
		_ = c.Close()
	}
}

// attacker is one connection of a siege.
type attacker struct {
	rig.Stream
	tcp    *net.TCPConn
	number int    // of its place among the connections, from 0
	id     uint32 // no other connection has
}

// open opens a connection up to where the attack begins.
func (s *siege) open(number int) (*attacker, error) {
	s.attempts.Add(1)
	id := s.next.Add(1)
	d := net.Dialer{Deadline: s.until, LocalAddr: &net.TCPAddr{IP: source(int(id) % s.attack.sources)}}
	conn, err := d.DialContext(s.ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	s.opened.Add(1)
	c := &attacker{Stream: rig.Stream{Conn: conn, Reader: packets.NewReader(packets.Server)}, number: number, id: id}
	c.tcp, _ = conn.(*net.TCPConn)
	if s.attack.from >= afterTLS {
		t := tls.Client(conn, s.tls)
		c.Conn = t
		err = errors.Join(c.SetDeadline(s.until), t.HandshakeContext(s.ctx))
	} else {
		err = c.SetDeadline(s.until)
	}
	if err == nil && s.attack.from == afterLogin {
		err = s.login(c, &packets.Connect{ClientID: fmt.Appendf(nil, "mallory-%d", id), CleanStart: true})
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// source is the address of attacker n: its neighbours are in other networks of
// 16 bits, as those of a botnet are. Honest clients have others.
func source(n int) net.IP { return net.IPv4(127, byte(16+n%16), byte(n/16&0xff), 1) }

// clientHello returns what a client of TLS sends first.
func clientHello(config *tls.Config) ([]byte, error) {
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		_ = tls.Client(client, config).Handshake() // which fails when server is closed
		_ = client.Close()
	}()
	b := make([]byte, 4096)
	n, err := server.Read(b)
	return b[:n], err
}
