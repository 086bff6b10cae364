package proxy_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	paho5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// listen reads all that comes over conn until it ends.
func listen(conn net.Conn, all *bytes.Buffer, done *sync.WaitGroup) {
	done.Go(func() { _, _ = io.Copy(all, conn) })
}

// whole is a stream without a PUBLISH at its end whose payload was still being
// streamed when the connection ended.
func whole(stream []byte) []byte {
	at := 0
	for at < len(stream) {
		size, ok := frameSize(stream[at:])
		if ok && size > len(stream)-at && packets.Type(stream[at]>>4) == packets.PUBLISH {
			break
		}
		if !ok || size > len(stream)-at {
			return stream // which framed finds
		}
		at += size
	}
	return stream[:at]
}

// framed cuts a stream into packets. What the proxy sends is well formed.
func framed(t *testing.T, stream []byte, v packets.Version, from packets.Role) (list []*packets.Packet) {
	t.Helper()
	for len(stream) > 0 {
		size, ok := frameSize(stream)
		if !ok || size > len(stream) {
			t.Fatalf("the stream ends within a packet: % x", stream[:min(len(stream), 32)])
		}
		version := v
		if packets.Type(stream[0]>>4) == packets.CONNECT {
			version = 0
		}
		p, err := packets.Parse(stream[:size], version, from)
		if err != nil {
			t.Fatalf("MQTT %v: the proxy sends % x: %v", v, stream[:size], err)
		}
		list = append(list, p)
		stream = stream[size:]
	}
	return list
}

func frameSize(b []byte) (int, bool) {
	length, shift := 0, 0
	for i := 1; i < len(b) && i < 5; i++ {
		length |= int(b[i]&0x7f) << shift
		if b[i] < 0x80 {
			return 1 + i + length, true
		}
		shift += 7
	}
	return 0, false
}

// moves decodes what the two ends say from the fuzzer's bytes: two a packet.
func moves(data []byte, v packets.Version) (list []move) {
	topics := []string{"data/a", "denied/a", "dropped/a", "data/b"}
	for ; len(data) >= 2 && len(list) < 200; data = data[2:] {
		kind, arg := data[0], data[1]
		id, topic, qos := uint16(arg&3)+1, topics[arg>>2&3], packets.QoS(arg>>4%3)
		m := move{up: kind&0x80 == 0}
		switch kind % 9 {
		case 0:
			m.packet = mqtttest.Publish(v, qos, id, topic, "x")
		case 1:
			m.packet = mqtttest.Publish(v, max(qos, 1), id, topic, "x")
			m.packet[0] |= 8
		case 2:
			m.packet = mqtttest.Ack(v, packets.PUBACK, id, packets.Success)
		case 3:
			m.packet = mqtttest.Ack(v, packets.PUBREC, id, packets.Success)
		case 4:
			m.packet = mqtttest.Ack(v, packets.PUBREL, id, packets.Success)
		case 5:
			m.packet = mqtttest.Ack(v, packets.PUBCOMP, id, packets.Success)
		case 6:
			m.packet = mqtttest.Subscribe(v, id, topic, "data/c")
			if !m.up {
				m.packet = mqtttest.Suback(v, id, 1)
				if arg&0x80 != 0 {
					m.packet = mqtttest.Suback(v, id, 1, 1)
				}
			}
		case 7:
			m.packet = packets.AppendUnsubscribe(nil, v, id, nil, [][]byte{[]byte(topic)})
			if !m.up {
				m.packet = packets.AppendUnsuback(nil, v, id, nil, []packets.ReasonCode{0})
			}
		default:
			m.packet = mqtttest.Pingreq()
			if !m.up {
				m.packet = mqtttest.Pingresp()
			}
			if arg == 0xff {
				m.packet = mqtttest.Disconnect(v, packets.Success)
			}
		}
		list = append(list, m)
	}
	return list
}

type move struct {
	up     bool
	packet []byte
}

