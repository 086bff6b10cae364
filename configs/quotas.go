package configs

import (
	"cmp"
	"strings"
)

// The values of Quota.Per.
const (
	PerClient = "client" // each identity with each client identifier has the whole quota
	PerUser   = "user"   // each identity
	PerAll    = "all"    // all share it
)

// Quota is what clients may do, of things a second, a day, or at once. Every one
// that is for a client holds. What is zero is not limited.
type Quota struct {
	Name string `yaml:"name"`

	Users     []string `yaml:"users"`     // globs, as the next two; all that are given have to match
	Groups    []string `yaml:"groups"`    //
	Listeners []string `yaml:"listeners"` //
	Topics    []string `yaml:"topics"`    // filters, not checked here: messages on others do not count; nil: all

	Per    string `yaml:"per" oneof:"client user all"`
	Action string `yaml:"action" oneof:"delay drop disconnect"`

	Packets        Rate     `yaml:"packets"`
	Messages       Rate     `yaml:"messages"`
	Bytes          ByteRate `yaml:"bytes"` // of messages
	Subscribes     Rate     `yaml:"subscribes"`
	Retained       Rate     `yaml:"retained"`
	Deliveries     Rate     `yaml:"deliveries"`
	DeliveredBytes ByteRate `yaml:"delivered_bytes"`

	MessagesPerDay   int  `yaml:"messages_per_day"`
	BytesPerDay      Size `yaml:"bytes_per_day"`
	RetainedMessages int  `yaml:"retained_messages"` // of one user at once
	RetainedBytes    Size `yaml:"retained_bytes"`    // as well
}

// ByteRate is a token bucket of bytes. Rate and burst are both zero, or neither is.
type ByteRate struct {
	PerSecond Size `yaml:"rate"`
	Burst     Size `yaml:"burst"`
}

// rates returns what is there of the fields that are rates, by their keys.
func (q *Quota) rates() map[string]Rate {
	return map[string]Rate{
		"packets": q.Packets, "messages": q.Messages, "subscribes": q.Subscribes, "retained": q.Retained, "deliveries": q.Deliveries,
		"bytes": q.Bytes.count(), "delivered_bytes": q.DeliveredBytes.count(),
	}
}

func (r ByteRate) count() Rate { return Rate{PerSecond: float64(r.PerSecond), Burst: int(r.Burst)} }

func (c *Config) completeQuotas() {
	for i := range c.Quotas {
		q := &c.Quotas[i]
		q.Per = cmp.Or(q.Per, PerClient)
		q.Action = cmp.Or(q.Action, ActionDelay)
	}
	c.completeRates()
}

// A packet is a message, and one of QoS 2 is two packets; so packet_rate is some times
// publish_rate.
const packetsPerMessage = 5

// completeRates lets the default of packet_rate or publish_rate that was left out
// give way to the other: every message is a packet.
func (c *Config) completeRates() {
	packets, messages := &c.Limits.PacketRate, &c.Limits.PublishRate
	written := func(path string) bool { _, ok := c.places[path]; return ok }
	switch {
	case packets.PerSecond == 0 || written("limits.packet_rate.rate"):
		if packets.PerSecond > 0 && !written("limits.publish_rate.rate") {
			messages.PerSecond = min(messages.PerSecond, packets.PerSecond)
		}
	case messages.PerSecond == 0:
		packets.PerSecond = 0
	default:
		packets.PerSecond = max(packets.PerSecond, packetsPerMessage*messages.PerSecond)
		if !written("limits.packet_rate.burst") {
			packets.Burst = max(packets.Burst, packetsPerMessage*messages.Burst)
		}
	}
}

func (l *loader) quotas(listeners []string) {
	c := &l.cfg
	l.names("quotas", len(c.Quotas), func(i int) string { return c.Quotas[i].Name })
	for i := range c.Quotas {
		q, path := &c.Quotas[i], item("quotas", i)
		l.quotaSubjects(path, q, listeners)
		for _, name := range []string{"packets", "messages", "bytes", "subscribes", "retained", "deliveries", "delivered_bytes"} {
			switch r := q.rates()[name]; {
			case r.PerSecond > 0 && r.Burst == 0:
				l.missing(key(key(path, name), "burst"), "is required, and 0 would let nothing pass")
			case r.PerSecond == 0 && r.Burst > 0:
				l.missing(key(key(path, name), "rate"), "is required with burst, and 0 would be no limit")
			}
		}
		l.quotaAction(path, q)
		l.quotaADay(path, q)
		if q.limitsNothing() && !l.anyWrong(path) {
			l.missing(path, "limits nothing: give packets, messages, bytes, subscribes, retained, deliveries, delivered_bytes, messages_per_day, bytes_per_day, retained_messages or retained_bytes")
		}
	}
}

