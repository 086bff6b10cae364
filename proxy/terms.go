package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// terms is what CONNECT and CONNACK lay down for the rest of the session.
type terms struct {
	aliases    uint16        // Topic Alias Maximum for the client
	deliveries uint16        // Topic Alias Maximum for the broker
	clientMax  int           // Maximum Packet Size of the client; zero: none
	keep       time.Duration // for how long the broker keeps the session
}

// asked is what the client's own CONNECT asks for.
type asked struct {
	keepAlive uint16
	expiry    uint32
}

// forever is longer than any session lasts.
const forever = 100 * 365 * 24 * time.Hour

// lower lowers in p what the policy limits, before the broker sees it. What
// depends on it, such as the answer to the client, goes by the lower values.
func (c *conn) lower(p *packets.Packet) (*packets.Packet, error) {
	limits, connect, t := &c.policy.Limits, &c.connect, &c.sess.Terms
	t.KeepAlive = seconds(connect.KeepAlive, limits.MaxKeepAlive)
	if p.Version != packets.V5 {
		if !connect.CleanStart {
			c.terms.keep = forever
		}
		return p, nil
	}
	c.asked.keepAlive = connect.KeepAlive
	c.asked.expiry = atMost32(connect.Props, packets.SessionExpiryInterval, 0)
	if most := limits.MaxKeepAlive; most > 0 && (connect.KeepAlive == 0 || time.Duration(connect.KeepAlive)*time.Second > most) {
		connect.KeepAlive = uint16(most / time.Second) //nolint:gosec // G115: the smaller one
		binary.BigEndian.PutUint16(p.Payload[keepAliveAt:], connect.KeepAlive)
	}
	t.SessionExpiry = atMost32(connect.Props, packets.SessionExpiryInterval, limits.MaxSessionExpiry)
	c.lowerWill()
	if v, ok := connect.Props.Lookup(packets.TopicAliasMaximum); ok {
		c.terms.deliveries = binary.BigEndian.Uint16(v)
		if most := limits.MaxTopicAliases; most > 0 && most < c.terms.deliveries {
			c.terms.deliveries = most
			binary.BigEndian.PutUint16(v, most)
		}
	}
	t.DeliveryMaximum = math.MaxUint16
	if v, ok := connect.Props.Uint16(packets.ReceiveMaximum); ok {
		t.DeliveryMaximum = int(v)
	}
	v, ok := connect.Props.Lookup(packets.RequestProblemInformation)
	t.NoProblems = ok && v[0] == 0
	return p.Reparse(p.Raw, packets.Client)
}

// lowerWill lowers the Will Delay Interval to the Session Expiry Interval. A Will
// is published at the end of the session at the latest [MQTT-3.1.3-9], so nobody
// notices; brokers have died of a longer one [CVE-2019-11778].
func (c *conn) lowerWill() {
	if c.connect.Will == nil {
		return
	}
	v, ok := c.connect.Will.Props.Lookup(packets.WillDelayInterval)
	if !ok {
		return
	}
	delay := min(binary.BigEndian.Uint32(v), c.sess.Terms.SessionExpiry)
	if most := c.policy.Limits.MaxWillDelay; most > 0 {
		delay = min(delay, most)
	}
	binary.BigEndian.PutUint32(v, delay)
}

// keepAliveAt is where Keep Alive stands behind the fixed header of a CONNECT of
// MQTT 5.0: after name, level and flags.
const keepAliveAt = 8

// seconds is a Keep Alive as a time, and no longer than most; zero means none
// in both.
func seconds(keepAlive uint16, most time.Duration) time.Duration {
	d := time.Duration(keepAlive) * time.Second
	if most > 0 && (d == 0 || d > most) {
		return most
	}
	return d
}

// atMost32 lowers the Four Byte Integer id in ps, in place, and returns what it
// is then. Without a limit it stays.
func atMost32(ps packets.Properties, id packets.PropertyID, most uint32) uint32 {
	v, ok := ps.Lookup(id)
	if !ok {
		return 0
	}
	n := binary.BigEndian.Uint32(v)
	if most > 0 && n > most {
		n = most
		binary.BigEndian.PutUint32(v, n)
	}
	return n
}

// agree notes what the CONNACK lays down, and returns the one that the client
// gets.
func (c *conn) agree(ack *packets.Packet) ([]byte, error) {
	if ack.Reason != packets.Success {
		return ack.Raw, nil
	}
	limits := &c.policy.Limits
	c.sess.Terms.ReceiveMaximum = int(limits.MaxInflight)
	if c.claimed {
		c.policy.Sessions.Begin(&c.sess, ack.SessionPresent)
	}
	if ack.Version != packets.V5 {
		return ack.Raw, nil
	}
	if v, ok := ack.Props.Uint32(packets.MaximumPacketSize); ok {
		c.sess.Terms.PacketMaximum = int(v)
	}
	if ps := c.ownNames(ack.Props); !bytes.Equal(ps, ack.Props) {
		var err error
		if ack, err = ack.Reparse(packets.AppendConnack(nil, packets.V5, ack.SessionPresent, packets.Success, ps), packets.Server); err != nil {
			return nil, asEnding(err, EndBrokerError, packets.UnspecifiedError)
		}
	}
	ps := c.announce(ack)
	if bytes.Equal(ps, ack.Props) {
		return ack.Raw, nil // its values have been lowered in place
	}
	b := packets.AppendConnack(nil, packets.V5, ack.SessionPresent, packets.Success, ps)
	switch {
	case c.terms.clientMax == 0 || len(b) <= c.terms.clientMax:
		return b, nil
	case c.assigned || c.auth.method != "":
		return nil, &ending{end: EndDenied, code: packets.PacketTooLarge, err: errors.New("the client takes no CONNACK that says what it must know")}
	}
	return ack.Raw, nil // a client that takes only less is not told [MQTT-3.1.2-24]
}

