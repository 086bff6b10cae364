package main

import (
	"errors"
	"fmt"
	"net"

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

// next returns the next packet, which is valid until the call after it. The
// payload of a large PUBLISH is read and left out.
func (s *stream) next() (*packets.Packet, error) {
	for {
		p, err := s.reader.Next()
		if err == nil && p.Rest > 0 {
			return p, s.pass()
		}
		if !errors.Is(err, packets.ErrShort) {
			return p, err
		}
		if err := errors.Join(s.flush(), s.fill()); err != nil {
			return nil, err
		}
	}
}

// pass reads what is missing of the payload of a PUBLISH.
func (s *stream) pass() error {
	for s.reader.Chunk() != nil { // which can only be ErrShort
		if err := s.fill(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) fill() error {
	s.reader.Compact()
	return s.reader.Fill(s.Conn)
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
