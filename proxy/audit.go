package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// maxLogged bounds what a client chooses of a line, in bytes: 64 KiB of topic in
// each line of a flood would fill a disk.
const maxLogged = 256

// clip makes text fit for the log: short, and without what a terminal would obey
// or a reader not see. U+FFFD stands in the place of that.
func clip[T string | []byte](text T) string {
	short := string(text[:min(len(text), maxLogged)])
	if len(short) < len(text) {
		short = strings.ToValidUTF8(short, "") + "…" // a character may have been cut
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, short)
}

// who says who a security event is about. Most events of a flood make no line, and
// what it would have said is not made: a denied PUBLISH takes 4 µs of processor
// time, and took 9 with that and a write for each answer.
type who struct{ *conn }

// LogValue implements slog.LogValuer.
func (c who) LogValue() slog.Value { return slog.GroupValue(c.attrs()...) }

// clientText is a text of the client's, for the log.
type clientText string

// LogValue implements slog.LogValuer.
func (t clientText) LogValue() slog.Value { return slog.StringValue(clip(string(t))) }

func (c *conn) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("listener", c.sess.Listener),
		slog.String("remote", c.sess.RemoteAddr.String()),
		slog.String("version", c.sess.Version.String()),
		slog.String("client_id", clip(c.sess.ClientID)),
		slog.String("username", clip(c.username())),
		slog.String("method", c.sess.Identity.Method),
	}
	if tenant := c.sess.Identity.Tenant; tenant != "" {
		attrs = append(attrs, slog.String("tenant", clip(tenant)))
	}
	if server := c.sess.Server; server != "" {
		attrs = append(attrs, slog.String("backend", c.sess.Backend), slog.String("server", server))
	}
	return attrs
}

// username is the proved user name or, as long as there is none, the claimed
// one.
func (c *conn) username() string {
	if c.sess.Identity.Method != "" {
		return c.sess.Identity.Username
	}
	if name := c.connect.Username; len(name) > 0 && c.policy.SecretNames || tokenLike(name) {
		return "[token]"
	}
	return string(c.connect.Username)
}

// tokenLike reports whether a user name has the form of a JSON Web Token. Some
// clients give theirs so; it may still be good for others who read it in a log.
func tokenLike(name []byte) bool {
	return bytes.HasPrefix(name, []byte("eyJ")) && bytes.Count(name, []byte(".")) >= 2
}

func (c *conn) log(event string, attrs ...slog.Attr) {
	c.listener.server.audit.LogAttrs(context.Background(), slog.LevelInfo, event, append([]slog.Attr{{Value: slog.AnyValue(who{c})}}, attrs...)...)
}

// auditEnd logs how the connection ended.
func (c *conn) auditEnd(e *ending) {
	event := "session ended"
	if !c.running.Load() {
		event = "connection refused"
	}
	attrs := []slog.Attr{slog.String("end", string(e.end))}
	if e.code != packets.Success {
		attrs = append(attrs, slog.String("reason", e.code.String()))
	}
	if e.rule != "" {
		attrs = append(attrs, slog.String("rule", e.rule))
	}
	if e.err != nil {
		attrs = append(attrs, slog.String("error", e.err.Error()))
	}
	c.log(event, attrs...)
}

// noteChecks counts the checks that a packet fails and logs those that it was
// let through in spite of.
func (c *conn) noteChecks(p *packets.Packet, v filters.Verdict) {
	for check := packets.Check(1); check < packets.NumChecks; check++ {
		if !v.Broken.Has(check) {
			continue
		}
		outcome := "let_through"
		if refusedBy(check, v) {
			outcome = "refused"
		}
		c.listener.server.observer.Checked(check.String(), outcome)
		c.log("check failed", slog.String("check", check.String()), slog.String("what", check.Describe()), slog.String("packet", p.Type.String()),
			slog.String("outcome", outcome), slog.String("rule", v.Rule))
	}
}

// refusedBy reports whether check refused the packet or one of its filters: its
// rule begins with the check's number.
func refusedBy(check packets.Check, v filters.Verdict) bool {
	prefix := check.String() + ":"
	return strings.HasPrefix(v.Rule, prefix) || slices.ContainsFunc(v.Filters, func(j filters.Judgement) bool {
		return strings.HasPrefix(j.Rule, prefix)
	})
}

