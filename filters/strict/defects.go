package strict

import (
	"slices"

	"github.com/mqttward/mqttward/packets"
)

// Shield says how far a defect is out of reach of the clients.
type Shield uint8

// The shields. Not is zero: what nobody has shown is not claimed.
const (
	Not    Shield = iota // the proxy does nothing about it
	Partly               // it is harder to reach
	Whole                // what triggers it does not reach the broker
)

// String returns "not", "partly" or "shielded".
func (s Shield) String() string { return [...]string{"not", "partly", "shielded"}[s] }

// Range is versions from First to Last.
type Range struct{ First, Last Version }

// Defect is a known defect of Mosquitto that packets trigger.
type Defect struct {
	ID       string // its CVE, or the number or words by which it is known
	Affected []Range
	What     string
	Shield   Shield
	Checks   []packets.Check // that keep it from the broker
	How      string          // if not by a check, or not wholly

	firm  bool               // the Checks keep it from the broker even where they are relaxed
	lacks func(Means) string // what the shield needs and a configuration does not have; nil: nothing
}

// Affects reports whether version v has the defect.
func (d Defect) Affects(v Version) bool {
	return slices.ContainsFunc(d.Affected, func(r Range) bool {
		return v.Compare(r.First) >= 0 && v.Compare(r.Last) <= 0
	})
}

func between(first, last Version) []Range { return []Range{{first, last}} }

func v(major, minor, patch int) Version { return Version{major, minor, patch} }

// own is how a defect of the broker's security is met that the proxy does not
// use.
const own = "the proxy has its own"