// FuzzSession lets both ends say anything in any order, and looks at what the
// other gets: nothing denied, one answer to each request, nothing after
// DISCONNECT; no panic and no goroutine left.
func FuzzSession(f *testing.F) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(byte(random.Uint32()), data)
	}
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		v := versions[int(version)%len(versions)]
		synctest.Test(t, func(t *testing.T) {
			h := open(t, checked, func(p *proxy.Policy) { p.Limits.MaxInflight = 3 })
			defer h.close()
			client, broker := h.sessionWith(h.dial(v), v, connackOf(v))
			var down, up bytes.Buffer
			var done sync.WaitGroup
			listen(client.Conn, &down, &done)
			listen(broker.Conn, &up, &done)
			var sent [2]map[packets.Type]int
			sent[0], sent[1] = map[packets.Type]int{}, map[packets.Type]int{}
			for _, m := range moves(data, v) {
				conn, side := broker.Conn, 1
				if m.up {
					conn, side = client.Conn, 0
				}
				_ = conn.SetWriteDeadline(time.Now().Add(time.Minute))
				if _, err := conn.Write(m.packet); err != nil {
					break
				}
				sent[side][packets.Type(m.packet[0]>>4)]++
				synctest.Wait()
			}
			client.Close()
			broker.Close()
			done.Wait()
			checkSession(t, framed(t, down.Bytes(), v, packets.Server), sent[0], "dropped")
			checkSession(t, framed(t, up.Bytes(), v, packets.Client), sent[1], "denied")
		})
	})
}

// connackOf is a CONNACK that no policy of these tests changes.
func connackOf(v packets.Version) []byte {
	var ps packets.Properties
	if v == packets.V5 {
		ps = mqtttest.Uint16(packets.ReceiveMaximum, 3)
	}
	return mqtttest.Connack(v, packets.Success, ps)
}

// answers are the packets that answer others, once. A broker may send a PUBREC
// again.
var answers = map[packets.Type]packets.Type{
	packets.SUBACK: packets.SUBSCRIBE, packets.UNSUBACK: packets.UNSUBSCRIBE, packets.PUBACK: packets.PUBLISH,
}

// checkSession checks what one end has got, which has sent so many packets of each
// type.
func checkSession(t *testing.T, got []*packets.Packet, sent map[packets.Type]int, forbidden string) {
	t.Helper()
	counts := map[packets.Type]int{}
	for i, p := range got {
		counts[p.Type]++
		if p.Type == packets.DISCONNECT && i != len(got)-1 {
			t.Errorf("a %v comes behind DISCONNECT", got[i+1].Type)
		}
		if p.Type == packets.PUBLISH && strings.HasPrefix(string(p.Topic), forbidden) {
			t.Errorf("a PUBLISH to %s has come through", p.Topic)
		}
		if p.Type == packets.SUBSCRIBE {
			for filter := range p.Subscriptions() {
				if strings.HasPrefix(string(filter), forbidden) {
					t.Errorf("a SUBSCRIBE to %s has come through", filter)
				}
			}
		}
	}
	for answer, question := range answers {
		if counts[answer] > sent[question] {
			t.Errorf("%d × %v for %d × %v", counts[answer], answer, sent[question], question)
		}
	}
}

// inspector keeps the bytes that the last filter saw.
type inspector struct{ seen bytes.Buffer }

func (i *inspector) Filter(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.CONNECT {
		i.seen.Write(p.Raw)
	}
	return filters.Pass()
}

// mutated is a stream of valid packets of MQTT 5.0, some with a byte changed.
func mutated(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 7))
	var stream []byte
	for id := range uint16(50) {
		var p []byte
		topic := strings.Repeat("t/", random.IntN(4)) + "x"
		switch random.IntN(6) {
		case 0:
			p = mqtttest.Publish(packets.V5, 0, 0, topic, strings.Repeat("p", random.IntN(300)))
		case 1:
			p = mqtttest.Publish(packets.V5, 1, id+1, topic, "x", mqtttest.Text(packets.ContentType, "text"), mqtttest.Uint32(packets.MessageExpiryInterval, 60))
		case 2:
			p = mqtttest.Subscribe(packets.V5, id+1, topic, "#", "+/x")
		case 3:
			p = packets.AppendUnsubscribe(nil, packets.V5, id+1, nil, [][]byte{[]byte(topic)})
		case 4:
			p = mqtttest.Pingreq()
		default:
			p = mqtttest.Publish(packets.V5, 2, id+1, topic, "x", mqtttest.Text(packets.ResponseTopic, "re"), mqtttest.Text(packets.CorrelationData, "id"))
		}
		if random.IntN(40) == 0 {
			p[random.IntN(len(p))] ^= 1 << random.IntN(8)
		}
		stream = append(stream, p...)
	}
	return stream
}

