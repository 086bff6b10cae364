package authz

import (
	"container/list"
	"crypto/x509"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// maxRetainedTopic bounds the topics that are noted, in bytes.
const maxRetainedTopic = 1024

// Retained remembers who has set which retained message, so that it is not
// delivered any more when its publisher has lost the right to it
// [CVE-2018-12546]. The broker would keep delivering it.
//
// Sessions share it, and it outlives the policies of reloads. Only retained
// messages cost anything. When it is full it forgets the topic that was not
// used for the longest time; a message whose publisher is not known passes, and
// so does one on a topic of more than 1 KiB. A nil or zero Retained knows nobody.
type Retained struct {
	max int

	mu     sync.Mutex
	topics map[noteKey]*note
	used   *list.List // of *note; the last used first
}

// noteKey is a topic at a backend: brokers do not have each other's messages.
type noteKey struct{ backend, topic string }

// note says who has set the retained message of a topic.
type note struct {
	key     noteKey
	message Message // without Topic
	who     *publisher
	place   *list.Element // in used
}

// NewRetained returns a table of at most limit topics.
func NewRetained(limit int) *Retained {
	return &Retained{max: limit, topics: make(map[noteKey]*note), used: list.New()}
}

// With returns the policy with a memory of who has set retained messages. Its
// Views write it and its Deliveries judge by it.
func (p *Policy) With(r *Retained) *Policy {
	with := *p
	with.retained = r
	return &with
}

// set notes that who has set the retained message m at a backend.
func (r *Retained) set(backend string, m Message, who *publisher) {
	if len(m.Topic) > maxRetainedTopic || r.max <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.topics[noteKey{backend, string(m.Topic)}]; ok {
		n.message, n.who = m, who
		n.message.Topic = nil // which is valid during the call only
		r.used.MoveToFront(n.place)
		return
	}
	if oldest := r.used.Back(); r.used.Len() >= r.max {
		n, _ := oldest.Value.(*note)
		r.remove(n)
	}
	n := &note{key: noteKey{backend, string(m.Topic)}, message: m, who: who}
	n.message.Topic = nil
	n.place = r.used.PushFront(n)
	r.topics[n.key] = n
}

// clear forgets topic, which has no retained message any more.
func (r *Retained) clear(backend string, topic []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.topics[noteKey{backend, string(topic)}]; ok {
		r.remove(n)
	}
}

func (r *Retained) remove(n *note) {
	r.used.Remove(n.place)
	delete(r.topics, n.key)
}

// judge decides by the rules of policy whether the publisher of the retained
// message of topic may publish it.
func (r *Retained) judge(now time.Time, policy *Policy, backend string, topic []byte) Decision {
	n, ok := r.find(backend, topic)
	if !ok {
		return Decision{Allowed: true}
	}
	n.message.Topic = topic
	return n.who.view(policy).Publish(now, n.message)
}

func (r *Retained) find(backend string, topic []byte) (note, bool) {
	if r == nil {
		return note{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.topics[noteKey{backend, string(topic)}]
	if !ok {
		return note{}, false
	}
	r.used.MoveToFront(n.place)
	return *n, true
}

// publisher is what rules know of a session, which may have ended.
type publisher struct {
	clientID    string
	identity    filters.Identity
	certificate *x509.Certificate
	remoteAddr  netip.AddrPort
	listener    string

	judged atomic.Pointer[judged] // a subscriber to # asks for one publisher many times
}

// judged is the View of a publisher and the policy that it is of.
type judged struct {
	policy *Policy
	view   *View
}

func newPublisher(s *filters.Session) *publisher {
	return &publisher{
		clientID:    s.ClientID,
		identity:    *s.Proof(),
		certificate: s.Certificate,
		remoteAddr:  s.RemoteAddr,
		listener:    s.Listener,
	}
}

// view returns the View of the publisher by the policy.
func (p *publisher) view(policy *Policy) *View {
	if j := p.judged.Load(); j != nil && j.policy == policy {
		return j.view
	}
	view := policy.View(&filters.Session{
		ClientID:    p.clientID,
		Identity:    p.identity,
		Certificate: p.certificate,
		RemoteAddr:  p.remoteAddr,
		Listener:    p.listener,
	})
	p.judged.Store(&judged{policy, view})
	return view
}

// retain notes a retained message that goes on. One without payload clears
// what was retained [MQTT-3.3.1-6].
func (v *View) retain(s *filters.Session, p *packets.Packet) {
	switch {
	case v.policy.retained == nil:
	case len(p.Payload) == 0 && p.Rest == 0:
		v.policy.retained.clear(s.Backend, p.Topic)
	default:
		if v.who == nil {
			v.who = newPublisher(s)
		}
		v.policy.retained.set(s.Backend, message(p), v.who)
	}
}

// retainWill is retain for the Will in a CONNECT, which is about to be
// published.
func (v *View) retainWill(s *filters.Session, p *packets.Packet) {
	c, err := p.Connect()
	switch {
	case err != nil || c.Will == nil || !c.Will.Retain || v.policy.retained == nil:
	case len(c.Will.Payload) == 0:
		v.policy.retained.clear(s.Backend, c.Will.Topic)
	default:
		v.policy.retained.set(s.Backend, Message{Topic: c.Will.Topic, QoS: c.Will.QoS, Retain: true, Size: -1, Will: true}, newPublisher(s))
	}
}
