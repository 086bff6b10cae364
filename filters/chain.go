package filters

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Chain is the filters of one direction, in order.
type Chain []Filter

// Open returns the chain that judges the packets of s.
func (c Chain) Open(s *Session) Chain {
	opened := make(Chain, len(c))
	for i, f := range c {
		if o, ok := f.(Opener); ok {
			f = o.Open(s)
		}
		opened[i] = f
	}
	return opened
}

// Close ends the filters of an opened chain.
func (c Chain) Close() {
	for _, f := range c {
		if f, ok := f.(Closer); ok {
			f.Close()
		}
	}
}

// JudgeUp judges a packet from the client. A Reply goes to the client. An empty
// chain lets nothing go on: what nobody judged is not allowed.
func (c Chain) JudgeUp(now time.Time, s *Session, p *packets.Packet) Verdict {
	if len(c) == 0 {
		return Verdict{Action: Disconnect, Reason: packets.NotAuthorized, Rule: "no filters"}
	}
	if p.Type == packets.PUBREL && s.finish(p.ID) {
		return Verdict{Action: Reply, Packet: packets.AppendAck(nil, s.Version, packets.PUBCOMP, p.ID, packets.Success)}
	}
	p, v := c.judge(now, s, p, packets.Client)
	if v.Action < Rewrite {
		return v
	}
	switch {
	case p.Type == packets.SUBSCRIBE:
		return s.subscribe(p, v)
	case p.Type == packets.PUBLISH && p.QoS() == 2:
		s.finish(p.ID) // the flow is the broker's now
	}
	return v
}

// JudgeDown judges a packet from the broker. A Reply goes to the broker.
func (c Chain) JudgeDown(now time.Time, s *Session, p *packets.Packet) Verdict {
	p, v := c.judge(now, s, p, packets.Server)
	if v.Action < Rewrite || p.Type != packets.SUBACK {
		return v
	}
	return s.mergeSuback(p, v)
}

// judge asks the filters in order and returns the packet as the last of them
// left it. The first that does not let it go on decides; what a filter
// rewrites is parsed again, so that the next judges the bytes that go on.
func (c Chain) judge(now time.Time, s *Session, p *packets.Packet, from packets.Role) (*packets.Packet, Verdict) {
	out := Pass()
	for _, f := range c {
		v := f.Filter(now, s, p)
		out.Delay = max(out.Delay, v.Delay)
		switch v.Action {
		case Forward:
		case Rewrite:
			rewritten, err := reparse(p, v.Packet, from)
			if err != nil || rewritten.Rest != p.Rest {
				return p, Verdict{Action: Disconnect, Reason: packets.UnspecifiedError, Rule: v.Rule}
			}
			p = rewritten
			out.Action, out.Packet = Rewrite, v.Packet
		case Disconnect:
			v.Reason = max(v.Reason, packets.UnspecifiedError) // a forgotten verdict is no success
			return p, v
		default:
			v.Delay = out.Delay
			return p, v
		}
		out.refuse(v)
	}
	return p, out
}

// reparse returns the view of b, which a filter has put in the place of p.
func reparse(p *packets.Packet, b []byte, from packets.Role) (*packets.Packet, error) {
	v := p.Version
	if p.Type == packets.CONNECT {
		v = 0 // it names its own
	}
	return packets.Parse(b, v, from)
}

// refuse adds the refusals of single Topic Filters in v. Of two refusals of
// one filter the first stands; one that either did not judge is refused.
func (out *Verdict) refuse(v Verdict) {
	switch {
	case v.Filters == nil:
		return
	case out.Filters == nil:
		out.Filters = v.Filters
		return
	}
	out.Filters = out.Filters[:min(len(out.Filters), len(v.Filters))]
	for i, j := range out.Filters {
		if j.Reason == packets.Success {
			out.Filters[i] = v.Filters[i]
		}
	}
}
