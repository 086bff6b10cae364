package rewrite_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

func TestDown(t *testing.T) {
	const v4, v5 = packets.V311, packets.V5
	response := func(topic string) packets.Properties { return mqtttest.Text(packets.ResponseTopic, topic) }
	tests := []struct {
		name       string
		version    packets.Version
		sent, want []byte // the second nil: it is withheld
	}{
		{"a topic", v4, mqtttest.Publish(v4, 0, 0, "acme/a", "x"), mqtttest.Publish(v4, 0, 0, "a", "x")},
		{"the prefix twice", v4, mqtttest.Publish(v4, 2, 3, "acme/acme/a", "x"), mqtttest.Publish(v4, 2, 3, "acme/a", "x")},
		{"a topic that begins with a slash", v4, mqtttest.Publish(v4, 1, 3, "acme//a", "x"), mqtttest.Publish(v4, 1, 3, "/a", "x")},
		{"a Response Topic", v5, mqtttest.Publish(v5, 0, 0, "acme/a", "x", before, response("acme/b"), behind), mqtttest.Publish(v5, 0, 0, "a", "x", before, response("b"), behind)},
		{"another's Response Topic", v5, mqtttest.Publish(v5, 0, 0, "acme/a", "x", before, response("zeta/b"), behind), mqtttest.Publish(v5, 0, 0, "a", "x", before, behind)},
		{"a Response Topic that is no more than the prefix", v5, mqtttest.Publish(v5, 0, 0, "acme/a", "x", response("acme/")), mqtttest.Publish(v5, 0, 0, "a", "x")},
		{"another's", v4, mqtttest.Publish(v4, 0, 0, "zeta/a", "x"), nil},
		{"a neighbour's", v4, mqtttest.Publish(v4, 0, 0, "acme2/a", "x"), nil},
		{"the prefix without its slash", v4, mqtttest.Publish(v4, 0, 0, "acme", "x"), nil},
		{"no more than the prefix", v4, mqtttest.Publish(v4, 0, 0, "acme/", "x"), nil},
		{"the broker's own", v4, mqtttest.Publish(v4, 0, 0, "$SYS/a", "x"), nil},
		{"what would be the broker's own", v4, mqtttest.Publish(v4, 0, 0, "acme/$SYS/a", "x"), nil},
		{"an answer", v4, mqtttest.Suback(v4, 7, 1), mqtttest.Suback(v4, 7, 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _, down := acme(t, tt.version)
			p := parse(t, tt.sent, tt.version, packets.Server)
			v := down.JudgeDown(time.Time{}, s, p)
			switch {
			case tt.want == nil:
				if v.Action != filters.Drop || v.Rule == "" {
					t.Errorf("%+v, want it withheld", v)
				}
			case v.Action == filters.Forward && bytes.Equal(p.Raw, tt.want):
			case v.Action != filters.Rewrite || !bytes.Equal(v.Packet, tt.want):
				t.Errorf("%d %q, want %q", v.Action, v.Packet, tt.want)
			}
		})
	}
}

// TestWithheld: the broker is told that the client has got it.
func TestWithheld(t *testing.T) {
	s, _, down := acme(t, packets.V5)
	v := down.JudgeDown(time.Time{}, s, parse(t, mqtttest.Publish(packets.V5, 1, 3, "zeta/a", "x"), packets.V5, packets.Server))
	if want := packets.AppendAck(nil, packets.V5, packets.PUBACK, 3, packets.Success); v.Action != filters.Reply || !bytes.Equal(v.Packet, want) {
		t.Errorf("%+v, want the reply %x", v, want)
	}
}
