package main

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

var errNotResumed = errors.New("the TLS session was not resumed")

// remember has a client resume its TLS session in the connections that it
// opens. The first, which has nothing to resume, is opened here.
func remember(c *client) error {
	if c.tls == nil {
		return nil
	}
	c.tls = c.tls.Clone()
	c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return c.visit(false)
}

// reconnect opens and ends one connection after the other. What it takes is
// the time until the CONNACK.
func reconnect(j *job, c *client) (n int, err error) {
	resume := c.tls != nil && c.tls.ClientSessionCache != nil
	for ; j.more(n); n++ {
		if err := c.visit(resume); err != nil {
			return n, err
		}
	}
	return n, nil
}

// visit opens a connection and ends it with DISCONNECT.
func (c *client) visit(resume bool) error {
	start := time.Now()
	s, err := connect(c.peer, c.tls, start.Add(rig.Grace))
	if err != nil {
		return err
	}
	defer s.Close()
	c.took.add(time.Since(start))
	if t, ok := s.Conn.(*tls.Conn); ok && resume && !t.ConnectionState().DidResume {
		return errNotResumed
	}
	s.Out = packets.AppendDisconnect(s.Out, version, packets.Success)
	return s.Flush()
}
