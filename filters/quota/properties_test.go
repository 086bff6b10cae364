package quota

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestNeverMore floods with several clients and all actions: over any time never
// more goes on than the rate and the burst allow, whoever shares them.
func TestNeverMore(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		l := Limit{
			What: []Quantity{Messages, Bytes, Subscribes, Retained}[random.IntN(4)], Per: Sharing(random.IntN(3)), Action: Action(random.IntN(2)),
			Rate: ratelimit.Rate{PerSecond: 1 + 50*random.Float64(), Burst: 60 + random.IntN(100)},
		}
		q, start := New([]Limit{l}, 100, nil), time.Now()
		type passed struct {
			at time.Time
			n  int
		}
		went := map[key][]passed{}
		clients := make([]*filters.Session, 1+random.IntN(5))
		chains, free := make([]filters.Chain, len(clients)), make([]time.Time, len(clients))
		for i := range clients {
			clients[i] = newSession(strconv.Itoa(i%2), strconv.Itoa(i))
			clients[i].Terms.KeepAlive = time.Duration(random.IntN(90)) * time.Second
			chains[i], free[i] = filters.Chain{q.Up()}.Open(clients[i]), start
		}
		for range 400 {
			i := random.IntN(len(clients))
			for j := range free { // the one that is free first, so that time runs
				if free[j].Before(free[i]) {
					i = j
				}
			}
			now, s := free[i], clients[i]
			p := publish(s.Version, 0, 1+random.IntN(100))
			p.Flags |= 1
			if l.What == Subscribes {
				p = subscribe(t, s.Version, 1, strings.Fields(strings.Repeat("a ", 1+random.IntN(8)))...)
			}
			v := chains[i][0].Filter(now, s, p)
			if v.Action == filters.Forward && v.Filters == nil {
				k := q.limits[0].key(s)
				went[k] = append(went[k], passed{now.Add(v.Delay), l.amount(s, p)})
			}
			free[i] = now.Add(v.Delay + time.Duration(random.IntN(100))*time.Millisecond)
		}
		for k, list := range went {
			for i := range list {
				total := 0
				for _, other := range list {
					if since := other.at.Sub(list[i].at); since < 0 {
						continue
					}
					total += other.n
				}
				latest := list[i].at
				for _, other := range list {
					if other.at.After(latest) {
						latest = other.at
					}
				}
				// A packet larger than the burst is let through when all of it is paid.
				if most := l.Rate.PerSecond*latest.Sub(list[i].at).Seconds() + float64(max(l.Rate.Burst, 100)); float64(total) > most+1e-3 {
					t.Fatalf("seed %d, %+v, %v: %d in %v, %.3f are allowed", seed, l, k, total, latest.Sub(list[i].at), most)
				}
			}
		}
	}
}

// TestNeverStarves: a client within its rate neither waits nor loses anything,
// however others flood.
func TestNeverStarves(t *testing.T) {
	for _, action := range []Action{Delay, Drop, Disconnect} {
		limits := []Limit{
			{Rule: "a", What: Packets, Action: action, Rate: ratelimit.Rate{PerSecond: 11, Burst: 2}},
			{Rule: "b", What: Messages, Action: action, Rate: ratelimit.Rate{PerSecond: 11, Burst: 2}},
			{Rule: "c", What: Bytes, Action: action, Rate: ratelimit.Rate{PerSecond: 660, Burst: 60}},
			{Rule: "d", What: Messages, Action: action, Day: 2000},
		}
		if action == Drop {
			limits = limits[1:]
		}
		q, now := New(limits, 20, nil), time.Now()
		honest, flooder := newSession("honest", "h"), newSession("flooder", "f")
		good := filters.Chain{q.Up()}.Open(honest)
		for i := range 1000 {
			now = now.Add(100 * time.Millisecond)
			if v := good.JudgeUp(now, honest, publish(packets.V5, 0, 60)); v.Action != filters.Forward || v.Delay != 0 {
				t.Fatalf("action %d, message %d: %+v", action, i, v)
			}
			for range 20 {
				flooder.ClientID = strconv.Itoa(i) // as many clients as there are
				bad := filters.Chain{q.Up()}.Open(flooder)
				bad.JudgeUp(now, flooder, publish(packets.V5, 0, 600))
				bad.Close()
			}
		}
	}
}
