package quota

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestShortWayTakesAll or nothing: a packet that is too large has not been a
// message yet.
func TestShortWayTakesAll(t *testing.T) {
	s, now := newSession("user", "client"), time.Now()
	f := up(s, Limit{What: Messages, Action: Drop, Rate: slow(2)}, Limit{What: Bytes, Action: Drop, Rate: slow(100)})[0].(filters.Passer)
	for i, test := range []struct {
		size   int
		passes bool
	}{{101, false}, {101, false}, {101, false}, {60, true}, {60, false}, {40, true}, {0, false}} {
		if f.Passes(now, s, publish(s.Version, 0, test.size)) != test.passes {
			t.Errorf("packet %d, of %d bytes, passes: %v", i, test.size, !test.passes)
		}
	}
	if f.Passes(now, s, &packets.Packet{Type: packets.PINGREQ}) {
		t.Error("another packet takes the short way, on which it would not be counted")
	}
}

// TestRuns: within a run as much passes as one by one, and what was taken in advance
// is there for what comes behind it.
func TestRuns(t *testing.T) {
	now := time.Now()
	for _, per := range []Sharing{PerClient, PerAll} {
		for burst := range 70 {
			q := New([]Limit{{What: Messages, Per: per, Action: Drop, Rate: slow(burst)}, {What: Bytes, Per: per, Action: Drop, Rate: slow(10 * burst)}}, 10, nil)
			s, passed := newSession("user", "client"), 0
			next := filters.Chain{q.Up()}
			for _, run := range []int{1, 3, 20, 5, 100} {
				c := next.Open(s)
				now = now.Add(time.Millisecond)
				for range run {
					if _, all := c.Passes(now, s, publish(s.Version, 0, 10)); all {
						passed++
					}
				}
				if run%2 == 0 { // by the long way, at the same time
					if v := c.JudgeUp(now, s, publish(s.Version, 0, 10)); v.Action == filters.Forward {
						passed++
					}
				}
				if run > 1 {
					c.Close()
				}
			}
			if passed != burst {
				t.Errorf("%d: %d of %d have passed", per, passed, burst)
			}
		}
	}
}

// TestRunsTakeNothingFromOthers: what a run has taken in advance is no more when it is
// over, by whatever way, and nothing is taken of what is shared.
func TestRunsTakeNothingFromOthers(t *testing.T) {
	short := func(c filters.Chain, now time.Time, s *filters.Session, n int) (passed int) {
		for range n {
			if _, all := c.Passes(now, s, publish(s.Version, 0, 10)); all {
				passed++
			}
		}
		return passed
	}
	long := func(c filters.Chain, now time.Time, s *filters.Session, n int) (passed int) {
		for range n {
			if c.JudgeUp(now, s, publish(s.Version, 0, 10)).Action == filters.Forward {
				passed++
			}
		}
		return passed
	}
	for per, ways := range map[Sharing]map[string]func(q *Quota, c filters.Chain, now time.Time, s *filters.Session) int{
		PerClient: {
			"an hour later, when all is earned again": func(_ *Quota, c filters.Chain, now time.Time, s *filters.Session) int {
				return short(c, now.Add(time.Hour), s, 50) - 2
			},
			"by the long way": func(_ *Quota, c filters.Chain, now time.Time, s *filters.Session) int { return long(c, now, s, 50) },
			"in another session": func(q *Quota, c filters.Chain, now time.Time, s *filters.Session) int {
				c.Close()
				return short(filters.Chain{q.Up()}.Open(s), now, s, 50)
			},
		},
		PerUser: {
			"of another client": func(q *Quota, _ filters.Chain, now time.Time, _ *filters.Session) int {
				other := newSession("user", "other")
				return short(filters.Chain{q.Up()}.Open(other), now, other, 50)
			},
		},
	} {
		for name, way := range ways {
			q := New([]Limit{{What: Messages, Per: per, Action: Drop, Rate: ratelimit.Rate{PerSecond: 1, Burst: 20}}}, 10, nil)
			s, now := newSession("user", "client"), time.Now()
			c := filters.Chain{q.Up()}.Open(s)
			if n := short(c, now, s, 2); n != 2 {
				t.Fatalf("%d of 2 have passed", n)
			}
			if n := way(q, c, now, s); n != 18 {
				t.Errorf("%s: %d of 18 have passed", name, n)
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	fast := ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}
	s, now, p := newSession("user", "client"), time.Now(), publish(packets.V5, 0, 60)
	for _, action := range []Action{Delay, Drop} {
		c := up(s, Limit{What: Packets, Action: action, Rate: fast}, Limit{What: Bytes, Action: action, Rate: fast, Topics: []string{"+"}},
			Limit{What: Messages, Day: 1e9}, Limit{What: Holds, Most: Most{Messages: 1}})
		c[0].Filter(now, s, p)
		if n := testing.AllocsPerRun(100, func() { c[0].Filter(now, s, p) }); n != 0 {
			t.Errorf("a packet allocates %v times", n)
		}
		if n := testing.AllocsPerRun(100, func() {
			c[0].(filters.Passer).Passes(now, s, p)
			now = now.Add(time.Duration(s.WillSize % 2))
			s.WillSize++
		}); n != 0 {
			t.Errorf("a packet allocates %v times on the short way", n)
		}
		r := retained(t, packets.V5, "t", "x")
		c.JudgeUp(now, s, r)
		if n := testing.AllocsPerRun(100, func() { c.JudgeUp(now, s, r) }); n != 0 {
			t.Errorf("a retained message allocates %v times", n)
		}
	}
}

// usual are the limits that every client has.
func usual() []Limit {
	fast := ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}
	return []Limit{{What: Packets, Rate: fast}, {What: Messages, Rate: fast}, {What: Bytes, Rate: fast}, {What: Subscribes, Rate: fast}}
}

func BenchmarkFilter(b *testing.B) {
	s, now, p := newSession("user", "client"), time.Now(), publish(packets.V5, 0, 60)
	c := up(s, usual()...)
	for b.Loop() {
		now = now.Add(time.Microsecond) // or all would be spent
		c[0].Filter(now, s, p)
	}
}

// BenchmarkPasses lets messages pass by the short way, each with a time of its own and
// in a run.
func BenchmarkPasses(b *testing.B) {
	for name, length := range map[string]int{"single": 1, "run": 32} {
		b.Run(name, func(b *testing.B) {
			s, now, p := newSession("user", "client"), time.Now(), publish(packets.V5, 0, 60)
			f := up(s, usual()...)[0].(filters.Passer)
			for i := 0; b.Loop(); i++ {
				if i%length == 0 {
					now = now.Add(10 * time.Microsecond)
				}
				f.Passes(now, s, p)
			}
		})
	}
}
