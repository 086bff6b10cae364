package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// member is an honest client that stays. It publishes with QoS 1 at fixed
// times, whatever becomes of the messages, and gets them back.
type member struct {
	*people
	number  int
	version packets.Version
	stream  *rig.Stream // nil: it has lost its connection

	first time.Time
	back  []bool // by number of message
}

func (m *member) source() net.IP { return home(m.number) }

func (m *member) user() string { return honestUser(m.number % honestUsers) }

// at is when message k is due. The members are spread over the pause.
func (m *member) at(k int) time.Time { return m.first.Add(time.Duration(k) * pause) }

// live sends and receives until all has come back or had the time for it, and
// connects again when the connection is lost.
func (m *member) live(ctx context.Context) {
	m.first = time.Now().Add(pause * time.Duration(m.number) / members)
	m.back = make([]bool, int(m.until.Sub(m.first)/pause))
	end := m.until.Add(draining)
	for ctx.Err() == nil {
		var err error
		if m.stream == nil {
			m.stream, err = m.connect(m.source(), m.user(), m.version)
		}
		if err == nil {
			err = m.session(end)
			m.stream = nil
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(end) {
				break
			}
			m.disconnected()
		}
		if time.Now().After(m.until) {
			break
		}
		time.Sleep(reconnecting)
	}
	m.settle()
}

// session uses a connection for as long as it lasts. It returns nil when all
// that is due has come back.
func (m *member) session(end time.Time) error {
	s := m.stream
	defer s.Close()
	topic := fmt.Appendf(nil, "plant/%s/echo-%d", m.user(), m.number)
	if err := s.SetDeadline(end); err != nil {
		return err
	}
	s.Out = packets.AppendSubscribe(s.Out, m.version, 1, nil, []packets.Subscription{{Filter: topic, Options: 1}})
	m.packets.Add(1)
	if err := s.Expect(packets.SUBACK); err != nil {
		return err
	}
	ended := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		m.publish(s, topic, ended)
	}()
	err := m.receive(s)
	close(ended)
	<-written
	if err == nil {
		m.packets.Add(1)
		_, err = s.Write(packets.AppendDisconnect(nil, m.version, packets.Success))
	}
	return err
}

// publish writes what is due from now on.
func (m *member) publish(s *rig.Stream, topic []byte, ended <-chan struct{}) {
	payload := make([]byte, 64)
	k := 0
	if late := time.Since(m.first); late > 0 {
		k = int(late/pause) + 1
	}
	for ; k < len(m.back); k++ {
		select {
		case <-ended:
			return
		case <-time.After(time.Until(m.at(k))):
		}
		binary.BigEndian.PutUint32(payload, uint32(k))
		m.packets.Add(1)
		if _, err := s.Write(packets.AppendPublish(nil, m.version, 1<<1, topic, packetID(k), nil, payload, 0)); err != nil {
			return // which the reader sees, too
		}
	}
}

// receive reads until the last message is there.
func (m *member) receive(s *rig.Stream) error {
	for last := len(m.back) - 1; last >= 0; {
		p, err := s.Next()
		if err != nil {
			return err
		}
		switch {
		case p.Type == packets.DISCONNECT:
			return fmt.Errorf("disconnected: %v", p.Reason)
		case p.Type != packets.PUBLISH || len(p.Payload) < 4:
			continue
		}
		k := int(binary.BigEndian.Uint32(p.Payload))
		m.deliver(k)
		if p.QoS() > 0 {
			s.Out = packets.AppendAck(s.Out, m.version, packets.PUBACK, p.ID, packets.Success)
			m.packets.Add(1)
			if err := s.Flush(); err != nil {
				return err
			}
		}
		if k == last {
			return nil
		}
	}
	return nil
}

// deliver notes that message k has come back.
func (m *member) deliver(k int) {
	took := time.Since(m.at(k))
	again := m.back[k]
	m.back[k] = true
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case again:
		m.duplicates++
	case m.at(k).Before(m.start):
		m.calm = append(m.calm, took)
	default:
		m.deliveries = append(m.deliveries, took)
	}
}

// disconnected notes a connection that was lost while it counts.
func (m *member) disconnected() {
	if time.Now().Before(m.start) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken++
}

// settle counts the messages that have not come back.
func (m *member) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, back := range m.back {
		if m.at(k).Before(m.start) {
			continue
		}
		m.sent++
		if !back {
			m.lost++
		}
	}
}