func (l *loader) quotaSubjects(path string, q *Quota, listeners []string) {
	for _, list := range []struct {
		name    string
		entries []string
	}{{"users", q.Users}, {"groups", q.Groups}, {"listeners", q.Listeners}, {"topics", q.Topics}} {
		if list.entries != nil && len(list.entries) == 0 {
			l.fail(key(path, list.name), "is an empty list: remove the key, or the quota")
		}
	}
	for i, name := range q.Listeners {
		if !strings.Contains(name, "*") {
			l.refer(item(key(path, "listeners"), i), "listener", name, listeners)
		}
	}
	if q.Topics == nil {
		return
	}
	for _, name := range []string{"packets", "subscribes"} {
		if q.rates()[name].PerSecond > 0 {
			l.fail(key(path, name), "counts more than messages: it cannot stand beside topics")
		}
	}
}

// quotaAction refuses what never passes, and what cannot be refused.
func (l *loader) quotaAction(path string, q *Quota) {
	if q.Action == ActionDelay {
		return
	}
	if q.Action == ActionDrop && q.Packets.PerSecond > 0 {
		l.fail(key(path, "action"), "drop: MQTT has no answer that refuses any packet; packets wants delay or disconnect")
	}
	most := l.cfg.Limits.MaxFilters
	if q.Subscribes.PerSecond > 0 && q.Subscribes.Burst > 0 && (most == 0 || q.Subscribes.Burst < most) {
		l.fail(key(key(path, "subscribes"), "burst"), "is smaller than limits.max_filters_per_subscribe: with action %s, a SUBSCRIBE of so many filters never passes", q.Action)
	}
}

func (l *loader) quotaADay(path string, q *Quota) {
	if n := q.MessagesPerDay; n > 0 && n < q.Messages.Burst {
		l.fail(key(path, "messages_per_day"), "is less than the burst of messages: that could never be reached")
	}
	if n := q.BytesPerDay; n > 0 && n < q.Bytes.Burst {
		l.fail(key(path, "bytes_per_day"), "is less than the burst of bytes: that could never be reached")
	}
}

func (q *Quota) limitsNothing() bool {
	for _, r := range q.rates() {
		if r.PerSecond > 0 {
			return false
		}
	}
	return q.MessagesPerDay == 0 && q.BytesPerDay == 0 && q.RetainedMessages == 0 && q.RetainedBytes == 0
}

// anyWrong reports whether there is a mistake in what stands at path, so that nobody
// knows what was meant.
func (l *loader) anyWrong(path string) bool {
	for wrong := range l.wrong {
		if within(wrong, path) {
			return true
		}
	}
	return false
}

// rates checks the rates per client against each other.
func (l *loader) rates() {
	c := &l.cfg.Limits
	if c.PacketRate.Action == ActionDrop {
		l.fail("limits.packet_rate.action", "drop: MQTT has no answer that refuses any packet; wants delay or disconnect")
	}
	if packets, messages := c.PacketRate.PerSecond, c.PublishRate.PerSecond; packets > 0 && messages > packets {
		l.fail("limits.publish_rate.rate", "is more than packet_rate, which counts every message too: it could never be reached")
	}
	if r := c.SubscribeRate; r.Action != ActionDelay && r.PerSecond > 0 && r.Burst > 0 && (c.MaxFilters == 0 || r.Burst < c.MaxFilters) {
		l.fail("limits.subscribe_rate.burst", "is smaller than max_filters_per_subscribe: with action %s, a SUBSCRIBE of so many filters never passes", r.Action)
	}
}

// longestDelay is how long a packet waits at most, as in filters/quota, in seconds.
const longestDelay = 30

// largest returns what a message may have at most for a bucket of bytes to let it
// pass at all; 0: there is no bucket.
func largest(r ByteRate, action string) Size {
	if action == ActionDelay && r.PerSecond > 0 {
		return r.Burst + min(r.PerSecond, GiB)*longestDelay
	}
	return r.Burst
}

// neverPass warns of buckets of bytes that the largest packets find no room in.
func (w *warnings) neverPass() {
	c := w.config
	check := func(path string, r ByteRate, action string) {
		if most := largest(r, action); most > 0 && (c.Limits.MaxPacketSize == 0 || most < c.Limits.MaxPacketSize) {
			w.add(path, "messages larger than %d bytes never pass, and limits.max_packet_size allows larger ones", most)
		}
	}
	l := &c.Limits.PublishBytes
	check("limits.publish_bytes", ByteRate{l.PerSecond, l.Burst}, l.Action)
	for i := range c.Quotas {
		q, path := &c.Quotas[i], item("quotas", i)
		check(key(path, "bytes"), q.Bytes, q.Action)
		check(key(path, "delivered_bytes"), q.DeliveredBytes, q.Action)
		if most := q.BytesPerDay; most > 0 && (c.Limits.MaxPacketSize == 0 || most < c.Limits.MaxPacketSize) {
			w.add(key(path, "bytes_per_day"), "messages larger than %d bytes never pass, and limits.max_packet_size allows larger ones", most)
		}
	}
}
