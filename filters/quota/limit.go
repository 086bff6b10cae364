package quota

import (
	"math"
	"slices"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
	"github.com/mqttward/mqttward/ratelimit"
)

// Quantity is what a Limit counts.
type Quantity uint8

// The quantities. Those from Deliveries on are of what the broker sends.
const (
	Packets        Quantity = iota // of a client, but for those that begin and end its session, and answers that the broker waits for
	Messages                       // PUBLISHes of a client
	Bytes                          // of these
	Subscribes                     // Topic Filters that a client subscribes to or unsubscribes from
	Retained                       // PUBLISHes of a client that set or clear a retained message
	Holds                          // retained messages that there are at once; see Limit.Most
	Deliveries                     // PUBLISHes to a client
	DeliveredBytes                 // of these
)

// Action is what happens to a packet over its limit.
type Action uint8

// The actions. The zero one loses nothing, unless the packet would have to wait
// for too long. What no waiting helps is refused with it as with Drop.
const (
	Delay      Action = iota // it waits, and so does what is behind it
	Drop                     // it is refused: MQTT 5.0 clients are told, QoS 0 is lost
	Disconnect               // the session ends
)

// Sharing says whose packets are counted together.
type Sharing uint8

// The ways of sharing.
const (
	PerClient Sharing = iota // each identity with each client identifier has the whole limit
	PerUser                  // each identity
	PerAll                   // all that the limit is for share it
)

// Limit is what some clients may do of one thing. Exactly one of Rate, Day and
// Most is not zero.
type Limit struct {
	Rule string // what refusals name; no other limit has it

	Users, Groups, Listeners []string // globs, each list unless it is empty: whom it is for
	Topics                   []string // Topic Filters: only messages that one of them matches count; empty: all

	What   Quantity
	Per    Sharing // Most is always of an identity
	Action Action

	Rate ratelimit.Rate
	Day  int  // in 24 hours, which begin with the first
	Most Most // with Holds
}

// Most is how many retained messages one identity may have at the broker, and how
// many bytes their topics and payloads may have together; zero: no limit.
type Most struct{ Messages, Bytes int }

const day = 24 * time.Hour

// maxWait is how long a packet waits at most.
const maxWait = 30 * time.Second

// longest returns how long p may have to wait. The broker gives a client up that is
// silent for one and a half times its Keep Alive [MQTT-3.1.2-22], and what waits is
// silent: a client that pings in time may so be late by less than a half. Where only
// its own packets cost it the time, only what can be refused goes by that: it chooses
// its Keep Alive itself.
func (l *Limit) longest(s *filters.Session, p *packets.Packet) time.Duration {
	if keepAlive := s.Terms.KeepAlive; keepAlive > 0 && (l.Per != PerClient || p.Type == packets.PUBLISH) {
		return min(maxWait, keepAlive/3)
	}
	return maxWait
}

// isFor reports whether l is for the client of s.
func (l *Limit) isFor(s *filters.Session) bool {
	id := s.Proof()
	return anyGlob(l.Users, s.Identity.Username) && anyGlob(l.Groups, id.Groups...) && anyGlob(l.Listeners, s.Listener)
}

// anyGlob reports whether one of the patterns matches one of the values, or there
// are no patterns.
func anyGlob(patterns []string, values ...string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(values, func(value string) bool { return filters.Glob(pattern, value) })
	})
}

// isAbout reports whether a message to topic counts.
func (l *Limit) isAbout(topic []byte) bool {
	if len(l.Topics) == 0 {
		return true
	}
	for _, filter := range l.Topics {
		if topics.Match(filter, topic) {
			return true
		}
	}
	return false
}

// amount returns how much of l a packet takes.
func (l *Limit) amount(s *filters.Session, p *packets.Packet) int {
	switch l.What {
	case Packets:
		return packetOf(s, p)
	case Subscribes:
		return filtersOf(p)
	default:
		if p.Type != packets.PUBLISH || !l.isAbout(p.Topic) {
			return 0
		}
	}
	switch l.What {
	case Bytes, DeliveredBytes:
		return p.Size()
	case Retained:
		return int(p.Flags & 1)
	default:
		return 1
	}
}

// packetOf is 1 for a packet that is the client's own doing. An answer that the
// broker waits for is not: who is sent much has much to acknowledge.
func packetOf(s *filters.Session, p *packets.Packet) int {
	switch p.Type {
	case packets.CONNECT, packets.DISCONNECT:
		return 0
	case packets.PUBACK, packets.PUBREC, packets.PUBCOMP:
		if s.Awaits(p) {
			return 0
		}
	default:
	}
	return 1
}

func filtersOf(p *packets.Packet) (n int) {
	if p.Type == packets.SUBSCRIBE || p.Type == packets.UNSUBSCRIBE {
		for range p.Subscriptions() {
			n++
		}
	}
	return n
}

// refusable reports whether MQTT has an answer that refuses p and leaves the
// session as it is. UNSUBACK has no code for a quota, and up to 3.1.1 none at all.
func refusable(p *packets.Packet) bool {
	return p.Type == packets.PUBLISH || p.Type == packets.SUBSCRIBE
}

// largest returns the size of the largest PUBLISH that l, of Bytes, ever lets go on.
func (l *Limit) largest() int {
	switch {
	case l.Day > 0:
		return l.Day
	case l.Action != Delay:
		return l.Rate.Burst
	}
	return int(min(float64(l.Rate.Burst)+l.Rate.PerSecond*maxWait.Seconds(), math.MaxInt32))
}
