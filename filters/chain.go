package filters

import (
	"cmp"
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

// Passes is the short way to the verdict about p, which is a whole PUBLISH with
// QoS 0, so that nothing has to be kept of it: most traffic is, and a Verdict is
// a lot to carry (BenchmarkShortWay). It returns how many filters have let p go
// on as it is, and whether all have. If not, those behind them have to judge it:
// c[n:].JudgeUp or c[n:].JudgeDown.
func (c Chain) Passes(now time.Time, s *Session, p *packets.Packet) (n int, all bool) {
	for i, f := range c {
		if f, ok := f.(Passer); !ok || !f.Passes(now, s, p) {
			return i, false
		}
	}
	return len(c), len(c) > 0
}

// JudgeUp judges a packet from the client. A Reply goes to the client. An empty
// chain lets nothing go on: what nobody judged is not allowed. What Settle
// returns has to be sent behind the packets that go on.
func (c Chain) JudgeUp(now time.Time, s *Session, p *packets.Packet) Verdict {
	if len(c) == 0 {
		return Verdict{Action: Disconnect, Reason: packets.NotAuthorized, Rule: "no filters"}
	}
	if p.Type == packets.PUBREL {
		if v, ours := c.release(now, s, p); ours {
			return v
		}
	}
	if s.collides(p) || c.holds(s, p) {
		return Verdict{Action: Hold}
	}
	if p.Rest > 0 && c.gathers(s, p) {
		return Verdict{Action: Gather}
	}
	if p.Type == packets.PUBLISH {
		if v, barred := c.barred(now, s, p); barred {
			return v
		}
	}
	p, v := c.judge(now, s, p, packets.Client)
	if p.Type == packets.PUBLISH && p.Retain() {
		c.note(v)
	}
	if v.Action < Rewrite {
		return v
	}
	if p.Type == packets.SUBSCRIBE || p.Type == packets.UNSUBSCRIBE {
		s.narrow(p, v.Filters)
		c.withdraw(now, s, p, v.Filters)
		return s.request(now, p, v)
	}
	s.sentUp(p)
	return v
}

// note tells what became of a retained message.
func (c Chain) note(v Verdict) {
	for _, f := range c {
		if n, ok := f.(Noter); ok {
			n.Note(v.Action >= Rewrite)
		}
	}
}

// collides reports whether the client begins something with a Packet Identifier
// that we have in use ourselves.
func (s *Session) collides(p *packets.Packet) bool {
	switch p.Type {
	case packets.PUBLISH, packets.SUBSCRIBE, packets.UNSUBSCRIBE:
		if p.ID == 0 {
			return false
		}
		return s.Stage(p.ID) == Ours
	default:
		return false
	}
}

// holds reports whether a filter makes a PUBLISH wait.
func (c Chain) holds(s *Session, p *packets.Packet) bool {
	if p.Type != packets.PUBLISH || p.ID == 0 {
		return false
	}
	for _, f := range c {
		if h, ok := f.(Holder); ok && h.Hold(s, p) {
			return true
		}
	}
	return false
}

// gathers reports whether a filter has to see the whole of p.
func (c Chain) gathers(s *Session, p *packets.Packet) bool {
	if p.Size() > packets.MaxWhole {
		return false
	}
	sent := p.Topic
	p.Topic = c.named(s, sent)
	defer func() { p.Topic = sent }()
	for _, f := range c {
		if w, ok := f.(Whole); ok && w.Whole(s, p) {
			return true
		}
	}
	return false
}

// sentUp notes a packet that goes on to the broker.
func (s *Session) sentUp(p *packets.Packet) {
	if p.ID == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p.Type {
	case packets.PUBLISH:
		s.flows.publish(p, s.epoch)
	case packets.PUBREL:
		s.flows.set(p.ID, AwaitPubcomp)
	case packets.PUBACK, packets.PUBREC, packets.PUBCOMP:
		if s.deliveries.acknowledge(p) {
			s.unsettled = true
		}
	default:
	}
}

// review asks the filters again about something that was let go on.
func (c Chain) review(now time.Time, s *Session, p *packets.Packet) Verdict {
	out := Pass()
	for _, f := range c {
		r, ok := f.(Reviewer)
		if !ok {
			continue
		}
		v := r.Review(now, s, p)
		if v.Action < Rewrite {
			return v
		}
		out.refuse(v)
	}
	return out
}

// ReviewWill judges the Will of a session again, by the rules of now. connect
// is a CONNECT that has it.
func (c Chain) ReviewWill(now time.Time, s *Session, connect *packets.Packet) Verdict {
	if len(c) == 0 {
		return Verdict{Action: Disconnect, Reason: packets.NotAuthorized, Rule: "no filters"}
	}
	v := c.review(now, s, connect)
	c.note(v)
	return v
}

// Offer lowers o to what the filters can let go on.
func (c Chain) Offer(o *Offer) {
	for _, f := range c {
		if l, ok := f.(Limiter); ok {
			l.Limit(o)
		}
	}
}

// JudgeDown judges a packet from the broker. A Reply goes to the broker. A
// PUBLISH that does not go on is finished towards the broker as the client
// would.
func (c Chain) JudgeDown(now time.Time, s *Session, p *packets.Packet) Verdict {
	if p.Type == packets.PUBREL {
		if v, ours := s.releaseDown(p); ours {
			return v
		}
	}
	p, v := c.judge(now, s, p, packets.Server)
	switch {
	case v.Action == Drop && p.Type == packets.PUBLISH:
		return s.withhold(p, v)
	case v.Action < Rewrite:
		return v
	case p.Type == packets.SUBACK, p.Type == packets.UNSUBACK:
		return s.merge(p, v)
	}
	s.sentDown(p)
	return v
}

// Withhold keeps p, a PUBLISH of the broker, from the client for a reason that
// no filter can know, and finishes its flow.
func (s *Session) Withhold(p *packets.Packet, rule string) Verdict {
	return s.withhold(p, Withhold(rule))
}

// releaseDown takes a PUBREL of the broker, and reports whether the client does
// not know of its flow.
func (s *Session) releaseDown(p *packets.Packet) (Verdict, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.deliveries.release(p.ID) {
		return Verdict{}, false
	}
	return s.reply(Verdict{Action: Drop}), true
}

// sentDown notes a packet that goes on to the client.
func (s *Session) sentDown(p *packets.Packet) {
	if p.ID == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p.Type {
	case packets.PUBLISH:
		s.deliveries.publish(p, false)
	case packets.PUBACK, packets.PUBREC, packets.PUBCOMP:
		s.flows.answered(p)
		s.change()
	default:
	}
}

// judge asks the filters in order and returns the packet as the last of them
// left it. The first that does not let it go on decides; what a filter
// rewrites is parsed again, so that the next judges the bytes that go on.
func (c Chain) judge(now time.Time, s *Session, p *packets.Packet, from packets.Role) (*packets.Packet, Verdict) {
	out := Pass()
	for _, f := range c {
		v := f.Filter(now, s, p)
		out.Delay = max(out.Delay, v.Delay)
		out.Broken |= v.Broken
		out.Monitored = cmp.Or(out.Monitored, v.Monitored)
		if v.Content == ContentReported {
			out.Content, out.Rule = v.Content, v.Rule
		}
		switch v.Action {
		case Forward:
		case Rewrite:
			rewritten, err := p.Reparse(v.Packet, from)
			if err != nil || rewritten.Rest != p.Rest {
				return p, Verdict{Action: Disconnect, Reason: packets.UnspecifiedError, Rule: v.Rule, Broken: out.Broken}
			}
			p = rewritten
			out.Action, out.Packet = Rewrite, v.Packet
		case Disconnect:
			v.Reason = max(v.Reason, packets.UnspecifiedError) // a forgotten verdict is no success
			v.Broken = out.Broken
			return p, v
		default:
			v.Delay, v.Broken = out.Delay, out.Broken
			return p, v
		}
		out.refuse(v)
	}
	return p, out
}

// refuse adds the judgements of single Topic Filters in v. One that either did
// not judge is refused.
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
		out.Filters[i] = j.and(v.Filters[i])
	}
}
