package roles

import "github.com/mqttward/mqttward/filters/authz"

// The namespace of Sparkplug B [tck-id-topic-structure-namespace-a], and where a
// Sparkplug Aware MQTT Server keeps birth certificates
// [tck-id-conformance-mqtt-aware-nbirth-mqtt-topic].
const (
	namespace    = "spBv1.0"
	certificates = "$sparkplug/certificates"
)

// sparkplugEdge is an Edge Node of the Sparkplug specification 3.0: Group and
// Edge, and Host if it has a Primary Host Application.
//
// N* topics end with the Edge Node ID, D* topics have a Device ID behind it
// [tck-id-topic-structure-namespace-device-id-associated-message-types]
// [tck-id-topic-structure-namespace-device-id-non-associated-message-types].
func sparkplugEdge(b *bundle, v Values) {
	group, edge := b.level("group", v.Group), b.level("edge", v.Edge)
	node := func(kind string) []authz.Topic { return at(namespace, group, kind, edge) }
	device := func(kind string) []authz.Topic { return at(namespace, group, kind, edge, "+") }

	b.will("NDEATH Will", authz.Rule{QoS: qos(1), Retain: flag(false), Topics: node("NDEATH")})
	for _, kind := range []string{"NBIRTH", "NDATA"} { // [tck-id-topics-nbirth-mqtt] [tck-id-topics-ndata-mqtt]
		b.add(kind, authz.Rule{Publish: true, QoS: qos(0), Retain: flag(false), Topics: node(kind)})
	}
	// Before an intended DISCONNECT it is a message
	// [tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath], whose
	// QoS the specification leaves open.
	b.add("NDEATH", authz.Rule{Publish: true, QoS: qos(0, 1), Retain: flag(false), Topics: node("NDEATH")})
	for _, kind := range []string{"DBIRTH", "DDATA", "DDEATH"} { // [tck-id-topics-dbirth-mqtt] and so on
		b.add(kind, authz.Rule{Publish: true, QoS: qos(0), Retain: flag(false), Topics: device(kind)})
	}
	// The specification subscribes to the topic of the node and to those of its
	// devices [tck-id-message-flow-edge-node-ncmd-subscribe]
	// [tck-id-message-flow-device-dcmd-subscribe]; implementations, Eclipse Tahu
	// first, to all below.
	for _, kind := range []string{"NCMD", "DCMD"} {
		b.add(kind, authz.Rule{Subscribe: true, Topics: at(namespace, group, kind, edge, "#")})
	}
	if v.Host != "" { // [tck-id-message-flow-edge-node-birth-publish-phid-wait]
		b.add("STATE", authz.Rule{Subscribe: true, Topics: at(namespace, "STATE", b.level("host", v.Host))})
	}
}

// sparkplugHost is a Host Application: Host, and Group if it is only for one.
func sparkplugHost(b *bundle, v Values) {
	host := b.level("host", v.Host)
	state := at(namespace, "STATE", host)
	group, all := "+", at(namespace, "#")
	if v.Group != "" {
		group = b.level("group", v.Group)
		all = append(at(namespace, group, "#"), state...)
	}
	b.will("STATE Will", authz.Rule{QoS: qos(1), Retain: flag(true), Topics: state})
	// [tck-id-host-topic-phid-birth-qos] [tck-id-host-topic-phid-birth-retain]
	b.add("STATE", authz.Rule{Publish: true, QoS: qos(1), Retain: flag(true), Topics: state})
	// [tck-id-topics-ncmd-mqtt] [tck-id-topics-dcmd-mqtt]
	b.add("NCMD", authz.Rule{Publish: true, QoS: qos(0), Retain: flag(false), Topics: at(namespace, group, "NCMD", "+")})
	b.add("DCMD", authz.Rule{Publish: true, QoS: qos(0), Retain: flag(false), Topics: at(namespace, group, "DCMD", "+", "+")})
	// [tck-id-host-topic-phid-birth-sub-required]
	b.add("subscriptions", authz.Rule{Subscribe: true, Topics: all})
	b.add("certificates", authz.Rule{Subscribe: true, Topics: at(certificates, namespace, group, "#")})
}

// will requires a Will that r allows, and no other: of Edge Nodes
// [tck-id-message-flow-edge-node-birth-publish-will-message] with its -topic, -qos
// and -will-retained, of Host Applications
// [tck-id-operational-behavior-host-application-connect-will]. A rule that allows
// messages would allow them as Wills too.
func (b *bundle) will(part string, r authz.Rule) {
	r.Will = true
	b.add(part, r)
	b.add("no other Will", authz.Rule{Deny: true, Will: true, Topics: everything})
	b.add("not without a Will", authz.Rule{Deny: true, Connect: true, Wills: flag(false), Topics: everything})
}
