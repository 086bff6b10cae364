// Package mqtttest is scripted MQTT peers for tests: a client's end and a
// broker's end that send bytes and expect packets, each expectation with a
// sentence that says why.
//
// It frames packets by itself and compares bytes, so that a mistake in package
// packets does not hide behind itself; packets serves to build what is sent
// and to name what came. A broken expectation fails the test at once.
package mqtttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// patience is how long an expectation, or a Send, waits.
const patience = 10 * time.Second

// Peer is one end of a connection. It is used by one goroutine.
type Peer struct {
	Conn     net.Conn
	Patience time.Duration // how long an expectation, or a Send, waits

	t       testing.TB
	name    string
	version packets.Version
	other   packets.Role // who is at the other end
}

// Client returns the client's end of conn, which speaks version v.
func Client(t testing.TB, conn net.Conn, v packets.Version) *Peer {
	return &Peer{Conn: conn, Patience: patience, t: t, name: "client", version: v, other: packets.Server}
}

// Broker returns the broker's end of conn.
func Broker(t testing.TB, conn net.Conn, v packets.Version) *Peer {
	return &Peer{Conn: conn, Patience: patience, t: t, name: "broker", version: v, other: packets.Client}
}

// Send writes the pieces, which may be any bytes, in one write.
func (p *Peer) Send(pieces ...[]byte) {
	p.t.Helper()
	p.Conn.SetWriteDeadline(time.Now().Add(p.Patience))
	defer p.Conn.SetWriteDeadline(time.Time{})
	if _, err := p.Conn.Write(bytes.Join(pieces, nil)); err != nil {
		p.t.Fatalf("%s: cannot send: %v", p.name, err)
	}
}

// Expect reads packets, which have to be these, in this order. The sentence
// says why.
func (p *Peer) Expect(sentence string, want ...[]byte) {
	p.t.Helper()
	for i, w := range want {
		got, err := p.read()
		if err != nil {
			p.t.Fatalf("%s: %s\n  want %s\n  got  %s and %v", p.name, sentence, p.describe(w), p.describe(got), err)
		}
		if !bytes.Equal(got, w) {
			p.t.Fatalf("%s: %s (packet %d of %d)\n  want %s\n  got  %s", p.name, sentence, i+1, len(want), p.describe(w), p.describe(got))
		}
	}
}

// ExpectClose expects an orderly end: nothing more comes, and no reset.
func (p *Peer) ExpectClose(sentence string) {
	p.t.Helper()
	if got, err := p.read(); len(got) > 0 || !errors.Is(err, io.EOF) {
		p.t.Fatalf("%s: %s\n  want the end of the stream\n  got  %s and %v", p.name, sentence, p.describe(got), err)
	}
}

// ExpectGone expects that the connection has ended without another byte,
// however it did.
func (p *Peer) ExpectGone(sentence string) {
	p.t.Helper()
	got, err := p.read()
	if len(got) > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: %s\n  want the end of the connection\n  got  %s and %v", p.name, sentence, p.describe(got), err)
	}
}

// ExpectSilence expects that nothing comes for d.
func (p *Peer) ExpectSilence(sentence string, d time.Duration) {
	p.t.Helper()
	p.Conn.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, 100)
	if n, err := p.Conn.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: %s\n  want silence\n  got  %s and %v", p.name, sentence, p.describe(b[:n]), err)
	}
}

// Close closes the connection without a word.
func (p *Peer) Close() { p.Conn.Close() }

// read reads one packet, or what there is of it.
func (p *Peer) read() ([]byte, error) {
	p.Conn.SetReadDeadline(time.Now().Add(p.Patience))
	head := make([]byte, 1, 5)
	if _, err := io.ReadFull(p.Conn, head); err != nil {
		return nil, err
	}
	length, err := p.readLength(&head)
	if err != nil {
		return head, err
	}
	packet := make([]byte, len(head)+length)
	copy(packet, head)
	n, err := io.ReadFull(p.Conn, packet[len(head):])
	return packet[:len(head)+n], err
}

// readLength reads a Remaining Length and appends its bytes to head.
func (p *Peer) readLength(head *[]byte) (length int, err error) {
	for shift := 0; shift < 28; shift += 7 {
		var b [1]byte
		if _, err := io.ReadFull(p.Conn, b[:]); err != nil {
			return 0, err
		}
		*head = append(*head, b[0])
		length |= int(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return length, nil
		}
	}
	return 0, errors.New("a Remaining Length of more than four bytes")
}

// describe names the packet b, for people.
func (p *Peer) describe(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	text := fmt.Sprintf("% x", b[:min(len(b), 64)])
	if len(b) > 64 {
		text += fmt.Sprintf(" … (%d bytes)", len(b))
	}
	version := p.version
	if packets.Type(b[0]>>4) == packets.CONNECT {
		version = 0
	}
	pkt, err := packets.Parse(b, version, p.other)
	if err != nil {
		return fmt.Sprintf("%s: not a packet: %v", text, err)
	}
	s := pkt.Type.String()
	if pkt.ID != 0 {
		s += fmt.Sprintf(" id %d", pkt.ID)
	}
	switch pkt.Type {
	case packets.PUBLISH:
		s += fmt.Sprintf(" QoS %d to %q, %d bytes of payload", pkt.QoS(), pkt.Topic, len(pkt.Payload))
	case packets.CONNACK, packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP, packets.DISCONNECT, packets.AUTH:
		s += fmt.Sprintf(" 0x%02x", uint8(pkt.Reason))
	case packets.SUBSCRIBE, packets.UNSUBSCRIBE:
		for filter := range pkt.Subscriptions() {
			s += fmt.Sprintf(" %q", filter)
		}
	case packets.SUBACK, packets.UNSUBACK:
		s += fmt.Sprintf(" codes % x", pkt.Payload)
	default:
	}
	return s + " | " + text
}
