package strict

import (
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// connectVersion refuses MQTT 5.0 in front of brokers that do not speak it. They
// would refuse it too, in a way that old clients of theirs expect.
func connectVersion(f *filter, s *filters.Session, _ *packets.Packet) (filters.Verdict, bool) {
	if f.Broker.Profile().NoV5 && s.Version == packets.V5 {
		return end(packets.UnsupportedProtocolVersion, "C5: the broker does not speak MQTT 5.0")
	}
	return pass()
}

// connectNames refuses client identifiers and user names that could pass for
// something else in a pattern [CVE-2017-7650]: the proved name, and the one that
// the broker is told.
func connectNames(f *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if !f.plain(s.ClientID) {
		return end(packets.ClientIdentifierNotValid, "C7: client identifier has a wildcard or control character")
	}
	c, err := p.Connect()
	if err != nil && p.Broken == 0 {
		return end(packets.MalformedPacket, "C7: "+err.Error())
	}
	if !f.plain(s.Identity.Username) || !f.plain(string(c.Username)) {
		return end(packets.NotAuthorized, "C7: user name has a wildcard or control character")
	}
	return pass()
}

func (f *filter) plain(name string) bool {
	return filters.PlainName(name) && !strings.HasPrefix(name, "$") &&
		!(f.Broker.Profile().NoSlashInNames && strings.Contains(name, "/"))
}

// will judges the Will's topics as topic does those of a PUBLISH.
func will(f *filter, _ *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	c, err := p.Connect()
	switch {
	case err != nil:
		return end(packets.MalformedPacket, "C13: "+err.Error())
	case c.Will == nil:
		return pass()
	case f.Broker.Profile().NoWillProperties && len(c.Will.Props) > 0:
		return end(packets.ImplementationSpecificError, "C13: the broker does not bear properties of a Will")
	}
	if why := f.badName(c.Will.Topic, c.Will.Props); why != "" {
		return end(packets.TopicNameInvalid, "C13: Will: "+why)
	}
	if f.tooMany(c.Will.Props) {
		return end(packets.QuotaExceeded, "C13: limits.max_user_properties")
	}
	return pass()
}

// owner keeps the sessions of one identity from all others: who takes over a
// Client Identifier reads what the session has queued, or wipes it.
func owner(_ *filter, s *filters.Session, _ *packets.Packet) (filters.Verdict, bool) {
	if s.Owner == s.Identity.Principal() {
		return pass()
	}
	return end(packets.ClientIdentifierNotValid, "C14: the client identifier belongs to another user")
}
