// Package quota limits what clients send and what they are sent: packets, messages,
// bytes, subscriptions and retained messages, a second, a day or at once.
//
// Each Limit is of one quantity, for some clients or all, on some topics or all, and
// each client has it for itself or shares it. A client is an identity with a client
// identifier. What it has used outlives its sessions: who reconnects does not begin
// anew. A packet counts when it is judged, with its whole size, before its payload
// has arrived; what another filter refuses behind this one has counted, but for
// retained messages, which count when they go on. Nothing is counted over a restart
// of the process.
//
// It fails closed: more clients than it has room for share what they have, there
// is no room for more retained messages of limited clients than it can remember,
// and an action that does not exist ends the session.
package quota

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// Quota is limits, with what is used of them.
type Quota struct{ limits []*limit }

// limit is a Limit and what is used of it.
type limit struct {
	Limit
	buckets *ratelimit.Keyed[key] // nil with Holds
	held    *held                 // nil but with Holds
}

// key is who uses a limit. The zero key is all.
type key struct{ principal, clientID string }

// New returns the quota of limits, in which up to maxClients clients are kept apart;
// more than these share. It goes on with what is used of those limits of last, which
// may be nil, that allow the same.
func New(limits []Limit, maxClients int, last *Quota) *Quota {
	q := &Quota{}
	for i := range limits {
		l := &limit{Limit: limits[i]}
		l.inherit(last)
		switch {
		case l.buckets != nil || l.held != nil:
		case l.What == Holds:
			l.held = newHeld(maxHeld)
		case l.Day > 0:
			l.buckets = ratelimit.NewWindows[key](l.Day, day, maxClients)
		default:
			l.buckets = ratelimit.NewKeyed[key](l.Rate, maxClients)
		}
		q.limits = append(q.limits, l)
	}
	return q
}

// inherit takes over what is used of the limit of the same name. Whom a limit is for
// and what it does may have changed; what is held may be bounded otherwise, but the
// same messages have to count.
func (l *limit) inherit(last *Quota) {
	if last == nil {
		return
	}
	for _, old := range last.limits {
		switch {
		case old.Rule != l.Rule || old.What != l.What:
		case l.What == Holds && slices.Equal(old.Topics, l.Topics):
			l.held = old.held
		case l.What != Holds && old.Per == l.Per && old.Rate == l.Rate && old.Day == l.Day:
			l.buckets = old.buckets
		}
	}
}

func (l *limit) key(s *filters.Session) key {
	switch l.Per {
	case PerAll:
		return key{}
	case PerUser:
		return key{principal: s.Identity.Principal()}
	default:
		return key{s.Identity.Principal(), s.BrokerID()}
	}
}

// Up returns the filter of what clients send. It judges the broker's names.
func (q *Quota) Up() filters.Filter { return opener{q, false} }

// Down returns the filter of what clients are sent, by the broker's names; none if
// nothing of that is limited.
func (q *Quota) Down() filters.Chain {
	if !slices.ContainsFunc(q.limits, func(l *limit) bool { return l.What >= Deliveries }) {
		return nil
	}
	return filters.Chain{opener{q, true}}
}

// opener opens the filter of one direction.
type opener struct {
	quota *Quota
	down  bool
}

// Open returns the filter of the client of s. Its Close must be called when the
// session ends.
func (o opener) Open(s *filters.Session) filters.Filter {
	c := &session{}
	for _, l := range o.quota.limits {
		switch mine := l.isFor(s); {
		case (l.What >= Deliveries) != o.down:
		case l.What == Holds:
			c.holds = append(c.holds, hold{l, mine})
		case mine:
			c.counts = append(c.counts, count{limit: l})
		}
	}
	c.counts = slices.Clip(c.counts)
	return c
}

// Filter ends the session: only what Open returns knows a client's quota.
func (opener) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Verdict{Action: filters.Disconnect, Reason: packets.ImplementationSpecificError}
}
