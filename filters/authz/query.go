package authz

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Message is what rules judge of a PUBLISH or a Will.
type Message struct {
	Topic  []byte
	QoS    packets.QoS
	Retain bool
	Size   int  // of the payload, in bytes; -1: not known, and not judged
	Will   bool // it is the Will in a CONNECT
}

// Attempt is what rules judge of a CONNECT.
type Attempt struct {
	ClientID   string
	Will       bool
	Persistent bool // the session is to outlive the connection
}

// query is a question to rules.
type query struct {
	action  action
	topic   []byte // a name, or a filter without its "$share/group/"
	group   []byte // of a Shared Subscription; empty: it is none
	message Message
	qos     packets.QoS
	now     time.Time
	attempt Attempt // to connect
}

type action uint8

const (
	publishing action = iota
	subscribing
	receiving
	connecting
)

// holds reports whether r matches, by t of its topics.
func (q *query) holds(r *rule, t *topic) bool {
	return q.concerns(r) == "" && q.about(r, t)
}

// concerns tells why r does not speak of the query, whatever its topics are; ""
// if it does.
func (q *query) concerns(r *rule) string {
	qos := &r.qos
	switch q.action {
	case publishing:
		if !r.Publish && !(r.Will && q.message.Will) {
			return "about other actions"
		}
		if r.Retain != nil && *r.Retain != q.message.Retain {
			return "about other values of retain"
		}
	case subscribing:
		if !r.Subscribe {
			return "about other actions"
		}
	case receiving:
		if !r.Receive && !r.Subscribe || r.Exact && !r.Receive {
			return "about other actions"
		}
		qos = &r.receives
	case connecting:
		if !r.Connect {
			return "about other actions"
		}
		if r.Wills != nil && *r.Wills != q.attempt.Will {
			return "about clients with a Will, or about those without"
		}
		if r.Persistent != nil && *r.Persistent != q.attempt.Persistent {
			return "about sessions that outlive their connection, or about those that do not"
		}
	}
	switch {
	case !qos[q.qos]:
		return "about other QoS"
	case r.Size > 0 && q.message.Size > r.Size:
		return "about smaller payloads"
	case !r.timely(q.now):
		return "at other times"
	}
	return ""
}

// about reports whether t, of r, is about the topic of the query.
func (q *query) about(r *rule, t *topic) bool {
	switch q.action {
	case publishing:
		return t.names(q.topic)
	case receiving:
		return t.delivers(q.topic, r.Deny)
	case connecting:
		return t.identifies(q.topic)
	default:
		return t.covers(q.group, q.topic) || r.takesPart(len(q.group) > 0, q.qos) && t.overlaps(q.group, q.topic)
	}
}

// takesPart reports whether the rule denies a subscription for the part of it
// that is denied: no delivery is judged by the rule, or what is not delivered is
// lost for others.
func (r *rule) takesPart(shared bool, qos packets.QoS) bool {
	return r.Deny && !r.Exact && (shared || !r.receives[qos])
}
