// Package quota limits how many messages and bytes a second a client
// publishes.
//
// A client is an identity with a client id. Its quota outlives its sessions:
// who reconnects does not begin anew. The filter judges PUBLISH packets only
// and belongs into the chain of what clients send; a packet counts with its
// whole size, before its payload has arrived.
//
// It fails closed: more clients than it has room for share quotas, and an
// action that does not exist ends the session.
package quota

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// Action is what happens to a PUBLISH over its quota.
type Action uint8

// The actions. The zero one loses nothing.
const (
	Delay      Action = iota // it waits, and so does its sender
	Drop                     // it is refused: MQTT 5.0 clients are told, QoS 0 is lost
	Disconnect               // the session ends
)

// Limits is what one client may publish. A zero Rate is no limit.
//
// A packet larger than the burst of Bytes never passes unless the action is
// Delay.
type Limits struct {
	Messages, Bytes             ratelimit.Rate // a second
	MessagesAction, BytesAction Action
}

// Quota limits each client by itself. It is a filters.Opener.
type Quota struct {
	limits          Limits
	messages, bytes *ratelimit.Keyed[client]
}

type client struct{ username, id string }

// New returns quotas for up to maxClients clients; more than these share.
func New(limits Limits, maxClients int) *Quota {
	return &Quota{
		limits:   limits,
		messages: ratelimit.NewKeyed[client](limits.Messages, maxClients),
		bytes:    ratelimit.NewKeyed[client](limits.Bytes, maxClients),
	}
}

// Open returns the filter of the client of s. Its Close must be called when
// the session ends.
func (q *Quota) Open(s *filters.Session) filters.Filter {
	now := time.Now()
	c := client{s.Identity.Principal(), s.BrokerID()}
	return &session{
		messages: limit{q.messages.Acquire(now, c), q.limits.MessagesAction, "limits.publish_rate"},
		bytes:    limit{q.bytes.Acquire(now, c), q.limits.BytesAction, "limits.publish_bytes"},
	}
}

// Filter ends the session: only what Open returns knows a client's quota.
func (q *Quota) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Verdict{Action: filters.Disconnect, Reason: packets.ImplementationSpecificError}
}

// session is the filter of one session.
type session struct{ messages, bytes limit }

// Filter judges a PUBLISH by its number, then by its size. One refused for its
// size has still been a message.
func (c *session) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.PUBLISH {
		return filters.Pass()
	}
	messages := c.messages.judge(now, s, p, 1)
	if messages.Action != filters.Forward {
		return messages
	}
	v := c.bytes.judge(now, s, p, p.Size())
	v.Delay = max(v.Delay, messages.Delay)
	return v
}

// Passes reports whether p is within the quota, and takes it from there.
func (c *session) Passes(now time.Time, _ *filters.Session, p *packets.Packet) bool {
	if p.Type != packets.PUBLISH {
		return true
	}
	if !c.messages.bucket.Take(now, 1) {
		return false
	}
	if !c.bytes.bucket.Take(now, p.Size()) {
		c.messages.bucket.Put(1)
		return false
	}
	return true
}

// Close gives the quota back.
func (c *session) Close() {
	c.messages.bucket.Release()
	c.bytes.bucket.Release()
}

// limit is one of a client's two quotas.
type limit struct {
	bucket *ratelimit.Bucket
	action Action
	rule   string
}

// judge takes n from the quota for p.
func (l limit) judge(now time.Time, s *filters.Session, p *packets.Packet, n int) filters.Verdict {
	if l.action == Delay {
		return filters.Verdict{Action: filters.Forward, Delay: l.bucket.Delay(now, n)}
	}
	if l.bucket.Take(now, n) {
		return filters.Pass()
	}
	if l.action == Drop {
		return filters.Deny(s, p, packets.QuotaExceeded, l.rule)
	}
	return filters.Verdict{Action: filters.Disconnect, Reason: packets.MessageRateTooHigh, Rule: l.rule}
}
