package e2e

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// script is what a client says, a step at a time, with how many packets it then
// waits for. All packet types are in it that a client sends.
type part struct {
	says  string
	send  [][]byte
	await int
}

func script(v packets.Version) []part {
	will := func(c *packets.Connect) {
		c.Will = &packets.Will{QoS: 1, Topic: []byte("t/will"), Payload: []byte("gone")}
		c.CleanStart = false
		if v == v5 {
			c.Props = packets.Properties{byte(packets.SessionExpiryInterval), 0, 0, 0, 60, byte(packets.ReceiveMaximum), 0, 10, byte(packets.TopicAliasMaximum), 0, 5}
			c.Will.Props = packets.Properties("\x26\x00\x01k\x00\x01v")
		}
	}
	var about packets.Properties
	if v == v5 {
		about = packets.Properties("\x01\x01\x03\x00\x04text\x08\x00\x04t/re\x09\x00\x02id\x26\x00\x01a\x00\x01b\x26\x00\x01a\x00\x01c")
	}
	ack := func(t packets.Type, id uint16) []byte { return packets.AppendAck(nil, v, t, id, packets.Success) }
	lines := []part{
		{"CONNECT", [][]byte{rawConnect(v, "transparent", "alice", will)}, 1},
		{"SUBSCRIBE to several", [][]byte{sub(v, 1, 2, "t/#", "u/+", "$share/g/s")}, 1},
		{"QoS 0", [][]byte{packets.AppendPublish(nil, v, 0, []byte("t/0"), 0, about, []byte("zero"), 0)}, 1},
		{"QoS 1", [][]byte{packets.AppendPublish(nil, v, 2, []byte("t/1"), 2, about, []byte("one"), 0)}, 2},
		{"its PUBACK", [][]byte{ack(packets.PUBACK, 1)}, 0},
		{"QoS 2", [][]byte{packets.AppendPublish(nil, v, 4, []byte("t/2"), 3, about, []byte("two"), 0)}, 1},
		{"its PUBREL", [][]byte{ack(packets.PUBREL, 3)}, 2},
		{"the PUBREC of the delivery", [][]byte{ack(packets.PUBREC, 2)}, 1},
		{"and its PUBCOMP", [][]byte{ack(packets.PUBCOMP, 2)}, 0},
		{"shared", [][]byte{packets.AppendPublish(nil, v, 0, []byte("s"), 0, nil, nil, 0)}, 1},
		{"retained", [][]byte{packets.AppendPublish(nil, v, 1, []byte("r/x"), 0, nil, []byte("kept"), 0)}, 0},
		{"which a subscription brings", [][]byte{sub(v, 4, 0, "r/#")}, 2},
		{"and is cleared", [][]byte{packets.AppendPublish(nil, v, 1, []byte("r/x"), 0, nil, nil, 0)}, 1},
		{"PINGREQ", [][]byte{{0xc0, 0}}, 1},
		{"UNSUBSCRIBE", [][]byte{unsub(v, 5, "r/#", "never/had")}, 1},
		{"many at once", [][]byte{sub(v, 6, 0, "m"), pub(v, 0, 0, "m"), {0xc0, 0}}, 3},
		{"an unknown PUBREL", [][]byte{ack(packets.PUBREL, 77)}, 1},
	}
	if v == v5 {
		alias := []byte{byte(packets.TopicAlias), 0, 3}
		lines = append(lines,
			part{"an alias is set", [][]byte{pub(v, 0, 0, "m", alias...)}, 1},
			part{"and used", [][]byte{pub(v, 0, 0, "", alias...)}, 1},
			part{"DISCONNECT with the Will", [][]byte{{0xe0, 1, 4}}, 1},
		)
		return lines
	}
	return append(lines, part{"DISCONNECT", [][]byte{{0xe0, 0}}, 1})
}

// play returns what a client gets for the script, and the broker's Packet
// Identifiers are the same each time: a new broker counts from 1.
func play(t *testing.T, address string, v packets.Version) (got []string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, conn)
	for _, l := range script(v) {
		c.send(l.send...)
		var answers []string
		for range l.await {
			answers = append(answers, c.next())
		}
		slices.Sort(answers) // the broker is free in the order of an answer and a delivery
		got = append(got, fmt.Sprintf("%s: %s", l.says, strings.Join(answers, " ")))
	}
	return got
}

