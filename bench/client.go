package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// client is one connection of the load, and what it has seen.
type client struct {
	rig.Stream
	peer   *peer
	number int         // among those of its scenario, from 0
	tls    *tls.Config // of connections that it opens itself
	topic  []byte      // what it publishes to
	took   samples
}

// payload is what all messages begin with.
var payload [largePayload]byte

// names makes the client identifier of each connection its own.
var names atomic.Uint32

// connect opens a connection that lasts until the deadline, and waits until
// the broker has accepted it. A config of nil is plaintext.
func connect(p *peer, config *tls.Config, deadline time.Time) (*rig.Stream, error) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return nil, err
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	s := &rig.Stream{Conn: conn, Reader: packets.NewReader(packets.Server)}
	s.Reader.Version = version
	s.Out = packets.AppendConnect(nil, version, &packets.Connect{
		Level: byte(version), CleanStart: true,
		ClientID:    fmt.Appendf(nil, "bench-%d", names.Add(1)),
		HasUsername: true, Username: []byte("bench"),
		HasPassword: true, Password: []byte("bench"),
	})
	if err := errors.Join(s.SetDeadline(deadline), s.Expect(packets.CONNACK)); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// open connects client number of a scenario.
func open(p *peer, number int, deadline time.Time) (*client, error) {
	s, err := connect(p, p.tls, deadline)
	if err != nil {
		return nil, err
	}
	return &client{Stream: *s, peer: p, number: number, tls: p.tls, topic: []byte(allowedTopic)}, nil
}

// own gives a client a topic of its own, to which it subscribes: what it
// publishes comes back.
func own(c *client) error {
	c.topic = fmt.Appendf(nil, "plant/line-1/bench/echo-%d", c.number)
	return c.subscribe()
}

// audience subscribes all but the first client to what that publishes.
func audience(c *client) error {
	if c.number == 0 {
		return nil
	}
	return c.subscribe()
}

func (c *client) subscribe() error {
	c.Out = packets.AppendSubscribe(c.Out, version, 1, nil, []packets.Subscription{{Filter: c.topic}})
	p, err := c.Next()
	if err == nil && (p.Type != packets.SUBACK || len(p.Payload) != 1 || p.Payload[0] != 0) {
		err = fmt.Errorf("%v % x came instead of a SUBACK that grants QoS 0", p.Type, p.Payload)
	}
	return err
}

// publish appends a message with a payload of size bytes.
func (c *client) publish(dst []byte, qos byte, id uint16, size int) []byte {
	return packets.AppendPublish(dst, version, qos<<1, c.topic, id, nil, payload[:size], 0)
}
