package quota

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// maxHeld is how many retained messages a limit remembers, of all clients
// together: some 10 MB.
const maxHeld = 100_000

// held is the retained messages that count towards a limit: those that limited
// clients have set, until somebody clears or replaces them. The broker may have
// fewer: one that has expired there counts until then.
//
// Topics and owners are known by hashes under a secret seed, as in ratelimit.Keyed.
type held struct {
	max  int
	seed maphash.Seed

	mu     sync.Mutex
	topics map[uint64]message
	owners map[uint64]Most // what each has
	serial uint64          // of the last message
}

// message is a retained message. The zero message is none.
type message struct {
	serial uint64
	owner  uint64
	size   int
}

func newHeld(limit int) *held {
	return &held{max: limit, seed: maphash.MakeSeed(), topics: make(map[uint64]message), owners: make(map[uint64]Most)}
}

// change is what became of a topic.
type change struct {
	held          *held
	topic         uint64
	before, after message
}

// set notes that the retained message of topic has now size bytes and counts for
// owner. It reports false, and changes nothing, if owner would have more of
// anything than most, and more than before, or there is no room to remember it.
func (h *held) set(topic []byte, owner string, size int, most Most) (change, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := change{held: h, topic: maphash.Bytes(h.seed, topic)}
	c.before = h.topics[c.topic]
	c.after = message{h.serial + 1, maphash.String(h.seed, owner), size}
	if c.before == (message{}) && len(h.topics) >= h.max {
		return change{}, false
	}
	has := h.owners[c.after.owner]
	next := Most{has.Messages + 1, has.Bytes + size}
	if c.before.owner == c.after.owner && c.before != (message{}) {
		next = Most{has.Messages, next.Bytes - c.before.size}
	}
	if over(next.Messages, has.Messages, most.Messages) || over(next.Bytes, has.Bytes, most.Bytes) {
		return change{}, false
	}
	h.serial++
	h.replace(c.topic, c.before, c.after)
	return c, true
}

func over(next, has, most int) bool { return most > 0 && next > most && next > has }

// clear notes that topic has no retained message any more, or one that does not
// count.
func (h *held) clear(topic []byte) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := change{held: h, topic: maphash.Bytes(h.seed, topic)}
	c.before = h.topics[c.topic]
	h.replace(c.topic, c.before, message{})
	return c
}

// undo takes the change back, unless the topic has changed again.
func (c change) undo() {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	if c.held.topics[c.topic] == c.after {
		c.held.replace(c.topic, c.after, c.before)
	}
}

// replace needs mu.
func (h *held) replace(topic uint64, before, after message) {
	h.add(before, -1)
	h.add(after, 1)
	if after == (message{}) {
		delete(h.topics, topic)
		return
	}
	h.topics[topic] = after
}

// add needs mu.
func (h *held) add(m message, n int) {
	if m == (message{}) {
		return
	}
	has := h.owners[m.owner]
	has.Messages += n
	has.Bytes += n * m.size
	if has.Messages == 0 {
		delete(h.owners, m.owner)
		return
	}
	h.owners[m.owner] = has
}

// hold is a limit of retained messages. One that is not for the client has to hear
// of what it replaces.
type hold struct {
	limit *limit
	mine  bool
}

// hold notes that the client sets the retained message of topic, or without payload
// clears it [MQTT-3.3.1-6]. It returns the limit that has no room for it, if one has
// not. Note tells whether it stays so.
func (c *session) hold(s *filters.Session, topic []byte, payload int) *limit {
	for _, n := range c.holds {
		switch l := n.limit; {
		case !l.isAbout(topic):
		case payload == 0 || !n.mine:
			c.changes = append(c.changes, l.held.clear(topic))
		default:
			made, ok := l.held.set(topic, s.Identity.Principal(), len(topic)+payload, l.Most)
			if !ok {
				c.Note(false)
				return l
			}
			c.changes = append(c.changes, made)
		}
	}
	return nil
}

// Note takes back what the last retained message has changed if it does not go on.
func (c *session) Note(goesOn bool) {
	for _, made := range c.changes {
		if !goesOn {
			made.undo()
		}
	}
	c.changes = c.changes[:0]
}

// Review counts a retained Will, which is about to be published. One for which there
// is no room is not.
func (c *session) Review(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.CONNECT || len(c.holds) == 0 {
		return filters.Pass()
	}
	connect, err := p.Connect()
	if err != nil {
		return filters.Verdict{Rule: err.Error()}
	}
	if w := connect.Will; w != nil && w.Retain {
		if l := c.hold(s, w.Topic, s.WillSize); l != nil {
			return filters.Verdict{Reason: packets.QuotaExceeded, Rule: l.Rule}
		}
	}
	return filters.Pass()
}