// FuzzDifferential sends valid and mutated packets through the proxy. What the
// broker gets is what the filters inspected, byte for byte, and another codec
// reads the same packets in it.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, []byte(nil))
	}
	f.Add(uint64(1), []byte("\x30\x03\x00\x00\x00"))
	f.Add(uint64(22), []byte("\x30\x8c\x81\x48\x00\x01d\x00")) // its payload never comes
	f.Fuzz(func(t *testing.T, seed uint64, tail []byte) {
		synctest.Test(t, func(t *testing.T) {
			inspected := &inspector{}
			h := open(t, func(p *proxy.Policy) { p.Up = filters.Chain{inspected} })
			defer h.close()
			client, broker := h.session(packets.V5)
			var up, down bytes.Buffer
			var done sync.WaitGroup
			listen(broker.Conn, &up, &done)
			listen(client.Conn, &down, &done)
			_ = client.Conn.SetWriteDeadline(time.Now().Add(time.Minute))
			_, _ = client.Conn.Write(append(mutated(seed), tail...))
			synctest.Wait()
			client.Close()
			done.Wait()
			broker.Close()
			got, want := up.Bytes(), inspected.seen.Bytes()
			rest, ok := bytes.CutPrefix(want, got)
			// The last one may have ended the session by its Packet Identifier.
			if size, _ := frameSize(rest); !ok || len(rest) > 0 && size != len(rest) {
				t.Fatalf("the broker got %d bytes, %d were inspected", len(got), len(want))
			}
			got = whole(got)
			samePackets(t, got, want[:len(got)])
		})
	})
}

// samePackets parses the same bytes with Paho's codec and with ours.
func samePackets(t *testing.T, got, inspected []byte) {
	t.Helper()
	stream := bytes.NewReader(got)
	for _, p := range framed(t, inspected, packets.V5, packets.Client) {
		other, err := paho5.ReadPacket(stream)
		if err != nil && p.Type == packets.DISCONNECT { // Paho wants a Reason Code in it
			return
		}
		if err != nil {
			t.Fatalf("Paho: % x: %v", p.Raw, err)
		}
		if byte(p.Type) != other.Type {
			t.Fatalf("%v is type %d for Paho", p.Type, other.Type)
		}
		switch content := other.Content.(type) {
		case *paho5.Publish:
			if content.Topic != string(p.Topic) || content.PacketID != p.ID || content.QoS != byte(p.QoS()) || content.Retain != p.Retain() || !bytes.Equal(content.Payload, p.Payload) {
				t.Fatalf("% x is %+v for Paho", p.Raw, content)
			}
		case *paho5.Subscribe:
			i := 0
			for filter, o := range p.Subscriptions() {
				if s := content.Subscriptions[i]; s.Topic != string(filter) || s.QoS != byte(o.QoS()) {
					t.Fatalf("% x: %q is %+v for Paho", p.Raw, filter, s)
				}
				i++
			}
			if content.PacketID != p.ID || i != len(content.Subscriptions) {
				t.Fatalf("% x is %+v for Paho", p.Raw, content)
			}
		case *paho5.Unsubscribe:
			i := 0
			for filter := range p.Subscriptions() {
				if content.Topics[i] != string(filter) {
					t.Fatalf("% x: %q is %q for Paho", p.Raw, filter, content.Topics[i])
				}
				i++
			}
			if content.PacketID != p.ID || i != len(content.Topics) {
				t.Fatalf("% x is %+v for Paho", p.Raw, content)
			}
		}
	}
	if stream.Len() > 0 {
		t.Fatalf("Paho leaves %d bytes", stream.Len())
	}
}
