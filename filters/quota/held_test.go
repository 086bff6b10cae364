package quota

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// refusing is a filter that refuses some messages behind the quota.
type refusing struct{ on *bool }

func (r refusing) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if *r.on {
		return filters.Deny(s, p, packets.NotAuthorized, "refusing")
	}
	return filters.Pass()
}

func (r refusing) Review(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if *r.on {
		return filters.Verdict{Rule: "refusing"}
	}
	return filters.Pass()
}

// keeper is the retained messages of one quota, and who sets them.
type keeper struct {
	t       *testing.T
	quota   *Quota
	refuse  bool
	now     time.Time
	version packets.Version
}

func newKeeper(t *testing.T, limits ...Limit) *keeper {
	return &keeper{t: t, quota: New(limits, 10, nil), now: time.Now(), version: packets.V311}
}

func (k *keeper) open(user string) (*filters.Session, filters.Chain) {
	s := newSession(user, "client of "+user)
	s.Version = k.version
	return s, filters.Chain{k.quota.Up(), refusing{&k.refuse}}.Open(s)
}

// set reports whether the retained message went on.
func (k *keeper) set(user, topic, payload string) bool {
	k.t.Helper()
	s, c := k.open(user)
	defer c.Close()
	p := retained(k.t, k.version, topic, payload)
	if c[0].(filters.Passer).Passes(k.now, s, p) {
		k.t.Errorf("%s takes the short way, on which it does not count", topic)
	}
	return c.JudgeUp(k.now, s, p).Action == filters.Forward
}

// has checks what counts for user in the first limit.
func (k *keeper) has(why, user string, messages, bytes int) {
	k.t.Helper()
	h := k.quota.limits[0].held
	s, _ := k.open(user)
	before := h.owners
	c, ok := h.set([]byte("an own topic"), s.Identity.Principal(), 0, Most{})
	got := h.owners[c.after.owner]
	c.undo()
	if got.Messages--; !ok || got != (Most{messages, bytes}) || len(before) != len(h.owners) {
		k.t.Errorf("%s: %s has %+v, want %d messages of %d bytes", why, user, got, messages, bytes)
	}
}

// TestHolds follows who has which retained messages.
func TestHolds(t *testing.T) {
	k := newKeeper(t, Limit{Rule: "a", What: Holds, Action: Drop, Users: []string{"alice", "bob"}, Most: Most{2, 20}})
	step := func(what string, user, topic, payload string, want bool) {
		t.Helper()
		if k.set(user, topic, payload) != want {
			t.Errorf("%s: goes on: %v", what, !want)
		}
	}
	step("the first", "alice", "a", "1234", true)
	step("the second", "alice", "b", "1234", true)
	k.has("two", "alice", 2, 10)
	step("a third", "alice", "c", "1", false)
	step("another user's", "bob", "c", "1", true)
	step("a larger one in its place", "alice", "b", "1234567890123", true)
	k.has("larger", "alice", 2, 19)
	step("too large", "alice", "b", "12345678901234567", false)
	k.has("as before", "alice", 2, 19)
	step("cleared", "alice", "a", "", true)
	step("that is room for one, but not so large", "alice", "d", "123456", false)
	step("a smaller one in its place", "alice", "b", "1", true)
	step("that is room", "alice", "d", "1", true)
	k.has("b and d", "alice", 2, 4)
	step("replaced by another", "bob", "d", "12", true)
	k.has("b alone", "alice", 1, 2)
	k.has("c and d", "bob", 2, 5)
	step("cleared by somebody", "eve", "c", "", true)
	step("replaced by somebody without limit", "eve", "d", "12345678901234567890", true)
	k.has("nothing", "bob", 0, 0)
	k.has("who has no limit does not count", "eve", 0, 0)
	for i := range 10 {
		step("without limit", "eve", strconv.Itoa(i), "x", true)
	}
	k.refuse = true
	step("refused behind it", "bob", "e", "x", false)
	step("refused to clear", "eve", "b", "", false)
	step("refused to replace", "bob", "b", "xxx", false)
	k.has("that did not count", "bob", 0, 0)
	k.has("that cleared nothing", "alice", 1, 2)
}

// TestHoldsOfTopics: messages elsewhere do not count, and of several limits each has
// to have room.
func TestHoldsOfTopics(t *testing.T) {
	k := newKeeper(t, Limit{Rule: "a", What: Holds, Topics: []string{"line/#"}, Most: Most{Messages: 2}}, Limit{Rule: "b", What: Holds, Most: Most{Messages: 3}})
	for i, test := range []struct {
		topic, payload string
		want           bool
	}{
		{"line/1", "x", true},
		{"hall/1", "x", true},
		{"line/2", "x", true},
		{"line/3", "x", false},
		{"hall/2", "x", false},
		{"hall/1", "", true},
		{"line/3", "x", false},
		{"hall/2", "x", true},
	} {
		if k.set("user", test.topic, test.payload) != test.want {
			t.Errorf("%d: %+v: not so", i, test)
		}
	}
	k.has("two", "user", 2, 14)
}

// TestHoldsWithoutRoom: what cannot be remembered is refused, to limited clients.
func TestHoldsWithoutRoom(t *testing.T) {
	k := newKeeper(t, Limit{What: Holds, Users: []string{"alice"}, Most: Most{Messages: 100}})
	k.quota.limits[0].held = newHeld(3)
	for i := range 5 {
		if got, want := k.set("alice", strconv.Itoa(i), "x"), i < 3; got != want {
			t.Errorf("message %d goes on: %v", i, got)
		}
	}
	if !k.set("alice", "1", "y") || !k.set("eve", "9", "x") || !k.set("eve", "1", "x") || !k.set("alice", "9", "x") {
		t.Error("there is room for what is there already, and for others")
	}
}

