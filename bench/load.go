package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// grace is how much longer than asked for anything may take.
	grace = 10 * time.Second
	// maxMessages bounds what one client sends at a time.
	maxMessages = 20_000_000
)

// load is what a client does with its connection c to p until the time is
// over. It returns how many messages, or connections of its own, it saw
// through.
type load func(p *peer, c *stream, until time.Time) (int, error)

// scenario is a shape of traffic.
type scenario struct {
	name    string
	clients int
	load    load
}

var scenarios = []scenario{
	{"1 client, ping-pong, QoS 1", 1, windowed(1)},
	{"50 clients, window of 20, QoS 1", 50, windowed(20)},
	{"1 client, one-way, QoS 0, a packet per write", 1, oneWay(1)},
	{"1 client, one-way, QoS 0, 32 packets per write", 1, oneWay(32)},
	{"4 clients, full TLS handshake, CONNECT, DISCONNECT", 4, reconnect},
}

// more tells a client that has sent n messages whether to send another. The
// first is always sent.
func more(n int, until time.Time) bool {
	return n == 0 || n < maxMessages && time.Now().Before(until)
}

func appendPublish(dst []byte, qos byte, id uint16) []byte {
	return packets.AppendPublish(dst, version, qos<<1, []byte("plant/line-1/bench/temperature"), id, nil, make([]byte, 64), 0)
}

// windowed publishes with QoS 1 and keeps window messages on their way, each
// written by itself, as devices do.
func windowed(window int) load {
	return func(_ *peer, c *stream, until time.Time) (acked int, err error) {
		for sent := 0; ; acked++ {
			for sent-acked < window && more(sent, until) {
				c.out = appendPublish(c.out, 1, uint16(sent%0xffff)+1)
				if err := c.flush(); err != nil {
					return acked, err
				}
				sent++
			}
			if acked == sent {
				return acked, nil
			}
			if err := c.expect(packets.PUBACK); err != nil {
				return acked, err
			}
		}
	}
}

// oneWay publishes with QoS 0, batch messages per write. The answer to a last
// PINGREQ says that all have gone through.
func oneWay(batch int) load {
	var run []byte
	for range batch {
		run = appendPublish(run, 0, 0)
	}
	return func(_ *peer, c *stream, until time.Time) (sent int, err error) {
		for ; more(sent, until); sent += batch {
			if _, err := c.Write(run); err != nil {
				return sent, err
			}
		}
		c.out = append(c.out, byte(packets.PINGREQ)<<4, 0)
		return sent, c.expect(packets.PINGRESP)
	}
}

// reconnect opens and ends one connection after the other.
func reconnect(p *peer, _ *stream, until time.Time) (n int, err error) {
	for ; more(n, until); n++ {
		c, err := connect(p, time.Now().Add(grace))
		if err != nil {
			return n, err
		}
		c.out = packets.AppendDisconnect(c.out, version, packets.Success)
		err = c.flush()
		_ = c.Close() // a quick peer has closed before
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// clientIDs makes the client identifier of each connection its own.
var clientIDs atomic.Uint32

// connect opens a connection that lasts until the deadline, and waits until
// the broker has accepted it.
func connect(p *peer, deadline time.Time) (*stream, error) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return nil, err
	}
	if p.tls != nil {
		conn = tls.Client(conn, p.tls)
	}
	c := &stream{Conn: conn, reader: packets.NewReader(packets.Server)}
	c.reader.Version = version
	c.out = packets.AppendConnect(nil, version, &packets.Connect{
		Level: byte(version), CleanStart: true,
		ClientID:    fmt.Appendf(nil, "bench-%d", clientIDs.Add(1)),
		HasUsername: true, Username: []byte("bench"),
		HasPassword: true, Password: []byte("bench"),
	})
	if err := errors.Join(c.SetDeadline(deadline), c.expect(packets.CONNACK)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
