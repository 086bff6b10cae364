package filters

import (
	"maps"
	"slices"

	"github.com/mqttward/mqttward/packets"
)

// subscriptions are what a session is subscribed to at the broker, or has asked
// for, and what of it the client knows.
type subscriptions struct {
	held     map[string]*held    // by the filter as the broker has it
	narrowed map[string][]string // those that stand for a filter of the client's
	unsent   map[string]struct{} // filters that the broker has to be told to let go of
	partial  bool                // the broker's session is older than what we know of it
}

// held is a filter at the broker.
type held struct {
	granted bool
	qos     packets.QoS
	own     bool   // the client has asked for it itself
	others  int    // filters of the client's that it stands for
	asked   int    // SUBSCRIBEs that the broker has not answered
	leaving bool   // an UNSUBSCRIBE that it has not answered
	turn    uint32 // counts SUBSCRIBEs
}

// wanted reports whether anything the client has asked for depends on it.
func (h *held) wanted() bool { return h.own || h.others > 0 }

// at returns what is held of filter, if only by now.
func (t *subscriptions) at(filter string) *held {
	h := t.held[filter]
	if h == nil {
		if t.held == nil {
			t.held = make(map[string]*held)
		}
		h = &held{}
		t.held[filter] = h
	}
	return h
}

// serving returns the filters at the broker that serve a filter of the client's;
// none if it is not known to have subscribed to it.
func (t *subscriptions) serving(filter string) []string {
	if as, ok := t.narrowed[filter]; ok {
		return as
	}
	if h := t.held[filter]; h != nil && h.own {
		return []string{filter}
	}
	return nil
}

// want notes that the client subscribes to filter and that as stands for it; nil:
// itself. What stood for it before, and is not needed any more, is let go.
func (t *subscriptions) want(filter string, as []string) {
	before := t.serving(filter)
	for _, f := range as {
		t.at(f).others++
	}
	t.release(filter)
	if as == nil {
		t.at(filter).own = true
	} else {
		if t.narrowed == nil {
			t.narrowed = make(map[string][]string)
		}
		t.narrowed[filter] = as
	}
	t.discard(before...)
}

// release forgets that the client has subscribed to filter.
func (t *subscriptions) release(filter string) {
	if as, ok := t.narrowed[filter]; ok {
		for _, f := range as {
			t.held[f].others--
		}
		delete(t.narrowed, filter)
		return
	}
	if h := t.held[filter]; h != nil {
		h.own = false
	}
}

// unwant notes that the client unsubscribes from filter. It returns what the
// broker has to be told to let go of; if that is nothing, the answer is rc.
func (t *subscriptions) unwant(filter string) (free []string, rc packets.ReasonCode) {
	serving := t.serving(filter)
	if serving == nil {
		if h := t.held[filter]; h != nil && h.others > 0 {
			return nil, packets.NoSubscriptionExisted // it is there for others
		}
		return []string{filter}, 0 // the broker knows
	}
	t.release(filter)
	for _, f := range serving {
		if !t.held[f].wanted() {
			free = append(free, f)
		}
	}
	return free, packets.Success
}

// discard marks those filters that nobody wants for an UNSUBSCRIBE of ours.
func (t *subscriptions) discard(filters ...string) {
	for _, f := range filters {
		if h := t.held[f]; h != nil && !h.wanted() {
			t.mark(f)
		}
	}
}

func (t *subscriptions) mark(filter string) {
	if t.unsent == nil {
		t.unsent = make(map[string]struct{})
	}
	t.unsent[filter] = struct{}{}
}

// ask notes a SUBSCRIBE with filter.
func (t *subscriptions) ask(filter string) {
	h := t.at(filter)
	h.asked++
	h.turn++
}

// leave notes an UNSUBSCRIBE with filter.
func (t *subscriptions) leave(filter string) {
	delete(t.unsent, filter)
	if h := t.held[filter]; h != nil {
		h.leaving = true
	}
}

// answered notes the code with which the broker answered a request for filter.
func (t *subscriptions) answered(answer packets.Type, filter string, rc packets.ReasonCode) {
	h := t.held[filter]
	if h == nil {
		return
	}
	refused := rc >= packets.UnspecifiedError
	switch {
	case answer == packets.UNSUBACK:
		h.leaving = false
		h.granted = h.granted && refused
	case refused:
		h.asked--
	default:
		h.asked--
		h.granted, h.qos = true, packets.QoS(rc)
	}
	if !h.granted && h.asked == 0 {
		t.withdraw(filter)
		delete(t.held, filter)
		delete(t.unsent, filter)
		return
	}
	if answer == packets.SUBACK {
		t.discard(filter)
	}
}

// withdraw takes filter from all that it serves, and returns the filters of the
// client's that nothing is left of.
func (t *subscriptions) withdraw(filter string) (lost []string) {
	h := t.held[filter]
	if h.own {
		h.own = false
		lost = append(lost, filter)
	}
	if h.others > 0 {
		h.others = 0
		for name, as := range t.narrowed {
			rest := without(as, filter)
			switch {
			case len(rest) == len(as):
			case len(rest) > 0:
				t.narrowed[name] = rest
			default:
				delete(t.narrowed, name)
				lost = append(lost, name)
			}
		}
	}
	t.discard(filter)
	return lost
}

// without is list, which is left as it is, without x.
func without(list []string, x string) (rest []string) {
	for _, y := range list {
		if y != x {
			rest = append(rest, y)
		}
	}
	return rest
}

func (t *subscriptions) resume(from *subscriptions) {
	t.partial = from.partial
	for filter, h := range from.held {
		if h.granted {
			now := t.at(filter)
			now.granted, now.qos, now.own = true, h.qos, h.own
		}
	}
	for filter, as := range from.narrowed {
		as = slices.DeleteFunc(slices.Clone(as), func(f string) bool { return t.held[f] == nil })
		if len(as) > 0 {
			t.want(filter, as)
		}
	}
}

// Subscribed reports whether the session holds a subscription to filter, or has
// asked for one, be it that others stand for it or that it stands for others.
func (s *Session) Subscribed(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, narrowed := s.subscriptions.narrowed[filter]
	return narrowed || s.subscriptions.held[filter] != nil
}

// Subscriptions returns the filters that the session is subscribed to at the
// broker, or has asked for.
func (s *Session) Subscriptions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.subscriptions.held))
}

// Subscribes reports whether there are any.
func (s *Session) Subscribes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subscriptions.held) > 0
}