// TestHoldsFewerThanThereAre: a limit that was lowered takes nothing away, and lets
// be replaced what is there.
func TestHoldsFewerThanThereAre(t *testing.T) {
	k := newKeeper(t, Limit{Rule: "a", What: Holds, Most: Most{Messages: 9}})
	for i := range 5 {
		k.set("user", strconv.Itoa(i), "xx")
	}
	k.quota = New([]Limit{{Rule: "a", What: Holds, Most: Most{Messages: 2, Bytes: 5}}}, 10, k.quota)
	if !k.set("user", "1", "yy") || !k.set("user", "1", "y") || k.set("user", "1", "yy") || k.set("user", "9", "y") || !k.set("user", "1", "") {
		t.Error("not what is there may change")
	}
	k.has("after the reload", "user", 4, 12)
	k.quota = New([]Limit{{Rule: "a", What: Holds, Topics: []string{"#"}, Most: Most{Messages: 2}}}, 10, k.quota)
	k.has("what counts has changed", "user", 0, 0)
}

// TestHoldsWills counts a Will when it is about to be published.
func TestHoldsWills(t *testing.T) {
	for _, v := range versions {
		k := newKeeper(t, Limit{Rule: "a", What: Holds, Most: Most{2, 30}})
		k.version = v
		will := func(topic, payload string, retain bool) filters.Verdict {
			s, c := k.open("user")
			defer c.Close()
			s.WillSize = len(payload)
			connect := packets.AppendConnect(nil, v, &packets.Connect{
				Level: byte(v), CleanStart: true, ClientID: []byte("will"),
				Will: &packets.Will{Topic: []byte(topic), Retain: retain, Payload: []byte(payload[:min(1, len(payload))])},
			})
			p := parse(t, 0, packets.Client, connect)
			if got := c[0].Filter(k.now, s, p); got.Action != filters.Forward {
				t.Errorf("MQTT %v: it counts before it is published: %+v", v, got)
			}
			return c.ReviewWill(k.now, s, p)
		}
		if got := will("will", "payload", true); got.Action != filters.Forward {
			t.Errorf("MQTT %v: %+v", v, got)
		}
		k.has("the Will", "user", 1, 11)
		if got := will("other", "payload", false); got.Action != filters.Forward {
			t.Errorf("MQTT %v: one that is not retained: %+v", v, got)
		}
		if got := will("other", "this is far too large for it", true); got.Action != filters.Disconnect || got.Rule != "a" || got.Reason != packets.QuotaExceeded {
			t.Errorf("MQTT %v: one for which there is no room: %+v", v, got)
		}
		k.refuse = true
		will("refused", "payload", true)
		k.refuse = false
		k.has("neither", "user", 1, 11)
		if got := will("will", "", true); got.Action != filters.Forward {
			t.Errorf("MQTT %v: one that clears: %+v", v, got)
		}
		k.has("none", "user", 0, 0)
	}
}

// TestUndoOfWhatHasChanged: a message that does not go on takes back nothing that
// somebody else has set since.
func TestUndoOfWhatHasChanged(t *testing.T) {
	h := newHeld(10)
	h.set([]byte("a"), "bob", 1, Most{})
	first, _ := h.set([]byte("a"), "alice", 2, Most{})
	second, _ := h.set([]byte("a"), "alice", 2, Most{})
	if first.undo(); h.topics[first.topic] != second.after {
		t.Error("what is there now was taken back")
	}
	if second.undo(); h.topics[first.topic] != second.before || h.owners[second.after.owner] != (Most{1, 2}) {
		t.Error("the last was not taken back")
	}
	if first.undo(); h.topics[first.topic] != first.before || len(h.owners) != 1 {
		t.Error("then the one before it")
	}
}

// TestHoldsAreExact lets users set, clear and replace at random, and compares with
// who has what.
func TestHoldsAreExact(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		k := newKeeper(t, Limit{What: Holds, Users: []string{"0", "1", "2"}, Most: Most{5, 60}})
		type note struct {
			user string
			size int
		}
		broker := map[string]note{} // what is there of limited users
		sum := func(user string) (m Most) {
			for _, n := range broker {
				if n.user == user {
					m.Messages++
					m.Bytes += n.size
				}
			}
			return m
		}
		for range 500 {
			user, topic, size := strconv.Itoa(random.IntN(4)), strconv.Itoa(random.IntN(20)), random.IntN(20)
			k.refuse = random.IntN(5) == 0
			went := k.set(user, topic, string(make([]byte, size)))
			switch {
			case !went:
				continue
			case size == 0 || user == "3":
				delete(broker, topic)
			default:
				broker[topic] = note{user, len(topic) + size}
			}
			if has := sum(user); has.Messages > 5 || has.Bytes > 60 {
				t.Fatalf("seed %d: %s has %+v", seed, user, has)
			}
		}
		k.refuse = false
		for _, user := range []string{"0", "1", "2"} {
			has := sum(user)
			k.has("in the end", user, has.Messages, has.Bytes)
		}
		if len(k.quota.limits[0].held.topics) != len(broker) {
			t.Errorf("%d topics are remembered, want %d", len(k.quota.limits[0].held.topics), len(broker))
		}
	}
}