// Defects returns the known defects, the oldest first.
func Defects() []Defect {
	const (
		first, length, flags, connect = packets.CheckFirstPacket, packets.CheckLength, packets.CheckFlags, packets.CheckConnect
		utf8, name, topic, filter     = packets.CheckUTF8, packets.CheckName, packets.CheckTopic, packets.CheckFilter
		properties, direction, flow   = packets.CheckProperties, packets.CheckDirection, packets.CheckFlow
		will, owner, subs, server     = packets.CheckWill, packets.CheckOwner, packets.CheckSubscriptions, packets.CheckServer
	)
	by := func(c ...packets.Check) []packets.Check { return c }
	return []Defect{
		{ID: "CVE-2017-7650", Affected: between(v(0, 15, 0), v(1, 4, 11)), What: "# or + in a client identifier or user name passes pattern ACLs", Shield: Whole, Checks: by(name)},
		{ID: "CVE-2017-7651", Affected: []Range{{v(0, 15, 0), v(1, 4, 14)}, {v(1, 5, 0), v(2, 0, 11)}}, What: "memory is allocated from the length of a first packet", Shield: Whole, Checks: by(first, length), firm: true},
		{ID: "CVE-2017-7652", Affected: between(v(1, 0, 0), v(1, 4, 14)), What: "out of descriptors, a reload falls back to no security", Shield: Partly, How: "the broker is dialled for clients that have logged in only; limits.max_connections", lacks: limit("max_connections")},
		{ID: "CVE-2017-7653", Affected: between(v(0, 1, 0), v(1, 4, 15)), What: "ill-formed UTF-8 in a topic disconnects all subscribers", Shield: Whole, Checks: by(utf8)},
		{ID: "#693", Affected: between(v(0, 1, 0), v(1, 4, 15)), What: "U+0000 ends a topic for the ACL and not for the route", Shield: Whole, Checks: by(utf8)},
		{ID: "CVE-2017-7654", Affected: between(v(1, 0, 0), v(1, 4, 15)), What: "a CONNECT with a wrong protocol name leaks memory", Shield: Whole, Checks: by(connect), firm: true},
		{ID: "CVE-2018-12543", Affected: between(v(1, 5, 0), v(1, 5, 2)), What: "a topic with $ other than $SYS ends the broker", Shield: Whole, Checks: by(topic, filter), lacks: profile(func(p Profile) bool { return p.OnlySYS })},
		{ID: "CVE-2018-12546", Affected: between(v(1, 0, 0), v(1, 5, 5)), What: "a retained message outlives the right of its publisher", Shield: Partly, How: "remembered of messages that came through the proxy since it was started"},
		{ID: "CVE-2018-12550", Affected: between(v(0, 1, 0), v(1, 5, 5)), What: "an empty acl_file allows all", Shield: Whole, How: own + " authorization"},
		{ID: "CVE-2018-12551", Affected: between(v(0, 1, 0), v(1, 5, 5)), What: "a malformed line of a password_file is a user without a password", Shield: Whole, How: own + " authentication"},
		{ID: "CVE-2018-20145", Affected: between(v(1, 5, 0), v(1, 5, 4)), What: "per_listener_settings: the ACL is ignored", Shield: Whole, How: own + " authorization"},
		{ID: "#996", Affected: between(v(1, 4, 0), v(1, 5, 3)), What: "require_certificate is not enforced on WebSockets", Shield: Whole, How: own + " TLS"},
		{ID: "#1244", Affected: between(v(1, 6, 0), v(1, 6, 1)), What: "properties of a Will are used after they were freed", Shield: Whole, Checks: by(will), lacks: profile(func(p Profile) bool { return p.NoWillProperties })},
		{ID: "CVE-2019-11778", Affected: between(v(1, 6, 0), v(1, 6, 4)), What: "a Will Delay Interval above the Session Expiry Interval is used after it was freed", Shield: Whole, Checks: by(will), How: "lowered in the CONNECT", firm: true},
		{ID: "CVE-2019-11779", Affected: between(v(1, 5, 0), v(1, 6, 5)), What: "a topic of thousands of levels exhausts the stack", Shield: Whole, Checks: by(topic, filter), lacks: levels},
		{ID: "CVE-2020-13849", Affected: between(v(0, 1, 0), v(99, 0, 0)), What: "clients choose a Keep Alive that holds connections for hours", Shield: Whole, How: "limits.max_keepalive", lacks: limit("max_keepalive")},
		{ID: "#1793", Affected: []Range{{v(1, 5, 0), v(1, 5, 9)}, {v(1, 6, 0), v(1, 6, 11)}}, What: "QoS 2 messages to a full queue of a session that is kept leak memory", Shield: Not},
		{ID: "CVE-2021-28166", Affected: between(v(2, 0, 0), v(2, 0, 9)), What: "a CONNACK of a client ends the broker", Shield: Whole, Checks: by(direction)},
		{ID: "CVE-2021-34431", Affected: between(v(1, 6, 0), v(2, 0, 10)), What: "a Will with an empty topic leaks memory", Shield: Whole, Checks: by(will), firm: true},
		{ID: "CVE-2021-34432", Affected: between(v(0, 1, 0), v(2, 0, 7)), What: "a PUBLISH with an empty topic ends the broker", Shield: Whole, Checks: by(topic), firm: true},
		{ID: "CVE-2021-34434", Affected: between(v(2, 0, 0), v(2, 0, 11)), What: "a subscription outlives the right to it while the client is away", Shield: Whole, How: "deliveries are judged"},
		{ID: "575314", Affected: between(v(0, 1, 0), v(2, 0, 11)), What: "a QoS 2 message that a reconnect completes is not judged again", Shield: Whole, Checks: by(flow)},
		{ID: "CVE-2021-41039", Affected: between(v(1, 6, 0), v(2, 0, 11)), What: "thousands of User Properties in a CONNECT take minutes", Shield: Whole, Checks: by(length, properties), lacks: limit("max_user_properties")},
		{ID: "flags", Affected: between(v(0, 1, 0), v(2, 0, 11)), What: "flags of PUBREL, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and AUTH are not looked at", Shield: Whole, Checks: by(flags)},
		{ID: "CVE-2023-0809", Affected: between(v(1, 5, 0), v(2, 0, 15)), What: "a first packet that is no CONNECT has hundreds of megabytes allocated", Shield: Whole, Checks: by(first)},
		{ID: "CVE-2023-3592", Affected: between(v(1, 6, 0), v(2, 0, 15)), What: "a property that has no place in a Will leaks memory", Shield: Whole, Checks: by(properties)},
		{ID: "CVE-2023-28366", Affected: between(v(1, 3, 2), v(2, 0, 15)), What: "a QoS 2 message that is sent again and again leaks memory", Shield: Whole, Checks: by(flow), lacks: limit("max_inflight")},
		{ID: "CVE-2023-5632", Affected: between(v(2, 0, 0), v(2, 0, 5)), What: "a connection that sends nothing takes a whole processor", Shield: Whole, How: "the broker is dialled after the CONNECT"},
		{ID: "will to $CONTROL", Affected: between(v(2, 0, 0), v(2, 0, 15)), What: "a Will commands the dynamic security plugin", Shield: Whole, How: own + " authorization, and asks it about the Will"},
		{ID: "#2881", Affected: between(v(2, 0, 16), v(2, 0, 17)), What: "unsubscribing and reconnecting ends the broker", Shield: Not},
		{ID: "CVE-2024-8376", Affected: between(v(0, 1, 0), v(2, 0, 18)), What: "a filter that is held shared and not shared is used after it was freed", Shield: Whole, Checks: by(subs), lacks: profile(func(p Profile) bool { return p.ShareExcludes })},
		{ID: "CVE-2024-3935", Affected: between(v(2, 0, 0), v(2, 0, 18)), What: "a wildcard in the topic of a bridge's message is freed twice", Shield: Partly, Checks: by(topic, server), How: "if the bridge goes through the proxy", firm: true},
		{ID: "CVE-2024-10525", Affected: between(v(1, 3, 2), v(2, 0, 18)), What: "a SUBACK without codes makes libmosquitto read out of bounds", Shield: Whole, Checks: by(server), firm: true},
		{ID: "Eclipse 248", Affected: between(v(1, 6, 0), v(2, 0, 20)), What: "a SUBSCRIBE with a filter behind which a malformed one comes leaks memory", Shield: Whole, Checks: by(filter), firm: true},
		{ID: "2.0.22", Affected: between(v(0, 1, 0), v(2, 0, 21)), What: "a message to $CONTROL over a bridge ends the broker", Shield: Not},
		{ID: "#3551", Affected: between(v(0, 1, 0), v(99, 0, 0)), What: "a CONNECT with another user's client identifier wipes that session", Shield: Whole, Checks: by(owner)},
		{ID: "#3552", Affected: between(v(0, 1, 0), v(99, 0, 0)), What: "the Will is accepted without the right to publish it", Shield: Whole, How: own + " authorization, and asks it about the Will"},
		{ID: "#3553", Affected: between(v(0, 1, 0), v(99, 0, 0)), What: "a CONNECT with another user's client identifier reads what that session has queued", Shield: Whole, Checks: by(owner)},
		{ID: "#3702", Affected: between(v(2, 1, 0), v(99, 0, 0)), What: "saving the messages of sessions uses what was freed; which packets lead to it is not known", Shield: Not},
	}
}
