package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

func contains(parts ...string) func(string) bool {
	return func(line string) bool {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				return false
			}
		}
		return true
	}
}

// TestConnectRefused has CONNECTs that are refused before anything is dialled.
func TestConnectRefused(t *testing.T) {
	const none = packets.Success // no CONNACK at all
	method := mqtttest.Props(mqtttest.Text(packets.AuthenticationMethod, "SCRAM-SHA-256"))
	unknown := func(level byte) []byte {
		b := mqtttest.Connect(packets.V311, "device")
		b[8] = level
		return b
	}
	raw := func(v packets.Version, edit func(b []byte)) []byte {
		b := mqtttest.Connect(v, "device")
		edit(b)
		return b
	}
	dirty := func(c *packets.Connect) { c.CleanStart = false }
	const v3, v5 = packets.V311, packets.V5
	tests := []struct {
		name    string
		version packets.Version // of the answer
		connect []byte
		code    packets.ReasonCode
		end     string
	}{
		{"enhanced authentication", v5, mqtttest.Connect(v5, "device", method), packets.BadAuthenticationMethod, "bad_credentials"},
		{"a Will that is denied", v5, mqtttest.Connect(v5, "device", mqtttest.Will("denied/a", "x")), packets.NotAuthorized, "connect_denied"},
		{"a Will that is denied, 3.1.1", v3, mqtttest.Connect(v3, "device", mqtttest.Will("denied/a", "x")), packets.NotAuthorized, "connect_denied"},
		{"version 6", v5, unknown(6), packets.UnsupportedProtocolVersion, "malformed_connect"},
		{"version 2", v3, unknown(2), packets.UnsupportedProtocolVersion, "malformed_connect"},
		{"malformed flags, 5.0", v5, raw(v5, func(b []byte) { b[9] |= 1 }), packets.MalformedPacket, "malformed_connect"},
		{"malformed flags, 3.1.1", v3, raw(v3, func(b []byte) { b[9] |= 1 }), none, "malformed_connect"},
		{"no client id without a clean session, 3.1.1", v3, mqtttest.Connect(v3, "", dirty), packets.ClientIdentifierNotValid, "malformed_connect"},
		{"a NUL in the client id, 5.0", v5, mqtttest.Connect(v5, "a\x00b"), packets.MalformedPacket, "malformed_connect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client := h.dial(tt.version)
				client.Send(tt.connect)
				if tt.code != none {
					client.Expect("The refusal says why.", mqtttest.Connack(tt.version, tt.code))
				}
				client.ExpectClose("The connection ends.")
				h.expectEnd("refused " + tt.end)
				if n := h.dials.Load(); n != 0 {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
}

func TestWillAllowed(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		h.session(v, mqtttest.Will("data/gone", "x"))
		if n := h.seen.count("decided will allowed"); n != 1 {
			t.Errorf("%d Wills allowed, want 1", n)
		}
	})
}

// TestConnectWithoutVerdict has a filter that forgot its verdict.
func TestConnectWithoutVerdict(t *testing.T) {
	for _, action := range []filters.Action{filters.Disconnect, filters.Drop, filters.Reply} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			p := h.newPolicy()
			p.Up = filters.Chain{&opener{h: h, filter: func(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
				return filters.Verdict{Action: action, Packet: mqtttest.Connect(packets.V5, "other")}
			}}}
			*h.policy = *p
			client := h.dial(packets.V5)
			client.Send(mqtttest.Connect(packets.V5, "device"))
			client.Expect("A client is not let in by mistake.", mqtttest.Connack(packets.V5, packets.UnspecifiedError))
			h.expectEnd("refused connect_denied")
			if n := h.dials.Load(); n != 0 {
				t.Errorf("action %d: %d dials", action, n)
			}
		})
	}
}

