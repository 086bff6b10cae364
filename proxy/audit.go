package proxy

import (
	"context"
	"log/slog"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// attrs says who a security event is about.
func (c *conn) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("listener", c.sess.Listener),
		slog.String("remote", c.remote.String()),
		slog.String("version", c.sess.Version.String()),
		slog.String("client_id", c.sess.ClientID),
		slog.String("username", c.username()),
		slog.String("method", c.sess.Identity.Method),
	}
}

// username is the proved user name or, as long as there is none, the claimed
// one.
func (c *conn) username() string {
	if c.sess.Identity.Method != "" {
		return c.sess.Identity.Username
	}
	return string(c.connect.Username)
}

func (c *conn) log(event string, attrs ...slog.Attr) {
	c.listener.server.audit.LogAttrs(context.Background(), slog.LevelInfo, event, append(c.attrs(), attrs...)...)
}

// auditEnd logs how the connection ended.
func (c *conn) auditEnd(e *ending) {
	event := "session ended"
	if !c.running {
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

// notePublish counts the judgement of a PUBLISH and logs a refusal.
func (c *conn) notePublish(p *packets.Packet, v filters.Verdict) {
	outcome := "allowed"
	switch {
	case v.Action < filters.Rewrite:
		outcome = "denied"
		c.log("publish denied", slog.String("topic", string(p.Topic)), slog.Int("qos", int(p.QoS())),
			slog.String("rule", v.Rule), slog.String("reason", v.Reason.String()))
	case v.Delay > 0:
		outcome = "delayed"
	}
	c.listener.server.observer.Decided("publish", outcome, 1)
}

// noteSubscribe counts the judgement of each filter of a SUBSCRIBE and logs
// the refusals.
func (c *conn) noteSubscribe(p *packets.Packet, v filters.Verdict) {
	if p.Type != packets.SUBSCRIBE {
		return
	}
	allowed, i := 0, 0
	var denied []string
	for filter := range p.Subscriptions() {
		if i < len(v.Codes) && v.Codes[i] == packets.Success || v.Codes == nil && v.Action >= filters.Rewrite {
			allowed++
		} else {
			denied = append(denied, string(filter))
		}
		i++
	}
	if allowed > 0 {
		c.listener.server.observer.Decided("subscribe", "allowed", allowed)
	}
	if denied != nil {
		c.listener.server.observer.Decided("subscribe", "denied", len(denied))
		c.log("subscribe denied", slog.Any("filters", denied), slog.String("rule", v.Rule))
	}
}
