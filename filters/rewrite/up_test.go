package rewrite_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/rewrite"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// acme returns the filters of both directions for a client of the tenant acme.
func acme(t testing.TB, v packets.Version) (s *filters.Session, up, down filters.Chain) {
	t.Helper()
	n, topicErr, idErr := rewrite.NewNamespaces("${tenant}/", "${tenant}-")
	if topicErr != nil || idErr != nil {
		t.Fatal(topicErr, idErr)
	}
	s = &filters.Session{Version: v, ClientID: "dev", Identity: filters.Identity{Username: "bob", Tenant: "acme"}}
	var err error
	if s.Namespace, err = n.Of(s); err != nil {
		t.Fatal(err)
	}
	return s, filters.Chain{n.Up()}.Open(s), filters.Chain{n.Down()}.Open(s)
}

func parse(t testing.TB, b []byte, v packets.Version, from packets.Role) *packets.Packet {
	t.Helper()
	if packets.Type(b[0]>>4) == packets.CONNECT {
		v = 0 // it says its version itself
	}
	p, err := packets.Parse(b, v, from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	responseTopic = mqtttest.Text(packets.ResponseTopic, "answers")
	before        = mqtttest.Text(packets.ContentType, "answers") // properties that are no names
	behind        = mqtttest.Text(packets.CorrelationData, "answers")
)

func willed(topic string, ps packets.Properties) func(*packets.Connect) {
	return func(c *packets.Connect) {
		c.Will = &packets.Will{Topic: []byte(topic), Payload: []byte("gone"), Props: ps}
	}
}

func TestUp(t *testing.T) {
	const v3, v4, v5 = packets.V31, packets.V311, packets.V5
	unsubscribe := func(v packets.Version, filters ...string) []byte {
		names := make([][]byte, len(filters))
		for i, f := range filters {
			names[i] = []byte(f)
		}
		return packets.AppendUnsubscribe(nil, v, 7, nil, names)
	}
	tests := []struct {
		name       string
		version    packets.Version
		sent, want []byte
	}{
		{"a topic", v3, mqtttest.Publish(v3, 0, 0, "a", "x"), mqtttest.Publish(v3, 0, 0, "acme/a", "x")},
		{"another tenant's topic", v4, mqtttest.Publish(v4, 1, 3, "zeta/a", "x"), mqtttest.Publish(v4, 1, 3, "acme/zeta/a", "x")},
		{"a topic that begins with a slash", v4, mqtttest.Publish(v4, 2, 3, "/a", "x"), mqtttest.Publish(v4, 2, 3, "acme//a", "x")},
		{"its own prefix", v4, mqtttest.Publish(v4, 0, 0, "acme/a", "x"), mqtttest.Publish(v4, 0, 0, "acme/acme/a", "x")},
		{"retained", v4, packets.AppendPublish(nil, v4, 1, []byte("a"), 0, nil, nil, 0), packets.AppendPublish(nil, v4, 1, []byte("acme/a"), 0, nil, nil, 0)},
		{
			"a Response Topic", v5, mqtttest.Publish(v5, 1, 3, "a", "x", before, responseTopic, behind),
			mqtttest.Publish(v5, 1, 3, "acme/a", "x", before, mqtttest.Text(packets.ResponseTopic, "acme/answers"), behind),
		},
		{"filters", v4, mqtttest.Subscribe(v4, 7, "#", "+", "a/+/b", "/"), mqtttest.Subscribe(v4, 7, "acme/#", "acme/+", "acme/a/+/b", "acme//")},
		{"Shared Subscriptions", v5, mqtttest.Subscribe(v5, 7, "$share/g/#", "$share/g//a"), mqtttest.Subscribe(v5, 7, "$share/g/acme/#", "$share/g/acme//a")},
		{
			"names of the broker's", v4, mqtttest.Subscribe(v4, 7, "$SYS/#", "$CONTROL/dynamic-security/v1", "$queue/a", "$share"),
			mqtttest.Subscribe(v4, 7, "acme/$SYS/#", "acme/$CONTROL/dynamic-security/v1", "acme/$queue/a", "acme/$share"),
		},
		{"filters that are left", v4, unsubscribe(v4, "#", "$share/g/a"), unsubscribe(v4, "acme/#", "$share/g/acme/a")},
		{"filters that are left, MQTT 5.0", v5, unsubscribe(v5, "a"), unsubscribe(v5, "acme/a")},
		{"a client identifier", v4, mqtttest.Connect(v4, "dev"), mqtttest.Connect(v4, "acme-dev")},
		{"a Will", v3, mqtttest.Connect(v3, "dev", willed("a", nil)), mqtttest.Connect(v3, "acme-dev", willed("acme/a", nil))},
		{
			"a Will with a Response Topic", v5, mqtttest.Connect(v5, "dev", willed("a", responseTopic)),
			mqtttest.Connect(v5, "acme-dev", willed("acme/a", mqtttest.Text(packets.ResponseTopic, "acme/answers"))),
		},
		{"no name", v5, mqtttest.Pingreq(), mqtttest.Pingreq()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, up, _ := acme(t, tt.version)
			p := parse(t, tt.sent, tt.version, packets.Client)
			v := up.JudgeUp(time.Time{}, s, p)
			got := v.Packet
			if v.Action == filters.Forward {
				got = p.Raw
			}
			if !bytes.Equal(got, tt.want) {
				t.Errorf("%d %q\n%q\n%q", v.Action, v.Rule, got, tt.want)
			}
		})
	}
}