// TestViolations has sessions that end because a side breaks the rules. What
// came before goes on; what is wrong does not.
func TestViolations(t *testing.T) {
	const v5 = packets.V5
	auth := []byte{0xf0, 6, 0x18, 4, byte(packets.AuthenticationMethod), 0, 1, 'x'}
	publish := mqtttest.Publish(v5, 1, 7, "data/a", "x")
	edit := func(b []byte, at int, with byte) []byte {
		c := append([]byte(nil), b...)
		c[at] = with
		return c
	}
	fromClient := []struct {
		name string
		send []byte
		code packets.ReasonCode
	}{
		{"a second CONNECT", mqtttest.Connect(v5, "device"), packets.ProtocolError},
		{"a CONNACK", mqtttest.Connack(v5, packets.Success), packets.ProtocolError},
		{"a SUBACK", mqtttest.Suback(v5, 1, 0), packets.ProtocolError},
		{"an UNSUBACK", []byte{0xb0, 4, 0, 1, 0, 0}, packets.ProtocolError},
		{"a PINGRESP", mqtttest.Pingresp(), packets.ProtocolError},
		{"an AUTH", auth, packets.ProtocolError},
		{"type 0", []byte{0, 0}, packets.MalformedPacket},
		{"QoS 3", edit(publish, 0, 0x36), packets.MalformedPacket},
		{"DUP on QoS 0", []byte{0x38, 4, 0, 1, 'a', 0}, packets.MalformedPacket},
		{"packet id 0", edit(edit(publish, 10, 0), 11, 0), packets.ProtocolError},
		{"a wildcard in a topic", mqtttest.Publish(v5, 0, 0, "data/#", "x"), packets.TopicNameInvalid},
		{"an overlong length", []byte{0xc0, 0x80, 0x00}, packets.MalformedPacket},
		{"a length of five bytes", []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, packets.MalformedPacket},
		{"a packet above the limit", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, packets.PacketTooLarge},
		{"a SUBSCRIBE without filters", []byte{0x82, 3, 0, 1, 0}, packets.ProtocolError},
	}
	for _, tt := range fromClient {
		t.Run("client sends "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, func(p *proxy.Policy) { p.Limits.MaxPacketSize = 8 << 20 })
				defer h.close()
				client, broker := h.session(v5)
				client.Send(publish, tt.send, publish)
				broker.Expect("What came before goes on.", publish)
				broker.ExpectClose("Nothing else does, and the Will is due.")
				client.Expect("The client is told what was wrong.", mqtttest.Disconnect(v5, tt.code))
				client.ExpectClose("The end is orderly.")
				h.expectEnd("ended protocol_error")
			})
		})
	}
	fromBroker := []struct {
		name string
		send []byte
	}{
		{"a second CONNACK", mqtttest.Connack(v5, packets.Success)},
		{"a CONNECT", mqtttest.Connect(v5, "device")},
		{"a SUBSCRIBE", mqtttest.Subscribe(v5, 1, "a")},
		{"a PINGREQ", mqtttest.Pingreq()},
		{"an AUTH", auth},
		{"QoS 3", edit(publish, 0, 0x36)},
		{"HTTP", []byte("HTTP/1.1 408 Request Timeout\r\n\r\n")},
	}
	for _, tt := range fromBroker {
		t.Run("broker sends "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client, broker := h.session(v5)
				broker.Send(publish, tt.send, publish)
				client.Expect("What came before arrives.", publish)
				client.Expect("The client is not blamed.", mqtttest.Disconnect(v5, packets.UnspecifiedError))
				client.ExpectClose("The session ends.")
				broker.ExpectClose("The broker's side too.")
				h.expectEnd("ended broker_protocol_error")
			})
		})
	}
}

// TestViolationsBefore5 ends sessions of MQTT 3.x, where nothing can be said.
func TestViolationsBefore5(t *testing.T) {
	for _, v := range []packets.Version{packets.V31, packets.V311} {
		for _, send := range [][]byte{mqtttest.Connect(v, "device"), {0xf0, 0}, mqtttest.Pingresp()} {
			t.Run(fmt.Sprintf("%v % x", v, send[:2]), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := open(t)
					defer h.close()
					client, broker := h.session(v)
					client.Send(send)
					client.ExpectClose("The session ends without a word.")
					broker.ExpectClose("The broker's side without a DISCONNECT.")
					h.expectEnd("ended protocol_error")
				})
			})
		}
	}
}

// opens is a filter that passes everything and tells when it is opened.
type opens func(*filters.Session)

func (o opens) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}

func (o opens) Open(s *filters.Session) filters.Filter {
	o(s)
	return o
}

// TestSecretsStayOut looks for what must not be in any log.
func TestSecretsStayOut(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, func(p *proxy.Policy) { p.Limits.MaxPacketSize = 1000 })
		defer h.close()
		client, _ := h.session(v, mqtttest.Login("alice", "s3cret"), mqtttest.Will("data/gone", "s3cret"))
		client.Send(mqtttest.Publish(v, 1, 7, "denied/a", "s3cret"), mqtttest.Publish(v, 1, 8, "s3cret/#", "s3cret"))
		client.Close()
		other := h.dial(v)
		other.Send(mqtttest.Connect(v, "s3cret\x00", mqtttest.Login("bob", "wrong")))
		other.Close()
		synctest.Wait()
		for _, line := range append(h.log.all(), h.audit.all()...) {
			if strings.Contains(line, "s3cret") || strings.Contains(line, "wrong") {
				t.Errorf("log: %s", line)
			}
		}
	})
}
