package roles_test

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/roles"
	"github.com/mqttward/mqttward/packets"
)

// act is what a client does, and whether it may.
type act struct {
	statement string // of the Sparkplug specification 3.0, without "tck-id-"
	does      string // publish, will, subscribe, receive or connect
	topic     string // of connect: "will" or ""
	qos       packets.QoS
	retain    bool
	want      bool
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func view(t *testing.T, s *filters.Session, name string, r authz.Rule, v roles.Values) *authz.View {
	t.Helper()
	rules, err := roles.Expand(name, r, v)
	if err != nil {
		t.Fatal(err)
	}
	p, err := authz.New(rules, authz.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range p.Weaknesses() {
		t.Errorf("weak: %s", w)
	}
	return p.View(s)
}

func client(id string) *filters.Session {
	return &filters.Session{ClientID: id, Identity: filters.Identity{Username: id, Groups: []string{"edge"}}}
}

func try(t *testing.T, v *authz.View, acts []act) {
	t.Helper()
	for _, a := range acts {
		var d authz.Decision
		m := authz.Message{Topic: []byte(a.topic), QoS: a.qos, Retain: a.retain}
		switch a.does {
		case "publish":
			d = v.Publish(noon, m)
		case "will":
			m.Will = true
			d = v.Publish(noon, m)
		case "subscribe":
			d = v.Subscribe(noon, m.Topic, a.qos)
		case "receive":
			d = v.Receive(noon, m)
		case "connect":
			d = v.Connect(noon, "any", a.topic == "will")
		}
		if d.Allowed != a.want {
			t.Errorf("%s: %s %s QoS %d retain %v: allowed %v (%s)", a.statement, a.does, a.topic, a.qos, a.retain, d.Allowed, d.Rule)
		}
	}
}

func TestSparkplugEdge(t *testing.T) {
	v := view(t, client("E1"), "sparkplug_edge", authz.Rule{Name: "edge nodes", Place: "here"}, roles.Values{Group: "${group}-1", Edge: "${clientid}", Host: "scada"})
	const g = "spBv1.0/edge-1/"
	try(t, v, []act{
		{"message-flow-edge-node-birth-publish-will-message", "connect", "will", 0, false, true},
		{"message-flow-edge-node-birth-publish-will-message", "connect", "", 0, false, false},
		{"message-flow-edge-node-birth-publish-will-message-topic", "will", g + "NDEATH/E1", 1, false, true},
		{"message-flow-edge-node-birth-publish-will-message-topic", "will", g + "NDEATH/E2", 1, false, false},
		{"message-flow-edge-node-birth-publish-will-message-topic", "will", "spBv1.0/G2/NDEATH/E1", 1, false, false},
		{"message-flow-edge-node-birth-publish-will-message-topic", "will", g + "NBIRTH/E1", 0, false, false},
		{"message-flow-edge-node-birth-publish-will-message-topic", "will", g + "DDEATH/E1/D1", 0, false, false},
		{"message-flow-edge-node-birth-publish-will-message-topic", "will", "$SYS/x", 1, false, false},
		{"message-flow-edge-node-birth-publish-will-message-qos", "will", g + "NDEATH/E1", 0, false, false},
		{"message-flow-edge-node-birth-publish-will-message-qos", "will", g + "NDEATH/E1", 2, false, false},
		{"message-flow-edge-node-birth-publish-will-message-will-retained", "will", g + "NDEATH/E1", 1, true, false},

		{"topics-nbirth-topic", "publish", g + "NBIRTH/E1", 0, false, true},
		{"topics-nbirth-topic", "publish", g + "NBIRTH/E2", 0, false, false},
		{"topics-nbirth-mqtt", "publish", g + "NBIRTH/E1", 1, false, false},
		{"topics-nbirth-mqtt", "publish", g + "NBIRTH/E1", 0, true, false},
		{"topics-ndata-topic", "publish", g + "NDATA/E1", 0, false, true},
		{"topics-ndata-topic", "publish", "spBv1.0/G2/NDATA/E1", 0, false, false},
		{"topics-ndata-mqtt", "publish", g + "NDATA/E1", 1, false, false},
		{"topics-ndata-mqtt", "publish", g + "NDATA/E1", 0, true, false},
		{"operational-behavior-edge-node-intentional-disconnect-ndeath", "publish", g + "NDEATH/E1", 0, false, true},
		{"operational-behavior-edge-node-intentional-disconnect-ndeath", "publish", g + "NDEATH/E1", 1, false, true},
		{"operational-behavior-edge-node-intentional-disconnect-ndeath", "publish", g + "NDEATH/E1", 2, false, false},
		{"payloads-ndeath-will-message-retain", "publish", g + "NDEATH/E1", 1, true, false},
		{"topics-ndeath-topic", "publish", g + "NDEATH/E2", 1, false, false},
		{"topics-dbirth-topic", "publish", g + "DBIRTH/E1/D1", 0, false, true},
		{"topics-dbirth-topic", "publish", g + "DBIRTH/E2/D1", 0, false, false},
		{"topics-dbirth-mqtt", "publish", g + "DBIRTH/E1/D1", 1, false, false},
		{"topics-dbirth-mqtt", "publish", g + "DBIRTH/E1/D1", 0, true, false},
		{"topics-ddata-topic", "publish", g + "DDATA/E1/D1", 0, false, true},
		{"topics-ddata-mqtt", "publish", g + "DDATA/E1/D1", 2, false, false},
		{"topics-ddata-mqtt", "publish", g + "DDATA/E1/D1", 0, true, false},
		{"topics-ddeath-topic", "publish", g + "DDEATH/E1/D1", 0, false, true},
		{"topics-ddeath-mqtt", "publish", g + "DDEATH/E1/D1", 1, false, false},
		{"topics-ddeath-mqtt", "publish", g + "DDEATH/E1/D1", 0, true, false},

		{"topic-structure-namespace-device-id-associated-message-types", "publish", g + "DBIRTH/E1", 0, false, false},
		{"topic-structure-namespace-device-id-associated-message-types", "publish", g + "DDATA/E1", 0, false, false},
		{"topic-structure-namespace-device-id-associated-message-types", "publish", g + "DDEATH/E1/D1/x", 0, false, false},
		{"topic-structure-namespace-device-id-non-associated-message-types", "publish", g + "NBIRTH/E1/D1", 0, false, false},
		{"topic-structure-namespace-device-id-non-associated-message-types", "publish", g + "NDATA/E1/D1", 0, false, false},
		{"topic-structure-namespace-device-id-non-associated-message-types", "will", g + "NDEATH/E1/D1", 1, false, false},

		{"message-flow-edge-node-ncmd-subscribe", "subscribe", g + "NCMD/E1", 1, false, true},
		{"message-flow-edge-node-ncmd-subscribe", "subscribe", g + "NCMD/E1/#", 0, false, true},
		{"message-flow-edge-node-ncmd-subscribe", "subscribe", g + "NCMD/+", 1, false, false},
		{"message-flow-edge-node-ncmd-subscribe", "receive", g + "NCMD/E1", 0, false, true},
		{"message-flow-edge-node-ncmd-subscribe", "receive", g + "NCMD/E2", 0, false, false},
		{"message-flow-device-dcmd-subscribe", "subscribe", g + "DCMD/E1/+", 1, false, true},
		{"message-flow-device-dcmd-subscribe", "subscribe", g + "DCMD/+/+", 1, false, false},
		{"message-flow-edge-node-birth-publish-phid-wait", "subscribe", "spBv1.0/STATE/scada", 1, false, true},
		{"message-flow-edge-node-birth-publish-phid-wait-id", "subscribe", "spBv1.0/STATE/+", 1, false, false},
		{"7, security: never #", "subscribe", "spBv1.0/#", 0, false, false},

		{"operational-behavior-data-commands-ncmd-verb: of hosts", "publish", g + "NCMD/E1", 0, false, false},
		{"operational-behavior-data-commands-dcmd-verb: of hosts", "publish", g + "DCMD/E1/D1", 0, false, false},
		{"host-topic-phid-birth-topic: of hosts", "publish", "spBv1.0/STATE/scada", 1, true, false},
	})
}

func TestSparkplugHost(t *testing.T) {
	all := view(t, client("h"), "sparkplug_host", authz.Rule{Place: "here"}, roles.Values{Host: "scada"})
	one := view(t, client("h"), "sparkplug_host", authz.Rule{Place: "here"}, roles.Values{Host: "scada", Group: "G1"})
	const state = "spBv1.0/STATE/scada"
	for _, v := range []*authz.View{all, one} {
		try(t, v, []act{
			{"operational-behavior-host-application-connect-will", "connect", "will", 0, false, true},
			{"operational-behavior-host-application-connect-will", "connect", "", 0, false, false},
			{"operational-behavior-host-application-connect-will-topic", "will", state, 1, true, true},
			{"operational-behavior-host-application-connect-will-topic", "will", "spBv1.0/STATE/other", 1, true, false},
			{"operational-behavior-host-application-connect-will-topic", "will", "spBv1.0/G1/NCMD/E1", 0, false, false},
			{"operational-behavior-host-application-connect-will-qos", "will", state, 0, true, false},
			{"operational-behavior-host-application-connect-will-retained", "will", state, 1, false, false},
			{"host-topic-phid-birth-topic", "publish", state, 1, true, true},
			{"host-topic-phid-birth-topic", "publish", "spBv1.0/STATE/other", 1, true, false},
			{"host-topic-phid-birth-qos", "publish", state, 0, true, false},
			{"host-topic-phid-birth-retain", "publish", state, 1, false, false},
			{"host-topic-phid-birth-sub-required", "subscribe", state, 1, false, true},
			{"host-topic-phid-birth-sub-required", "subscribe", "spBv1.0/G1/+/E1/#", 0, false, true},
			{"topics-ncmd-topic", "publish", "spBv1.0/G1/NCMD/E1", 0, false, true},
			{"topics-ncmd-topic", "publish", "spBv1.0/G1/NCMD/E1/D1", 0, false, false},
			{"topics-ncmd-mqtt", "publish", "spBv1.0/G1/NCMD/E1", 1, false, false},
			{"topics-ncmd-mqtt", "publish", "spBv1.0/G1/NCMD/E1", 0, true, false},
			{"topics-dcmd-topic", "publish", "spBv1.0/G1/DCMD/E1/D1", 0, false, true},
			{"topics-dcmd-topic", "publish", "spBv1.0/G1/DCMD/E1", 0, false, false},
			{"topics-dcmd-mqtt", "publish", "spBv1.0/G1/DCMD/E1/D1", 1, false, false},
			{"topics-dcmd-mqtt", "publish", "spBv1.0/G1/DCMD/E1/D1", 0, true, false},
			{"topics-nbirth-topic: of edge nodes", "publish", "spBv1.0/G1/NBIRTH/E1", 0, false, false},
			{"conformance-mqtt-aware-nbirth-mqtt-topic", "subscribe", "$sparkplug/certificates/spBv1.0/G1/NBIRTH/E1", 0, false, true},
			{"conformance-mqtt-aware-nbirth-mqtt-topic", "publish", "$sparkplug/certificates/spBv1.0/G1/NBIRTH/E1", 0, true, false},
		})
	}
	for _, of := range []struct {
		v    *authz.View
		want bool
	}{{all, true}, {one, false}} {
		try(t, of.v, []act{
			{"host-topic-phid-birth-sub-required", "subscribe", "spBv1.0/#", 0, false, of.want},
			{"host-topic-phid-birth-sub-required", "receive", "spBv1.0/G2/NDATA/E1", 0, false, of.want},
			{"topics-ncmd-topic", "publish", "spBv1.0/G2/NCMD/E1", 0, false, of.want},
			{"topics-dcmd-topic", "publish", "spBv1.0/G2/DCMD/E1/D1", 0, false, of.want},
			{"conformance-mqtt-aware-dbirth-mqtt-topic", "subscribe", "$sparkplug/certificates/spBv1.0/G2/DBIRTH/E1/D1", 0, false, of.want},
		})
	}
}

// A client that has no safe value for a placeholder gets nothing, and does not
// get around the demand for a Will.
func TestSparkplugWithoutValue(t *testing.T) {
	for _, id := range []string{"a/b", "+", "$x", ""} {
		v := view(t, client(id), "sparkplug_edge", authz.Rule{Place: "here"}, roles.Values{Group: "G1", Edge: "${clientid}"})
		try(t, v, []act{
			{id, "connect", "", 0, false, false},
			{id, "will", "spBv1.0/G1/NDEATH/" + id, 1, false, id == "$x"},
			{id, "publish", "spBv1.0/G1/NBIRTH/a/b", 0, false, false},
			{id, "publish", "spBv1.0/G1/DBIRTH/a/b", 0, false, false},
			{id, "subscribe", "spBv1.0/G1/NCMD/+", 0, false, false},
		})
	}
	s := client("E1") // in two groups of which neither is meant
	s.Identity.Groups = []string{"x", "y"}
	r := authz.Rule{Place: "here", Subjects: authz.Subjects{Groups: authz.Globs([]string{"edge"})}}
	try(t, view(t, s, "sparkplug_edge", r, roles.Values{Group: "G1", Edge: "E1"}), []act{
		{"another group", "publish", "spBv1.0/G1/NBIRTH/E1", 0, false, false},
		{"another group", "connect", "", 0, false, true}, // the role says nothing of it
	})
}
