package e2e

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/packets"
	paho3 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttward/mqttward/packets"
)

// recording is a broker that answers everything and keeps every byte that it
// gets.
type recording struct {
	net.Listener
	answer func(p *packets.Packet) []byte // nil, or nil of a packet: as brokers do

	mu    sync.Mutex
	conns []*recorded
}

// recorded is one connection to the broker.
type recorded struct {
	conn    net.Conn
	version packets.Version
	frames  [][]byte
	closed  bool
}

func record(t *testing.T, answer func(p *packets.Packet) []byte) *recording {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{Listener: l, answer: answer}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		for _, c := range r.conns {
			c.conn.Close()
		}
		r.mu.Unlock()
		serving.Wait()
	})
	return r
}

func (r *recording) serve(conn net.Conn) {
	c := &recorded{conn: conn}
	r.mu.Lock()
	r.conns = append(r.conns, c)
	r.mu.Unlock()
	defer func() {
		conn.Close()
		r.mu.Lock()
		c.closed = true
		r.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		frame, err := readFrame(in)
		if err != nil {
			return
		}
		r.mu.Lock()
		c.frames = append(c.frames, frame)
		r.mu.Unlock()
		p, err := packets.Parse(frame, c.version, packets.Client)
		if err != nil {
			continue // it is on record
		}
		if p.Type == packets.CONNECT {
			c.version = p.Version
		}
		b := usualAnswer(p)
		if r.answer != nil {
			if special := r.answer(p); special != nil {
				b = special
			}
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// readFrame reads a packet by its length alone.
func readFrame(in *bufio.Reader) ([]byte, error) {
	head, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	frame, length := []byte{head}, 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		frame = append(frame, b)
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	body := make([]byte, length)
	_, err = io.ReadFull(in, body)
	return append(frame, body...), err
}

// usualAnswer is what a broker answers.
func usualAnswer(p *packets.Packet) []byte {
	v := p.Version
	switch p.Type {
	case packets.CONNECT:
		return packets.AppendConnack(nil, v, false, packets.Success, packets.Properties{byte(packets.TopicAliasMaximum), 0, 10})
	case packets.PUBLISH:
		switch p.QoS() {
		case 1:
			return packets.AppendAck(nil, v, packets.PUBACK, p.ID, packets.Success)
		case 2:
			return packets.AppendAck(nil, v, packets.PUBREC, p.ID, packets.Success)
		}
	case packets.PUBREL:
		return packets.AppendAck(nil, v, packets.PUBCOMP, p.ID, packets.Success)
	case packets.SUBSCRIBE:
		var codes []packets.ReasonCode
		for _, o := range p.Subscriptions() {
			codes = append(codes, packets.ReasonCode(o.QoS()))
		}
		return packets.AppendSuback(nil, v, p.ID, nil, codes)
	case packets.UNSUBSCRIBE:
		var codes []packets.ReasonCode
		for range p.Subscriptions() {
			codes = append(codes, packets.Success)
		}
		return packets.AppendUnsuback(nil, v, p.ID, nil, codes)
	case packets.PINGREQ:
		return []byte{0xd0, 0}
	default:
	}
	return nil
}

// frames returns what came over all connections, in hexadecimal, and checks with
// an independent codec that all of it is well formed.
func (r *recording) frames(t *testing.T) (all []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		for _, frame := range c.frames {
			if err := independently(frame, c.version); err != nil {
				t.Errorf("the broker got % x: %v", frame[:min(len(frame), 64)], err)
			}
			all = append(all, hex.EncodeToString(frame))
		}
	}
	return all
}

// dials is how many connections there were.
func (r *recording) dials() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// awaitEnd waits until the proxy has closed every connection.
func (r *recording) awaitEnd(t *testing.T) {
	t.Helper()
	eventually(t, "end of the connections to the broker", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !slices.ContainsFunc(r.conns, func(c *recorded) bool { return !c.closed })
	})
}

// send sends the last client something of the broker's own.
func (r *recording) send(t *testing.T, b []byte) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.conns[len(r.conns)-1].conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// independently parses a frame with Paho's codecs.
func independently(frame []byte, v packets.Version) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if v == packets.V5 {
		_, err = paho5.ReadPacket(bytes.NewReader(frame))
		return err
	}
	_, err = paho3.ReadPacket(bytes.NewReader(frame))
	return err
}

// raw is a client that sends and gets bytes.
type raw struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (p *proxy) raw(t *testing.T) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, conn)
}

func newRaw(t *testing.T, conn net.Conn) *raw {
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return &raw{Conn: conn, t: t, in: bufio.NewReader(conn)}
}

// send writes packets.
func (c *raw) send(packets ...[]byte) {
	c.t.Helper()
	if _, err := c.Write(slices.Concat(packets...)); err != nil {
		c.t.Logf("cannot send: %v", err) // the other side may have seen enough
	}
}

// next returns the next packet in hexadecimal, or "close".
func (c *raw) next() string {
	c.t.Helper()
	frame, err := readFrame(c.in)
	if err == nil {
		return hex.EncodeToString(frame)
	}
	var timeout net.Error
	if isTimeout := asTimeout(err, &timeout); isTimeout {
		c.t.Fatalf("nothing came within %v", patience)
	}
	return "close"
}

func asTimeout(err error, target *net.Error) bool {
	e, ok := err.(net.Error)
	*target = e
	return ok && e.Timeout()
}

// expect wants these packets next, or "close".
func (c *raw) expect(say string, want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.next(); got != w {
			c.t.Errorf("%s: got %.80s, want %.80s", say, got, w)
		}
	}
}

// connect logs in and passes over the CONNACK, which has to be an acceptance.
func (c *raw) connect(v packets.Version, id, user string, edit ...func(*packets.Connect)) (sessionPresent bool) {
	c.t.Helper()
	c.send(rawConnect(v, id, user, edit...))
	got := c.next()
	if len(got) < 8 || got[:2] != "20" {
		c.t.Fatalf("%s got %s for a CONNACK", id, got)
	}
	b, err := hex.DecodeString(got)
	if err != nil || b[3] != 0 {
		c.t.Fatalf("%s got %s for a CONNACK", id, got)
	}
	return b[2] == 1
}

func rawConnect(v packets.Version, id, user string, edit ...func(*packets.Connect)) []byte {
	c := packets.Connect{Level: byte(v), CleanStart: true, ClientID: []byte(id), KeepAlive: 60}
	if user != "" {
		c.HasUsername, c.Username = true, []byte(user)
		c.HasPassword, c.Password = true, []byte(password(user))
	}
	for _, e := range edit {
		e(&c)
	}
	return packets.AppendConnect(nil, v, &c)
}

// alive checks that the session goes on and that nothing more has come.
func (c *raw) alive(say string) {
	c.t.Helper()
	c.send([]byte{0xc0, 0})
	c.expect(say, "d000")
}
