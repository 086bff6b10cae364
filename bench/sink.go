package main

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/mqttward/mqttward/packets"
)

// version is the protocol version of all traffic: what most devices speak.
const version = packets.V311

// stream is one end of an MQTT connection.
type stream struct {
	net.Conn
	reader *packets.Reader
	out    []byte // written before the next read that waits
}

// next returns the next packet, which is valid until the call after it.
func (s *stream) next() (*packets.Packet, error) {
	for {
		p, err := s.reader.Next()
		if !errors.Is(err, packets.ErrShort) {
			return p, err
		}
		if err := s.flush(); err != nil {
			return nil, err
		}
		s.reader.Compact()
		if err := s.reader.Fill(s.Conn); err != nil {
			return nil, err
		}
	}
}

func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.Write(s.out)
	s.out = s.out[:0]
	return err
}

// expect reads the next packet, which must be a t and no refusal.
func (s *stream) expect(t packets.Type) error {
	p, err := s.next()
	if err == nil && (p.Type != t || p.Reason != packets.Success) {
		err = fmt.Errorf("%v (%v) came instead of %v", p.Type, p.Reason, t)
	}
	return err
}

// serveSink is a broker that delivers nothing until l is closed, and waits for
// its sessions then. It acknowledges all that a read brought in one write.
func serveSink(l net.Listener) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			defer c.Close()
			s := &stream{Conn: c, reader: packets.NewReader(packets.Client)}
			for s.answer() == nil {
			}
		})
	}
}

func (s *stream) answer() error {
	p, err := s.next()
	if err != nil {
		return err
	}
	switch p.Type {
	case packets.CONNECT:
		s.out = packets.AppendConnack(s.out, version, false, packets.Success, nil)
	case packets.PUBLISH:
		if p.QoS() == 1 {
			s.out = packets.AppendAck(s.out, version, packets.PUBACK, p.ID, packets.Success)
		}
	case packets.PINGREQ:
		s.out = append(s.out, byte(packets.PINGRESP)<<4, 0)
	}
	return nil
}
