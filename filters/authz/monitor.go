package authz

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Recorder keeps what the clients of a monitored Policy did: which topics they
// used, not what they sent. Sessions share it. What a client does again costs it
// a counter; only what it has not done before takes a lock, which is its own.
type Recorder struct {
	max  int64
	kept atomic.Int64
	lost atomic.Int64

	mu     sync.Mutex
	actors map[string]*actor
}

// NewRecorder returns a Recorder of at most limit different acts.
func NewRecorder(limit int) *Recorder {
	return &Recorder{max: int64(limit), actors: make(map[string]*actor)}
}

// Recording returns the policy with a memory of what clients do, written by the
// sessions that its filters are opened for.
func (p *Policy) Recording(r *Recorder) *Policy {
	with := *p
	with.recorder = r
	return &with
}

// Actor is who did something, as far as rules can name it.
type Actor struct {
	User     string   `json:"user,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Tenant   string   `json:"tenant,omitempty"`
	Listener string   `json:"listener,omitempty"`
}

// Act is what somebody did, and how often.
type Act struct {
	Actor
	Action string      `json:"action"` // publish, will, subscribe or receive
	Topic  string      `json:"topic"`  // or the Topic Filter
	QoS    packets.QoS `json:"qos"`
	Retain bool        `json:"retain,omitempty"`
	Count  uint64      `json:"count"`
	Denied string      `json:"denied,omitempty"` // the rule that denies it; "": it is allowed
}

// actor is an Actor and what it did.
type actor struct {
	Actor
	mu   sync.Mutex
	acts map[act]*tally
}

// act is what an Act is told apart by.
type act struct {
	action string
	topic  string
	qos    packets.QoS
	retain bool
}

type tally struct {
	count  atomic.Uint64
	denied atomic.Pointer[string]
}

// maxRecorded bounds what a client chooses of what is kept: a topic, and the names
// of an actor, in bytes.
const maxRecorded = 1024

// maxActs bounds the acts that are kept of one actor: a client that never repeats
// itself must not push out the others.
const maxActs = 4096

// actor returns who s is; nil if there are too many, or the names are too long.
func (r *Recorder) actor(s *filters.Session) *actor {
	id := s.Proof()
	groups := slices.Sorted(slices.Values(id.Groups))
	key := strings.Join(append([]string{s.Identity.Username, s.ClientID, id.Tenant, s.Listener}, groups...), "\x00")
	if len(key) > maxRecorded {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.actors[key]
	switch {
	case a != nil:
	case r.kept.Load() >= r.max || int64(len(r.actors)) >= r.max:
		return nil
	default:
		a = &actor{
			Actor: Actor{User: s.Identity.Username, ClientID: s.ClientID, Groups: groups, Tenant: id.Tenant, Listener: s.Listener},
			acts:  make(map[act]*tally),
		}
		r.actors[key] = a
	}
	return a
}

// tally returns the counter of what a does; nil if there are too many.
func (r *Recorder) tally(a *actor, what act) *tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.acts[what]
	if t == nil && len(a.acts) < maxActs && r.kept.Add(1) <= r.max {
		t = &tally{}
		a.acts[what] = t
	}
	return t
}

// Acts returns what was recorded, in order, and how many packets are not in it,
// for want of room.
func (r *Recorder) Acts() (acts []Act, lost int64) {
	r.mu.Lock()
	actors := make([]*actor, 0, len(r.actors))
	for _, a := range r.actors {
		actors = append(actors, a)
	}
	r.mu.Unlock()
	for _, a := range actors {
		acts = append(acts, a.list()...)
	}
	slices.SortFunc(acts, func(a, b Act) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Action, b.Action),
			cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.QoS, b.QoS), cmp.Compare(b.Count, a.Count))
	})
	return acts, r.lost.Load()
}

func (a *actor) list() []Act {
	a.mu.Lock()
	defer a.mu.Unlock()
	acts := make([]Act, 0, len(a.acts))
	for what, t := range a.acts {
		done := Act{Actor: a.Actor, Action: what.action, Topic: what.topic, QoS: what.qos, Retain: what.retain, Count: t.count.Load()}
		if rule := t.denied.Load(); rule != nil {
			done.Denied = *rule
		}
		acts = append(acts, done)
	}
	return acts
}

// witness records what one direction of a session does. The nil witness records
// nothing.
type witness struct {
	recorder *Recorder
	actor    *actor
	seen     map[act]*tally
}

func (r *Recorder) witness(s *filters.Session) *witness {
	if r == nil {
		return nil
	}
	return &witness{r, r.actor(s), make(map[act]*tally)}
}

// note records an act and what was decided about it.
func (w *witness) note(action string, topic []byte, qos packets.QoS, retain bool, d Decision) {
	if w == nil {
		return
	}
	t := w.seen[act{action, string(topic), qos, retain}]
	if t == nil {
		t = w.begin(act{action, string(topic), qos, retain})
	}
	if t == nil {
		w.recorder.lost.Add(1)
		return
	}
	t.count.Add(1)
	switch old := t.denied.Load(); {
	case d.Allowed && old != nil:
		t.denied.Store(nil)
	case !d.Allowed && (old == nil || *old != d.Rule):
		rule := d.Rule // which alone goes to the heap
		t.denied.Store(&rule)
	}
}

func (w *witness) begin(what act) *tally {
	if w.actor == nil || len(what.topic) > maxRecorded {
		return nil
	}
	t := w.recorder.tally(w.actor, what)
	if t != nil {
		w.seen[what] = t
	}
	return t
}