func TestUpRefuses(t *testing.T) {
	const v4, v5 = packets.V311, packets.V5
	long := strings.Repeat("a", 65_531) // the longest has 65,530 bytes behind "acme/"
	ack := func(v packets.Version, t packets.Type, rc packets.ReasonCode) []byte {
		return packets.AppendAck(nil, v, t, 3, rc)
	}
	tests := []struct {
		name    string
		version packets.Version
		sent    []byte
		action  filters.Action
		want    []byte // the answer
		reason  packets.ReasonCode
	}{
		{"the broker's own", v4, mqtttest.Publish(v4, 0, 0, "$SYS/a", "x"), filters.Drop, nil, packets.TopicNameInvalid},
		{"the broker's own, QoS 1", v4, mqtttest.Publish(v4, 1, 3, "$a", "x"), filters.Reply, ack(v4, packets.PUBACK, 0), packets.TopicNameInvalid},
		{"the broker's own, MQTT 5.0", v5, mqtttest.Publish(v5, 2, 3, "$a", "x"), filters.Reply, ack(v5, packets.PUBREC, packets.TopicNameInvalid), packets.TopicNameInvalid},
		{"a topic that gets too long", v5, mqtttest.Publish(v5, 1, 3, long, "x"), filters.Reply, ack(v5, packets.PUBACK, packets.TopicNameInvalid), packets.TopicNameInvalid},
		{
			"a Response Topic that gets too long", v5, mqtttest.Publish(v5, 1, 3, "a", "x", mqtttest.Text(packets.ResponseTopic, long)),
			filters.Reply, ack(v5, packets.PUBACK, packets.TopicNameInvalid), packets.TopicNameInvalid,
		},
		{"a filter that gets too long", v4, mqtttest.Subscribe(v4, 3, "a", long), filters.Disconnect, nil, packets.TopicFilterInvalid},
		{"an identifier that gets too long", v4, mqtttest.Connect(v4, long), filters.Disconnect, nil, packets.ClientIdentifierNotValid},
		{"a Will that gets too long", v4, mqtttest.Connect(v4, "dev", willed(long, nil)), filters.Disconnect, nil, packets.TopicNameInvalid},
		{"a Will at the broker's own", v4, mqtttest.Connect(v4, "dev", willed("$SYS/a", nil)), filters.Disconnect, nil, packets.TopicNameInvalid},
		{
			"a Will whose Response Topic gets too long", v5, mqtttest.Connect(v5, "dev", willed("a", mqtttest.Text(packets.ResponseTopic, long))),
			filters.Disconnect, nil, packets.TopicNameInvalid,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, up, _ := acme(t, tt.version)
			v := up.JudgeUp(time.Time{}, s, parse(t, tt.sent, tt.version, packets.Client))
			if v.Action != tt.action || v.Reason != tt.reason || !bytes.Equal(v.Packet, tt.want) || v.Rule == "" {
				t.Errorf("got %+v, want %d, %#x and %x", v, tt.action, tt.reason, tt.want)
			}
		})
	}
}

// TestLongest: with the prefix it is as long as a string can be.
func TestLongest(t *testing.T) {
	s, up, _ := acme(t, packets.V5)
	longest := strings.Repeat("a", 65_530)
	for name, b := range map[string][]byte{
		"a topic":         mqtttest.Publish(packets.V5, 0, 0, longest, "x"),
		"a Response":      mqtttest.Publish(packets.V5, 0, 0, "a", "x", mqtttest.Text(packets.ResponseTopic, longest)),
		"a filter":        mqtttest.Subscribe(packets.V5, 7, longest),
		"a client and so": mqtttest.Connect(packets.V5, longest, willed(longest, nil)),
	} {
		if v := up.JudgeUp(time.Time{}, s, parse(t, b, packets.V5, packets.Client)); v.Action != filters.Rewrite {
			t.Errorf("%s: %d %q", name, v.Action, v.Rule)
		}
	}
}