// announce lowers the properties of a CONNACK to what the policy lets the client
// do, and adds those that are missing for it.
func (c *conn) announce(ack *packets.Packet) packets.Properties {
	limits := &c.policy.Limits
	a := announcement{ps: slices.Clip(ack.Props)}
	offer := filters.Offer{MaximumQoS: 2, Retain: true, Wildcard: true, Shared: true, PacketSize: limits.MaxPacketSize, ReceiveMaximum: int(limits.MaxInflight)}
	c.up.chain.Offer(&offer)
	if most := a.lower(packets.ReceiveMaximum, math.MaxUint16, atMost(offer.ReceiveMaximum)); most < math.MaxUint16 {
		c.sess.Terms.ReceiveMaximum = int(most)
	}
	a.lower(packets.MaximumPacketSize, math.MaxUint32, atMost(offer.PacketSize))
	c.terms.aliases = uint16(a.lower(packets.TopicAliasMaximum, 0, uint32(limits.MaxTopicAliases))) //nolint:gosec // G115: two bytes
	keepAlive := uint16(a.value(packets.ServerKeepAlive, uint32(c.connect.KeepAlive)))              //nolint:gosec // G115: two bytes
	c.sess.Terms.KeepAlive = seconds(keepAlive, limits.MaxKeepAlive)
	a.tell(packets.ServerKeepAlive, uint32(c.sess.Terms.KeepAlive/time.Second), uint32(c.asked.keepAlive)) //nolint:gosec // G115: two bytes
	expiry := a.value(packets.SessionExpiryInterval, c.sess.Terms.SessionExpiry)
	if most := limits.MaxSessionExpiry; most > 0 {
		expiry = min(expiry, most)
	}
	c.terms.keep = lifetime(expiry)
	a.tell(packets.SessionExpiryInterval, expiry, c.asked.expiry)
	if offer.MaximumQoS < 2 && a.value(packets.MaximumQoS, 2) > uint32(offer.MaximumQoS) {
		a.put(packets.MaximumQoS, uint32(offer.MaximumQoS))
	}
	a.deny(packets.RetainAvailable, offer.Retain)
	a.deny(packets.WildcardSubscriptionAvailable, offer.Wildcard)
	a.deny(packets.SharedSubscriptionAvailable, offer.Shared)
	if c.assigned { // [MQTT-3.2.2-16]
		a.ps = a.ps.Without(packets.AssignedClientIdentifier).With(packets.AssignedClientIdentifier, []byte(c.sess.ClientID))
	}
	return append(a.ps, c.auth.last()...)
}

// atMost is a limit as the protocol writes it.
func atMost(limit int) uint32 {
	return uint32(min(int64(limit), math.MaxUint32)) //nolint:gosec // G115: just bounded
}

// lifetime is a Session Expiry Interval as a time.
func lifetime(expiry uint32) time.Duration {
	if expiry == math.MaxUint32 {
		return forever
	}
	return time.Duration(expiry) * time.Second
}

// announcement is the properties of a CONNACK, all of them numbers that are
// changed in place, or added behind the others.
type announcement struct{ ps packets.Properties }

// value returns what property id says, or what it means that it is not there.
func (a *announcement) value(id packets.PropertyID, absent uint32) uint32 {
	v, ok := a.ps.Lookup(id)
	if !ok {
		return absent
	}
	var n uint32
	for _, b := range v {
		n = n<<8 | uint32(b)
	}
	return n
}

// put writes a property.
func (a *announcement) put(id packets.PropertyID, n uint32) {
	v, ok := a.ps.Lookup(id)
	if !ok {
		a.ps = append(append(a.ps, byte(id)), make([]byte, sizes[id])...)
		v = a.ps[len(a.ps)-sizes[id]:]
	}
	for i := range v {
		v[i] = byte(n >> (8 * (len(v) - 1 - i))) //nolint:gosec // G115: a byte of it
	}
}

// sizes are the bytes of the values that are put.
var sizes = map[packets.PropertyID]int{
	packets.ReceiveMaximum: 2, packets.TopicAliasMaximum: 2, packets.ServerKeepAlive: 2,
	packets.MaximumPacketSize: 4, packets.SessionExpiryInterval: 4,
	packets.MaximumQoS: 1, packets.RetainAvailable: 1, packets.WildcardSubscriptionAvailable: 1, packets.SharedSubscriptionAvailable: 1,
}

// lower lowers a property to most, zero meaning no limit, and returns what holds
// then.
func (a *announcement) lower(id packets.PropertyID, absent, most uint32) uint32 {
	n := a.value(id, absent)
	if most > 0 && most < n {
		a.put(id, most)
		return most
	}
	return n
}

// tell says that n holds, if the broker has said something or the client asked
// for something else.
func (a *announcement) tell(id packets.PropertyID, n, asked uint32) {
	if _, ok := a.ps.Lookup(id); ok || n != asked {
		a.put(id, n)
	}
}

// deny says of something that is not available.
func (a *announcement) deny(id packets.PropertyID, available bool) {
	if !available {
		a.put(id, 0)
	}
}
