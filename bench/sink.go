package main

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// sink is the broker behind the proxies. It acknowledges, and delivers with
// QoS 0 to those who subscribed to the very topic; there is nothing else that
// it does. It looks into nothing that the load does not send.
type sink struct {
	published atomic.Int64

	mu          sync.RWMutex
	subscribers map[string][]*session
}

// session is the sink's end of a connection. Its packets are answered by one
// goroutine; others deliver to it.
type session struct {
	rig.Stream // but for Out and writing, of the goroutine that reads

	mu  sync.Mutex // of Out and writing
	due []*session // those to whom something was appended since the last flush
}

// serve answers until l is closed, and waits for its sessions then.
func (k *sink) serve(l net.Listener) {
	k.subscribers = map[string][]*session{}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			s := &session{Stream: rig.Stream{Conn: c, Reader: packets.NewReader(packets.Client)}}
			defer c.Close()
			defer k.forget(s)
			for k.answer(s) == nil {
			}
		})
	}
}

// answer reads and answers one packet. What a read brought is answered, and
// delivered, with one write for each receiver.
func (k *sink) answer(s *session) error {
	p, err := s.Reader.Next()
	if errors.Is(err, packets.ErrShort) {
		return errors.Join(s.flushDue(), s.Fill())
	}
	if err != nil {
		return err
	}
	switch p.Type {
	case packets.CONNECT:
		s.append(s, func(out []byte) []byte {
			return packets.AppendConnack(out, version, false, packets.Success, nil)
		})
	case packets.SUBSCRIBE:
		s.append(s, func(out []byte) []byte {
			return packets.AppendSuback(out, version, p.ID, nil, k.subscribe(s, p))
		})
	case packets.PUBLISH:
		if p.Rest > 0 {
			s.Reader.Gather()
			return nil
		}
		k.publish(s, p)
	case packets.PINGREQ:
		s.append(s, func(out []byte) []byte { return append(out, byte(packets.PINGRESP)<<4, 0) })
	}
	return nil
}

func (k *sink) publish(s *session, p *packets.Packet) {
	k.published.Add(1)
	if p.QoS() == 1 {
		s.append(s, func(out []byte) []byte {
			return packets.AppendAck(out, version, packets.PUBACK, p.ID, packets.Success)
		})
	}
	k.mu.RLock()
	receivers := k.subscribers[string(p.Topic)]
	k.mu.RUnlock()
	for _, r := range receivers {
		s.append(r, func(out []byte) []byte {
			return packets.AppendPublish(out, version, 0, p.Topic, 0, nil, p.Payload, 0)
		})
	}
}

// subscribe returns the codes that grant all that p asks for, with QoS 0. The
// lists of receivers are replaced, never changed.
func (k *sink) subscribe(s *session, p *packets.Packet) (codes []packets.ReasonCode) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for filter := range p.Subscriptions() {
		old := k.subscribers[string(filter)]
		k.subscribers[string(filter)] = append(old[:len(old):len(old)], s)
		codes = append(codes, packets.Success)
	}
	return codes
}

// forget takes the subscriptions of s away.
func (k *sink) forget(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for topic, receivers := range k.subscribers {
		var kept []*session
		for _, r := range receivers {
			if r != s {
				kept = append(kept, r)
			}
		}
		k.subscribers[topic] = kept
		if kept == nil {
			delete(k.subscribers, topic)
		}
	}
}

// append appends to what r is sent with the next flush of s.
func (s *session) append(r *session, packet func([]byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.Out) == 0 {
		s.due = append(s.due, r)
	}
	r.Out = packet(r.Out)
}

// flushDue writes what has been appended. Another receiver that has gone is no
// concern of s.
func (s *session) flushDue() (err error) {
	for _, r := range s.due {
		r.mu.Lock()
		failed := r.Flush()
		r.mu.Unlock()
		if r == s {
			err = failed
		}
	}
	s.due = s.due[:0]
	return err
}
