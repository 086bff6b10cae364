package proxy

import (
	"log/slog"

	"github.com/mqttward/mqttward/filters"
)

// contents are the outcomes of checks of payloads, for metrics and the log.
var contents = [...]struct{ outcome, event string }{
	filters.ContentRefused:  {"refused", "payload refused"},
	filters.ContentDropped:  {"dropped", "payload dropped"},
	filters.ContentReported: {"reported", "payload reported"},
}

// noteContent counts and logs a message, or a Will, that failed a check of its
// payload. What is in the payload is not logged.
func (c *conn) noteContent(topic string, v filters.Verdict) {
	o := &contents[v.Content]
	c.listener.server.observer.Decided("payload", o.outcome, 1)
	c.log(o.event, slog.Any("topic", clientText(topic)), slog.String("rule", v.Rule), slog.String("reason", v.Reason.String()))
}
