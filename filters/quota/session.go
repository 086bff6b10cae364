package quota

import (
	"math"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// session is the filter of one direction of one session.
type session struct {
	counts  []count
	holds   []hold
	changes []change  // that the last retained message has made, until it is known whether it goes on
	at      time.Time // of the run of packets that fit
	ahead   bool      // there is credit in counts
}

// count is a limit of the client.
type count struct {
	limit  *limit
	bucket *ratelimit.Bucket // nil until it is needed: a client that does nothing takes no memory for it
	credit int               // taken in advance for packets to come in the run
}

func (c *count) acquire(now time.Time, s *filters.Session) *ratelimit.Bucket {
	if c.bucket == nil {
		c.bucket = c.limit.buckets.Acquire(now, c.limit.key(s))
	}
	return c.bucket
}

// Filter judges a packet. That there is enough of everything is found out in the short
// way for all packets.
func (c *session) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	v := filters.Pass()
	if !c.fits(now, s, p) {
		if v = c.judge(now, s, p); v.Action != filters.Forward || v.Filters != nil {
			return v
		}
	}
	if p.Type == packets.PUBLISH && p.Retain() && len(c.holds) > 0 {
		if l := c.hold(s, p.Topic, len(p.Payload)+p.Rest); l != nil {
			refused := l.refuse(s, p)
			refused.Delay = v.Delay
			return refused
		}
	}
	return v
}

// judge judges a packet by each limit in order. What it takes of one is not given back
// when the next refuses it: a message refused for its size has still been one.
func (c *session) judge(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	c.settle()
	out := filters.Pass()
	for i := range c.counts {
		v := c.counts[i].judge(now, s, p)
		v.Delay = max(v.Delay, out.Delay)
		if v.Action != filters.Forward || v.Filters != nil {
			return v
		}
		out.Delay = v.Delay
	}
	return out
}

// lot is for how many packets like the first more is taken once a run has begun.
const lot = 16

// Passes reports whether p is a PUBLISH within all limits, and takes it from them.
func (c *session) Passes(now time.Time, s *filters.Session, p *packets.Packet) bool {
	return p.Type == packets.PUBLISH && (!p.Retain() || len(c.holds) == 0) && c.fits(now, s, p)
}

// fits reports whether there is enough of all limits for p, and takes it from them, or
// nothing.
//
// Packets that came in one read come with one time. For a run of them, what a client
// has for itself is taken in lots, which costs a third of taking each by itself
// (BenchmarkPasses: 31 ns, one by one 98); what is left of them goes back when the run
// is over.
func (c *session) fits(now time.Time, s *filters.Session, p *packets.Packet) bool {
	run := now.Equal(c.at)
	if !run {
		c.settle()
		c.at = now
	}
	for i := range c.counts {
		n := &c.counts[i]
		amount := n.limit.amount(s, p)
		switch {
		case amount <= n.credit:
			n.credit -= amount
		case run && n.takeLot(now, s, amount):
			c.ahead = true
		case !n.acquire(now, s).Take(now, amount):
			c.giveBack(s, p, i)
			return false
		}
	}
	return true
}

// takeLot takes n, and more in advance, if all of it is there.
func (c *count) takeLot(now time.Time, s *filters.Session, n int) bool {
	if c.limit.Per != PerClient || n > math.MaxInt/lot || !c.acquire(now, s).Take(now, n*lot) {
		return false
	}
	c.credit += n * (lot - 1)
	return true
}

// giveBack gives back what the first limits have given for p.
func (c *session) giveBack(s *filters.Session, p *packets.Packet, limits int) {
	for i := range c.counts[:limits] {
		n := &c.counts[i]
		// The broker may have changed its mind meanwhile about what it waits for.
		if amount := n.limit.amount(s, p); amount > 0 && n.bucket != nil {
			n.bucket.Put(amount)
		}
	}
}

// settle gives back what was taken in advance.
func (c *session) settle() {
	if !c.ahead {
		return
	}
	c.ahead = false
	for i := range c.counts {
		if n := &c.counts[i]; n.credit > 0 {
			n.bucket.Put(n.credit)
			n.credit = 0
		}
	}
}

// Close gives back what the session has used.
func (c *session) Close() {
	c.settle()
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
