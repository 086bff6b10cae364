package authz

import (
	"container/list"
	"sync"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// maxRetainedTopic bounds the topics that are remembered, in bytes.
const maxRetainedTopic = 1024

// Retained remembers who set the retained messages, so that those of a publisher
// that has lost its right are not delivered to new subscribers [CVE-2018-12546].
// It is bounded: what was set longest ago is forgotten first, and delivered.
type Retained struct {
	mu      sync.Mutex
	max     int
	setters map[string]*list.Element // of setter, by topic
	order   *list.List               // the oldest first
}

// setter is who set the retained message of a topic.
type setter struct {
	topic   string
	session *filters.Session // what rules may know of it
}

// NewRetained returns a memory of up to max topics.
func NewRetained(max int) *Retained {
	return &Retained{max: max, setters: make(map[string]*list.Element), order: list.New()}
}

// note remembers that s sets, or with an empty payload clears, the retained
// message of p's topic [MQTT-3.3.1-6].
func (r *Retained) note(s *filters.Session, p *packets.Packet) {
	if r == nil || len(p.Topic) > maxRetainedTopic {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.setters[string(p.Topic)]; ok {
		r.forget(old)
	}
	if len(p.Payload)+p.Rest == 0 {
		return
	}
	who := &filters.Session{
		Version: s.Version, ClientID: s.ClientID, Identity: s.Identity, Certificate: s.Certificate,
		RemoteAddr: s.RemoteAddr, Listener: s.Listener,
	}
	topic := string(p.Topic)
	r.setters[topic] = r.order.PushBack(setter{topic, who})
	if r.order.Len() > r.max {
		r.forget(r.order.Front())
	}
}

func (r *Retained) forget(e *list.Element) {
	if s, ok := r.order.Remove(e).(setter); ok {
		delete(r.setters, s.topic)
	}
}

// judge decides whether the retained message p may be delivered, as far as that
// depends on who set it.
func (r *Retained) judge(policy *Policy, p *packets.Packet) Decision {
	r.mu.Lock()
	e, ok := r.setters[string(p.Topic)]
	r.mu.Unlock()
	if !ok {
		return Decision{Allowed: true}
	}
	s, _ := e.Value.(setter)
	view := policy.View(s.session)
	for qos := range packets.QoS(3) {
		if d := view.Publish(p.Topic, qos, true); d.Allowed {
			return d
		}
	}
	d := view.Publish(p.Topic, p.QoS(), true)
	d.Rule = "its publisher: " + d.Rule
	return d
}
