package backend

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Balance is how sessions are shared out.
type Balance uint8

// The ways to share out sessions.
const (
	// ByClientID gives a client the same server each time, as long as it can be used,
	// by rendezvous hashing (Thaler and Ravishankar 1998) with weights: when a server
	// leaves, only its clients move, and to all others by their weights.
	ByClientID Balance = iota

	LeastConnections // for its weight
	RoundRobin       // smoothly by weight
)

// candidate is a server that takes sessions.
type candidate struct {
	server *Server
	weight float64
	score  float64 // the higher goes first
}

// order returns the servers that take a session of the client, the one to be tried
// first in front.
func (p *Pool) order(now time.Time, client string) []*Server {
	all := p.servers.Load()
	var list []candidate
	for _, s := range all.list {
		if s.usable(now) {
			list = append(list, candidate{server: s, weight: s.weight(now)})
		}
	}
	switch p.options.Balance {
	case ByClientID:
		for i := range list {
			list[i].score = list[i].weight / -math.Log(draw(client, list[i].server.Name()))
		}
	case LeastConnections:
		for i := range list {
			list[i].score = -float64(list[i].server.Active()+1) / list[i].weight
		}
	case RoundRobin:
		all.turns.next(list)
	}
	slices.SortStableFunc(list, first)
	order := make([]*Server, len(list))
	for i := range list {
		order[i] = list[i].server
	}
	return order
}

// first is below zero if a is tried before b.
func first(a, b candidate) int {
	return cmp.Or(cmp.Compare(a.server.priority, b.server.priority), cmp.Compare(b.score, a.score))
}

// draw is a number between 0 and 1 that depends on both names alone, and equally on
// every bit of them.
func draw(client, server string) float64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(client)
	_, _ = d.WriteString("\x00") // which no client identifier has [MQTT-1.5.4-2]
	_, _ = d.WriteString(server)
	return (float64(d.Sum64()>>11) + 0.5) / (1 << 53)
}

// turns shares out sessions smoothly: a server of weight 5 among others of 1 is not
// taken five times in a row.
type turns struct {
	mu  sync.Mutex
	due map[*Server]float64 // what each is ahead of its share, below zero, or behind
}

// next scores the list for the next session.
func (t *turns) next(list []candidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.due == nil {
		t.due = map[*Server]float64{}
	}
	total, best := 0.0, -1
	for i, c := range list {
		t.due[c.server] += c.weight
		total += c.weight
		list[i].score = t.due[c.server]
		if best < 0 || first(list[i], list[best]) < 0 {
			best = i
		}
	}
	if best >= 0 {
		t.due[list[best].server] -= total
	}
}
