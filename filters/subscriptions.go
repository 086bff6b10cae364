package filters

import (
	"maps"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// subscriptions are the Topic Filters that a session is subscribed to, or has
// asked for, by the filter as it was written.
type subscriptions struct {
	held    map[string]held
	partial bool // the broker's session is older than what we know of it
}

// held is what the broker has granted.
type held struct {
	granted bool
	qos     packets.QoS
}

func (t *subscriptions) ask(filter string) {
	if _, ok := t.held[filter]; ok {
		return
	}
	if t.held == nil {
		t.held = make(map[string]held)
	}
	t.held[filter] = held{}
}

// answered notes the code with which the broker answered a request for filter.
func (t *subscriptions) answered(answer packets.Type, filter string, rc packets.ReasonCode) {
	refused := rc >= packets.UnspecifiedError
	switch {
	case answer == packets.UNSUBACK:
		if !refused {
			delete(t.held, filter)
		}
	case !refused:
		t.ask(filter)
		t.held[filter] = held{granted: true, qos: packets.QoS(rc)}
	case !t.held[filter].granted:
		delete(t.held, filter)
	}
}

func (t *subscriptions) resume(from *subscriptions) {
	t.partial = from.partial
	for filter, h := range from.held {
		if h.granted {
			t.ask(filter)
			t.held[filter] = h
		}
	}
}

// Subscribed reports whether the session holds a subscription to filter or has
// asked for one.
func (s *Session) Subscribed(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.subscriptions.held[filter]
	return ok
}

// Subscriptions returns the filters that the session is subscribed to or has
// asked for.
func (s *Session) Subscriptions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	filters := make([]string, 0, len(s.subscriptions.held))
	for f := range maps.Keys(s.subscriptions.held) {
		filters = append(filters, f)
	}
	return filters
}

// stale returns the refused filters of a SUBSCRIBE that the session may be
// subscribed to all the same, with the QoS that was granted. A SUBSCRIBE that
// is refused here leaves the broker's subscription as it was [MQTT-3.8.4-3].
func (s *Session) stale(p *packets.Packet, judged []Judgement) (stale []packets.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	for filter := range p.Subscriptions() {
		refused := i < len(judged) && judged[i].Reason != packets.Success
		i++
		h, known := s.subscriptions.held[string(filter)]
		switch {
		case !refused:
		case known && h.granted:
			stale = append(stale, packets.Subscription{Filter: filter, Options: packets.SubscribeOptions(h.qos)})
		case s.subscriptions.partial:
			stale = append(stale, packets.Subscription{Filter: filter, Options: 2}) // the QoS may be any
		}
	}
	return stale
}

// unsubscribe sends the broker an UNSUBSCRIBE of ours.
func (s *Session) unsubscribe(now time.Time, filters [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.flows.free()
	if !ok || s.waiting+len(filters) > maxWaiting {
		return // deliveries are judged all the same
	}
	r := &request{since: now, own: true}
	for _, f := range filters {
		r.filters = append(r.filters, string(f))
	}
	s.ask(id, Ours, r)
	s.requests = packets.AppendUnsubscribe(s.requests, s.Version, id, nil, filters)
	s.unsettled = true
}

// withdraw unsubscribes the session from what it has asked for again, has been
// refused, and has no right to any more.
func (c Chain) withdraw(now time.Time, s *Session, p *packets.Packet, judged []Judgement) {
	stale := s.stale(p, judged)
	if len(stale) == 0 {
		return
	}
	b := packets.AppendSubscribe(nil, s.Version, 1, nil, stale)
	held, err := p.Reparse(b, packets.Client)
	if err != nil {
		return
	}
	v := c.review(now, s, held)
	var gone [][]byte
	for i, sub := range stale {
		if v.Action < Rewrite || i < len(v.Filters) && v.Filters[i].Reason != packets.Success {
			gone = append(gone, sub.Filter)
		}
	}
	if len(gone) > 0 {
		s.unsubscribe(now, gone)
	}
}
