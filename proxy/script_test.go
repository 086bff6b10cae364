package proxy_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// script is a filter whose verdict the topic of a PUBLISH or Will names, and
// each filter of a SUBSCRIBE. What begins with anything else passes.
func script(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	topic := p.Topic
	switch p.Type {
	case packets.CONNECT:
		if c, err := p.Connect(); err == nil && c.Will != nil {
			topic = c.Will.Topic
		}
	case packets.SUBSCRIBE:
		v := filters.Pass()
		for filter := range p.Subscriptions() {
			rc := packets.Success
			if strings.HasPrefix(string(filter), "denied") {
				rc = packets.NotAuthorized
			}
			v.Filters = append(v.Filters, filters.Judgement{Reason: rc, Rule: "denied"})
		}
		return v
	case packets.PUBLISH:
	default:
		return filters.Pass()
	}
	verb, _, _ := strings.Cut(string(topic), "/")
	switch verb {
	case "denied":
		return filters.Deny(s, p, packets.NotAuthorized, "denied")
	case "dropped":
		return filters.Verdict{Action: filters.Drop}
	case "slow":
		return filters.Verdict{Action: filters.Forward, Delay: time.Minute}
	case "renamed":
		return filters.Verdict{Action: filters.Rewrite, Packet: rename(p)}
	case "renamedslow":
		return filters.Verdict{Action: filters.Rewrite, Packet: rename(p), Delay: time.Minute}
	case "kicked":
		return filters.Verdict{Reason: packets.AdministrativeAction, Rule: "kick"}
	case "panic":
		panic("a bug in a filter")
	}
	return filters.Pass()
}

func rename(p *packets.Packet) []byte {
	return packets.AppendPublish(nil, p.Version, p.Flags, append([]byte("new/"), p.Topic...), p.ID, p.Props, p.Payload, p.Rest)
}

// opener opens a filter for each session, and counts.
type opener struct {
	h      *house
	filter func(time.Time, *filters.Session, *packets.Packet) filters.Verdict
}

func (o *opener) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Verdict{Rule: "a filter that was not opened"}
}

func (o *opener) Open(*filters.Session) filters.Filter {
	o.h.filters.Add(1)
	o.h.opened.Add(1)
	return &opened{opener: o}
}

type opened struct {
	*opener
	closed atomic.Bool
}

func (o *opened) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if o.closed.Load() {
		return filters.Verdict{Rule: "a filter that was closed"}
	}
	return o.filter(now, s, p)
}

func (o *opened) Close() {
	if o.closed.Swap(true) {
		o.h.t.Error("a filter is closed twice")
	}
	o.h.filters.Add(-1)
}

func concat(packets ...[]byte) []byte { return bytes.Join(packets, nil) }

// dropMe drops by payload what says so, whatever its topic is.
func dropMe(h *house) func(*proxy.Policy) {
	return func(p *proxy.Policy) {
		p.Up = append(filters.Chain{&opener{h: h, filter: func(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
			if p.Type == packets.PUBLISH && string(p.Payload) == "drop me" {
				return filters.Verdict{Action: filters.Drop}
			}
			return filters.Pass()
		}}}, p.Up...)
	}
}