// TestGrown: the broker gets nothing that is larger than it takes.
func TestGrown(t *testing.T) {
	const v5 = packets.V5
	publish := mqtttest.Publish(v5, 1, 3, "a", "x")
	streamed := packets.AppendPublish(nil, v5, 0, []byte("a"), 0, nil, nil, 50)
	named := mqtttest.Publish(v5, 1, 3, "a", "x", responseTopic)
	subscribe := mqtttest.Subscribe(v5, 3, "a", "b")
	tests := []struct {
		name string
		sent []byte
		size int // with the prefixes
		want []byte
	}{
		{"a PUBLISH", publish, len(publish) + 5, packets.AppendAck(nil, v5, packets.PUBACK, 3, packets.ImplementationSpecificError)},
		{"a PUBLISH that is not all here", streamed, len(streamed) + 50 + 5, nil},
		{"a Response Topic", named, len(named) + 10, packets.AppendAck(nil, v5, packets.PUBACK, 3, packets.ImplementationSpecificError)},
		{"a SUBSCRIBE", subscribe, len(subscribe) + 10, mqtttest.Suback(v5, 3, packets.ImplementationSpecificError, packets.ImplementationSpecificError)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, up, _ := acme(t, v5)
			p := parse(t, tt.sent, v5, packets.Client)
			s.Terms.PacketMaximum = tt.size - 1
			if v := up.JudgeUp(time.Time{}, s, p); v.Action >= filters.Rewrite || !bytes.Equal(v.Packet, tt.want) {
				t.Errorf("a byte too large: %+v, want %x", v, tt.want)
			}
			s.Terms.PacketMaximum = tt.size
			if v := up.JudgeUp(time.Time{}, s, p); v.Action != filters.Rewrite {
				t.Errorf("it fits: %+v", v)
			}
		})
	}
}

// TestNoNamespace: who should have names of its own and has none gets nothing through.
func TestNoNamespace(t *testing.T) {
	for _, prefixes := range [][2]string{{"${tenant}/", ""}, {"", "${tenant}-"}} {
		n, _, _ := rewrite.NewNamespaces(prefixes[0], prefixes[1])
		s := &filters.Session{Version: packets.V5, ClientID: "dev", Identity: filters.Identity{Tenant: "acme"}}
		p := parse(t, mqtttest.Publish(packets.V5, 0, 0, "acme/a", "x"), packets.V5, packets.Client)
		if v := (filters.Chain{n.Up()}.Open(s)).JudgeUp(time.Time{}, s, p); v.Action != filters.Disconnect {
			t.Errorf("%v: up %+v", prefixes, v)
		}
		if v := (filters.Chain{n.Down()}.Open(s)).JudgeDown(time.Time{}, s, p); v.Action != filters.Disconnect {
			t.Errorf("%v: down %+v", prefixes, v)
		}
		if v := (filters.Chain{n.Up()}).JudgeUp(time.Time{}, s, p); v.Action != filters.Disconnect {
			t.Errorf("%v: not opened %+v", prefixes, v)
		}
	}
}

// TestNamespaceAllocations: what is rewritten costs what the chain's parsing of it
// does, and no more.
func TestNamespaceAllocations(t *testing.T) {
	for name, up := range map[string]bool{"up": true, "down": false} {
		s, f, down := acme(t, packets.V5)
		p := parse(t, mqtttest.Publish(packets.V5, 0, 0, "acme/a", "x", before), packets.V5, packets.Client)
		if !up {
			f = down
		}
		if n := testing.AllocsPerRun(100, func() {
			if v := f[0].Filter(time.Time{}, s, p); v.Action != filters.Rewrite {
				t.Fatalf("%+v", v)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkNamespaces is a PUBLISH through the chain of one direction.
func BenchmarkNamespaces(b *testing.B) {
	publish := mqtttest.Publish(packets.V5, 0, 0, "acme/line/1/temperature", strings.Repeat("x", 64))
	b.Run("up", func(b *testing.B) {
		s, up, _ := acme(b, packets.V5)
		p := parse(b, publish, packets.V5, packets.Client)
		b.ReportAllocs()
		for b.Loop() {
			up.JudgeUp(time.Time{}, s, p)
		}
	})
	b.Run("down", func(b *testing.B) {
		s, _, down := acme(b, packets.V5)
		p := parse(b, publish, packets.V5, packets.Server)
		b.ReportAllocs()
		for b.Loop() {
			down.JudgeDown(time.Time{}, s, p)
		}
	})
}
