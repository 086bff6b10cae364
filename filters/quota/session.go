package quota

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// session is the filter of one direction of one session.
type session struct {
	down    bool
	counts  []count
	holds   []hold
	changes []change // that the last retained message has made, until it is known whether it goes on
}

// count is a limit of the client.
type count struct {
	limit  *limit
	bucket *ratelimit.Bucket // nil until it is needed: a client that does nothing takes no memory for it
}

func (c *count) acquire(now time.Time, s *filters.Session) *ratelimit.Bucket {
	if c.bucket == nil {
		c.bucket = c.limit.buckets.Acquire(now, c.limit.key(s))
	}
	return c.bucket
}

// Filter judges a packet by each limit in order. What it takes of one is not given
// back when the next refuses it: a message refused for its size has still been one.
func (c *session) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	out := filters.Pass()
	for i := range c.counts {
		v := c.counts[i].judge(now, s, p)
		v.Delay = max(v.Delay, out.Delay)
		if v.Action != filters.Forward || v.Filters != nil {
			return v
		}
		out.Delay = v.Delay
	}
	if p.Type == packets.PUBLISH && p.Retain() && len(c.holds) > 0 {
		size := len(p.Payload) + p.Rest
		if l := c.hold(s, p.Topic, size); l != nil {
			v := l.refuse(s, p)
			v.Delay = out.Delay
			return v
		}
	}
	return out
}

// Passes reports whether p is a PUBLISH within all limits, and takes it from them.
func (c *session) Passes(now time.Time, s *filters.Session, p *packets.Packet) bool {
	if p.Type != packets.PUBLISH || p.Retain() && len(c.holds) > 0 {
		return false
	}
	for i := range c.counts {
		n := c.counts[i].limit.amount(s, p)
		if n == 0 || c.counts[i].acquire(now, s).Take(now, n) {
			continue
		}
		for _, taken := range c.counts[:i] {
			if n := taken.limit.amount(s, p); n > 0 {
				taken.bucket.Put(n)
			}
		}
		return false
	}
	return true
}

// Close gives back what the session has used.
func (c *session) Close() {
	for _, n := range c.counts {
		if n.bucket != nil {
			n.bucket.Release()
		}
	}
}

// Limit tells which PUBLISHes never go on, whatever their topics are.
func (c *session) Limit(o *filters.Offer) {
	for _, n := range c.counts {
		switch l := &n.limit.Limit; {
		case len(l.Topics) > 0:
		case l.What == Bytes:
			o.PacketSize = lower(o.PacketSize, l.largest())
		case l.What == Messages && l.Action != Delay && l.Day == 0:
			o.ReceiveMaximum = lower(o.ReceiveMaximum, l.Rate.Burst)
		}
	}
}

// lower is the lower of two limits, of which the first may be none.
func lower(limit, most int) int {
	if limit == 0 {
		return most
	}
	return min(limit, most)
}

// judge takes p from the limit.
func (c *count) judge(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	l := c.limit
	n := l.amount(s, p)
	if n == 0 {
		return filters.Pass()
	}
	bucket := c.acquire(now, s)
	switch {
	case l.waits(p):
		most := l.longest(s, p)
		wait, ok := bucket.Delay(now, n, most)
		if !ok && refusable(p) {
			return l.refuse(s, p)
		}
		if !ok {
			wait = most
		}
		return filters.Verdict{Action: filters.Forward, Delay: wait}
	case bucket.Take(now, n):
		return filters.Pass()
	default:
		return l.refuse(s, p)
	}
}

// waits reports whether p waits until there is enough of l for it.
func (l *Limit) waits(p *packets.Packet) bool {
	return l.Day == 0 && (l.Action == Delay || l.Action == Drop && !refusable(p))
}

// refuse is the verdict about p, for which there is not enough of l.
func (l *Limit) refuse(s *filters.Session, p *packets.Packet) filters.Verdict {
	switch {
	case l.Action > Drop:
		reason := packets.MessageRateTooHigh
		if l.What >= Holds || l.Day > 0 { // not what the client sends too quickly
			reason = packets.QuotaExceeded
		}
		return filters.Verdict{Action: filters.Disconnect, Reason: reason, Rule: l.Rule}
	case l.What >= Deliveries:
		v := filters.Withhold(l.Rule)
		v.Reason = packets.QuotaExceeded
		return v
	default:
		return filters.Deny(s, p, packets.QuotaExceeded, l.Rule)
	}
}
