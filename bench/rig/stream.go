package rig

import (
	"errors"
	"fmt"
	"net"

	"github.com/mqttward/mqttward/packets"
)

// Stream is one end of an MQTT connection.
type Stream struct {
	net.Conn
	Reader *packets.Reader
	Out    []byte // written before the next read that waits
}

// Next returns the next packet, which is valid until the call after it. The
// payload of a large PUBLISH is read and left out.
func (s *Stream) Next() (*packets.Packet, error) {
	for {
		p, err := s.Reader.Next()
		if err == nil && p.Rest > 0 {
			return p, s.pass()
		}
		if !errors.Is(err, packets.ErrShort) {
			return p, err
		}
		if err := errors.Join(s.Flush(), s.Fill()); err != nil {
			return nil, err
		}
	}
}

// pass reads what is missing of the payload of a PUBLISH.
func (s *Stream) pass() error {
	for s.Reader.Chunk() != nil { // which can only be ErrShort
		if err := s.Fill(); err != nil {
			return err
		}
	}
	return nil
}

// Fill reads once.
func (s *Stream) Fill() error {
	s.Reader.Compact()
	return s.Reader.Fill(s.Conn)
}

// Flush writes Out.
func (s *Stream) Flush() error {
	if len(s.Out) == 0 {
		return nil
	}
	_, err := s.Write(s.Out)
	s.Out = s.Out[:0]
	return err
}

// Expect reads the next packet, which must be a t and no refusal.
func (s *Stream) Expect(t packets.Type) error {
	p, err := s.Next()
	if err == nil && (p.Type != t || p.Reason != packets.Success) {
		err = fmt.Errorf("%v (%v) came instead of %v", p.Type, p.Reason, t)
	}
	return err
}
