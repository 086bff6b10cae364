// Package strict judges the shape of packets and the state of the protocol:
// what the codec cannot see in one packet alone, what the limits of the
// configuration hold back, and what the broker that stands behind is known to
// suffer from.
//
// The checks have the numbers of docs/checks.md. Each is enforced unless the
// configuration says otherwise: a check that is logged or off lets packets go
// on that fail it, for devices that cannot be mended. Who may do what is not
// decided here: that is authz.
package strict

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Options are how strict to be.
type Options struct {
	Log    packets.Checks // let through and noted in Verdict.Broken
	Off    packets.Checks // not made
	Limits Limits
	Broker *Broker
}

// Limits bound what one client may ask for. Zero means no limit.
type Limits struct {
	TopicLevels         int
	TopicLength         int // bytes
	FiltersPerSubscribe int
	Subscriptions       int // of a session
	UserProperties      int // of a packet
}

// Lax is the checks of the codec that a Reader of the client's packets must not
// enforce.
func (o Options) Lax() packets.Checks { return o.Log | o.Off }

// LaxDown is the same for the broker's packets.
func (o Options) LaxDown() packets.Checks {
	if o.Lax().Has(packets.CheckServer) {
		return ^packets.Checks(0)
	}
	return 0
}

// Up returns the filter of what clients send.
func Up(o Options) filters.Filter { return &filter{Options: o, checks: &upChecks} }

// Down returns the filter of what the broker sends.
func Down(o Options) filters.Filter { return &filter{Options: o, checks: &downChecks, down: true} }

// filter is the checks of one direction. Its state is the session's.
type filter struct {
	Options
	checks *[16][]check
	down   bool
}

// check judges packets of one type. It returns what becomes of p if it fails.
type check struct {
	id    packets.Check
	judge func(f *filter, s *filters.Session, p *packets.Packet) (v filters.Verdict, fails bool)
}

var upChecks = [16][]check{
	packets.CONNECT: {
		{packets.CheckConnect, connectVersion},
		{packets.CheckName, connectNames},
		{packets.CheckProperties, properties},
		{packets.CheckWill, will},
		{packets.CheckOwner, owner},
	},
	packets.PUBLISH: {
		{packets.CheckTopic, topic},
		{packets.CheckProperties, properties},
		{packets.CheckFlow, publishFlow},
	},
	packets.PUBACK:  {{packets.CheckProperties, properties}, {packets.CheckFlow, acknowledgement}},
	packets.PUBREC:  {{packets.CheckProperties, properties}, {packets.CheckFlow, acknowledgement}},
	packets.PUBREL:  {{packets.CheckProperties, properties}, {packets.CheckFlow, release}},
	packets.PUBCOMP: {{packets.CheckProperties, properties}, {packets.CheckFlow, acknowledgement}},
	packets.SUBSCRIBE: {
		{packets.CheckProperties, properties},
		{packets.CheckFlow, requestFlow},
		{packets.CheckFilter, topicFilters},
		{packets.CheckSubscriptions, subscriptions},
	},
	packets.UNSUBSCRIBE: {
		{packets.CheckProperties, properties},
		{packets.CheckFlow, requestFlow},
		{packets.CheckFilter, topicFilters},
	},
	packets.DISCONNECT: {{packets.CheckProperties, properties}, {packets.CheckProperties, goodbye}},
}

var downChecks = [16][]check{
	packets.PUBLISH:  {{packets.CheckServer, delivery}},
	packets.PUBACK:   {{packets.CheckServer, answer}, {packets.CheckServer, problems}},
	packets.PUBREC:   {{packets.CheckServer, answer}, {packets.CheckServer, problems}},
	packets.PUBREL:   {{packets.CheckServer, problems}},
	packets.PUBCOMP:  {{packets.CheckServer, answer}, {packets.CheckServer, problems}},
	packets.SUBACK:   {{packets.CheckServer, answer}, {packets.CheckServer, problems}},
	packets.UNSUBACK: {{packets.CheckServer, answer}, {packets.CheckServer, problems}},
}

// Filter makes the checks of p's type.
func (f *filter) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	out := filters.Pass()
	if p.Broken != 0 {
		out.Broken = f.tolerated(p.Broken)
	}
	for _, c := range f.checks[p.Type] {
		if f.Off.Has(c.id) {
			continue
		}
		v, fails := c.judge(f, s, p)
		switch {
		case !fails:
		case f.Log.Has(c.id):
			out.Broken = out.Broken.With(c.id)
		case v.Action >= filters.Rewrite: // single Topic Filters are refused
			out.Broken = out.Broken.With(c.id)
			out.Filters = merge(out.Filters, v.Filters)
		default:
			v.Broken = out.Broken.With(c.id)
			return v
		}
	}
	return out
}

// Passes reports whether p is a PUBLISH that no check finds anything in.
func (f *filter) Passes(_ time.Time, _ *filters.Session, p *packets.Packet) bool {
	if p.Type != packets.PUBLISH || p.ID != 0 || p.Broken != 0 {
		return false
	}
	return f.down || len(p.Props) == 0 && f.badTopic(p.Topic) == ""
}

// tolerated is what is to be noted of the checks that the codec let p fail.
func (f *filter) tolerated(broken packets.Checks) packets.Checks {
	if !f.down {
		return broken & f.Log
	}
	if f.Log.Has(packets.CheckServer) {
		return packets.Checks(0).With(packets.CheckServer)
	}
	return 0
}

// merge puts the refusals of two checks together. Of two refusals of one filter
// the first stands.
func merge(have, more []filters.Judgement) []filters.Judgement {
	for i, j := range have {
		if j.Reason != packets.Success {
			more[i] = j
		}
	}
	return more
}

// end is the verdict that ends the session.
func end(rc packets.ReasonCode, rule string) (filters.Verdict, bool) {
	return filters.Verdict{Action: filters.Disconnect, Reason: rc, Rule: rule}, true
}

// pass is the answer of a check that finds nothing.
func pass() (filters.Verdict, bool) { return filters.Verdict{}, false }