// noteDelivery counts a PUBLISH that the client does not get, and logs it.
func (c *conn) noteDelivery(p *packets.Packet, v filters.Verdict) {
	event := c.noteDenied("receive", "delivery", &v)
	c.log(event, slog.Any("topic", clientText(p.Topic)), slog.Int("qos", int(p.QoS())), slog.String("rule", v.Rule))
}

// noteDenied counts a denial, or what would be one where rules are not enforced,
// and returns what to log it as, with the rule in v.
func (c *conn) noteDenied(action, what string, v *filters.Verdict) (event string) {
	if v.Action >= filters.Rewrite && v.Monitored != "" {
		c.listener.server.observer.Decided(action, "monitored", 1)
		v.Rule = v.Monitored
		return what + " would be denied"
	}
	c.listener.server.observer.Decided(action, "denied", 1)
	return what + " denied"
}

// noteRelease logs a PUBLISH whose right was lost before its PUBREL.
func (c *conn) noteRelease(v filters.Verdict) {
	if v.Reason == packets.Success {
		return // it is the end of a refusal that has been told
	}
	c.listener.server.observer.Decided("publish", "denied", 1)
	c.log("publish withdrawn", slog.String("rule", v.Rule))
}

// publishes counts the messages of a burst that may go on.
type publishes struct{ allowed, delayed int }

// notePublish counts the judgement of a PUBLISH and logs a refusal.
func (c *conn) notePublish(p *packets.Packet, v filters.Verdict) {
	if v.Content != filters.ContentSound {
		c.noteContent(c.brokerTopic(p.Topic), v)
	}
	switch {
	case v.Action < filters.Rewrite || v.Monitored != "":
		event := c.noteDenied("publish", "publish", &v)
		if v.Action < filters.Rewrite && v.Content != filters.ContentSound {
			return // logged with what was found
		}
		c.log(event, slog.Any("topic", clientText(c.brokerTopic(p.Topic))), slog.Int("qos", int(p.QoS())),
			slog.String("rule", v.Rule), slog.String("reason", v.Reason.String()))
	case v.Delay > 0:
		c.up.publishes.delayed++
	default:
		c.up.publishes.allowed++
	}
}

// reportPublishes hands the counts of a burst on: one for each message would
// cost a twentieth of all that a message costs.
func (c *conn) reportPublishes() {
	o, n := c.listener.server.observer, &c.up.publishes
	if n.allowed > 0 {
		o.Decided("publish", "allowed", n.allowed)
	}
	if n.delayed > 0 {
		o.Decided("publish", "delayed", n.delayed)
	}
	*n = publishes{}
}

// maxDeniedLogged bounds the lines that one SUBSCRIBE makes, and one look at what a
// session holds: it can be some 20,000 filters.
const maxDeniedLogged = 16

// noteSubscribe counts the judgement of each filter of a SUBSCRIBE and logs
// the refusals.
func (c *conn) noteSubscribe(p *packets.Packet, v filters.Verdict) {
	allowed, denied, monitored, i := 0, 0, 0, 0
	for filter := range p.Subscriptions() {
		j, goesOn := filters.Judgement{Reason: v.Reason, Rule: v.Rule}, v.Filters == nil && v.Action >= filters.Rewrite
		if i < len(v.Filters) {
			j, goesOn = v.Filters[i], v.Filters[i].Reason == packets.Success
		}
		i++
		event, rule := "subscribe denied", j.Rule
		switch {
		case goesOn && j.Monitored == "":
			allowed++
			continue
		case goesOn:
			event, rule = "subscribe would be denied", j.Monitored
			monitored++
		default:
			denied++
		}
		if denied+monitored > maxDeniedLogged {
			continue
		}
		c.log(event, slog.String("filter", clip(c.sess.Namespace.Filter(string(filter)))), slog.String("rule", rule), slog.String("reason", j.Reason.String()))
	}
	if monitored > 0 {
		c.listener.server.observer.Decided("subscribe", "monitored", monitored)
	}
	if allowed > 0 {
		c.listener.server.observer.Decided("subscribe", "allowed", allowed)
	}
	if denied > 0 {
		c.listener.server.observer.Decided("subscribe", "denied", denied)
	}
	if more := denied + monitored - maxDeniedLogged; more > 0 {
		event := "subscribe denied"
		if denied == 0 {
			event = "subscribe would be denied"
		}
		c.log(event, slog.Int("more", more))
	}
}