// deviations are the properties that the proxy adds to the CONNACK of MQTT 5.0, or
// changes in it. docs/protocol.md gives the reasons.
var deviations = []struct {
	id   packets.PropertyID
	size int
	why  string
}{
	{packets.ReceiveMaximum, 2, "limits.max_inflight is above Mosquitto's 20, so it stays"},
	{packets.MaximumPacketSize, 4, "limits.max_packet_size is announced"},
}

// normal takes from a CONNACK what the proxy may change.
func normal(t *testing.T, connack string, v packets.Version) string {
	t.Helper()
	line, hexed, _ := strings.Cut(connack, ": ")
	frame, err := hex.DecodeString(hexed)
	if err != nil {
		t.Fatal(err)
	}
	p, err := packets.Parse(frame, v, packets.Server)
	if err != nil || p.Type != packets.CONNACK {
		t.Fatalf("%s: %v", connack, err)
	}
	var kept []string
	for id, value := range p.Props.All() {
		changed := slices.ContainsFunc(deviations, func(d struct {
			id   packets.PropertyID
			size int
			why  string
		},
		) bool {
			return d.id == id && d.size == len(value)
		})
		if !changed {
			kept = append(kept, fmt.Sprintf("%02x=%x", id, value))
		}
	}
	slices.Sort(kept)
	return fmt.Sprintf("%s: code %d, session present %v, %s", line, p.Reason, p.SessionPresent, kept)
}

// tap is a wire to a broker that keeps what goes through it from the proxy.
type tap struct {
	net.Listener
	up   bytes.Buffer
	done chan struct{} // closed when the one connection has ended
}

func startTap(t *testing.T, broker string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &tap{Listener: l, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		if err := w.carry(broker); err != nil {
			t.Log("the wire to the broker:", err)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		receive(t, "end of the wire to the broker", w.done)
	})
	return w
}

// carry carries one connection to its end.
func (w *tap) carry(broker string) error {
	from, err := w.Accept()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := net.Dial("tcp", broker)
	if err != nil {
		return err
	}
	down := make(chan struct{})
	go func() {
		defer close(down)
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	_, _ = io.Copy(io.MultiWriter(to, &w.up), from) // however it ends
	to.Close()
	<-down
	return nil
}

// sent returns what the proxy has sent over the wire, a packet a line.
func (w *tap) sent(t *testing.T) (lines []string) {
	t.Helper()
	receive(t, "end of the wire to the broker", w.done)
	return split(t, w.up.Bytes())
}

// split cuts bytes into packets.
func split(t *testing.T, b []byte) (lines []string) {
	t.Helper()
	for in := bufio.NewReader(bytes.NewReader(b)); ; {
		frame, err := readFrame(in)
		if err != nil {
			if len(frame) > 0 {
				t.Errorf("half a packet: % x", frame)
			}
			return lines
		}
		lines = append(lines, hex.EncodeToString(frame))
	}
}

// said is what the client says in the script, all of which goes on as it is.
func said(t *testing.T, v packets.Version) (lines []string) {
	t.Helper()
	for _, l := range script(v) {
		lines = append(lines, split(t, slices.Concat(l.send...))...)
	}
	return lines
}

// TestTransparency: a client and a broker that behave cannot tell that the proxy
// is there, byte for byte, but for the deviations.
func TestTransparency(t *testing.T) {
	t.Parallel()
	for _, v := range []packets.Version{packets.V31, v3, v5} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			direct := startBroker(t)
			behind := startBroker(t)
			wire := startTap(t, behind.address())
			p := startProxy(t, settings{
				broker: wire.Addr().String(), listeners: plain,
				rules: []string{`{allow: [publish, subscribe], topics: ["#"]}`},
			})
			// The Wills too: both brokers are watched.
			watch, watchBehind := direct.monitor(t), behind.monitor(t)
			want, got := play(t, direct.address(), v), play(t, p.address(), v)
			want[0], got[0] = normal(t, want[0], v), normal(t, got[0], v)
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("through the proxy\n\t%s\ndirectly\n\t%s", got[i], want[i])
				}
			}
			equal(t, "what the broker gets", wire.sent(t), said(t, v))
			// In any order: a message of QoS 2 is there when its flow is finished.
			equal(t, "what the others get", slices.Sorted(slices.Values(end(t, behind, watchBehind))), slices.Sorted(slices.Values(end(t, direct, watch))))
		})
	}
}
