package backend

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// pool is one of servers of these weights, s1 first.
func pool(balance Balance, weights ...int) *Pool {
	o := Options{Balance: balance}
	for i, w := range weights {
		o.Servers = append(o.Servers, Spec{Address: fmt.Sprintf("s%d:1", i+1), Weight: w})
	}
	return New(o, nil)
}

// firsts returns which server each of n clients gets.
func firsts(p *Pool, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = p.order(time.Now(), fmt.Sprintf("client-%d", i))[0].Name()
	}
	return list
}

func count(list []string) map[string]int {
	n := map[string]int{}
	for _, s := range list {
		n[s]++
	}
	return n
}

// TestClientIDBalance: a client gets the same server each time; the shares are by
// weight; when a server leaves, only its clients move, and to all others.
func TestClientIDBalance(t *testing.T) {
	const clients = 10_000
	p := pool(ByClientID, 1, 2, 1)
	before := firsts(p, clients)
	if !slices.Equal(before, firsts(pool(ByClientID, 1, 2, 1), clients)) {
		t.Error("another process shares out otherwise")
	}
	for server, want := range map[string]int{"s1:1": clients / 4, "s2:1": clients / 2, "s3:1": clients / 4} {
		if got := count(before)[server]; got < want*9/10 || got > want*11/10 {
			t.Errorf("%s has %d clients, want about %d", server, got, want)
		}
	}
	p.Servers()[0].Drain(true)
	moved := map[string]int{}
	for i, now := range firsts(p, clients) {
		switch {
		case before[i] == "s1:1":
			moved[now]++
		case now != before[i]:
			t.Fatalf("a client of %s, which stays, moved to %s", before[i], now)
		}
	}
	if s2, s3 := moved["s2:1"], moved["s3:1"]; s2 < s3*3/2 || s2 > s3*5/2 {
		t.Errorf("%d and %d clients moved to servers of weights 2 and 1", s2, s3)
	}
	p.Servers()[0].Drain(false)
	if !slices.Equal(before, firsts(p, clients)) {
		t.Error("a server that is back has not its clients")
	}
}

// TestMoves: a server that comes takes its share from all others, and nothing else
// moves.
func TestMoves(t *testing.T) {
	const clients = 10_000
	before, after := firsts(pool(ByClientID, 1, 1, 1), clients), firsts(pool(ByClientID, 1, 1, 1, 1), clients)
	moves := 0
	for i := range before {
		if before[i] != after[i] {
			if moves++; after[i] != "s4:1" {
				t.Fatalf("a client moved from %s to %s", before[i], after[i])
			}
		}
	}
	if moves < clients/5 || moves > clients*3/10 {
		t.Errorf("%d of %d clients moved, want about a quarter", moves, clients)
	}
}

func TestRoundRobin(t *testing.T) {
	got := firsts(pool(RoundRobin, 3, 1, 1), 10)
	if n := count(got); n["s1:1"] != 6 || n["s2:1"] != 2 || n["s3:1"] != 2 {
		t.Errorf("shared out as %v, want 6, 2 and 2", n)
	}
	if text := strings.Join(got, " "); strings.Contains(text, "s1:1 s1:1 s1:1 ") {
		t.Errorf("one server three times in a row: %s", text)
	}
}

func TestLeastConnections(t *testing.T) {
	p := pool(LeastConnections, 2, 1)
	var legs []*Leg
	for range 9 {
		leg, err := p.order(time.Now(), "")[0].sit(0)
		if err != nil {
			t.Fatal(err)
		}
		legs = append(legs, leg)
	}
	list := p.Servers()
	if a, b := list[0].Active(), list[1].Active(); a != 6 || b != 3 {
		t.Errorf("%d and %d connections at servers of weights 2 and 1, want 6 and 3", a, b)
	}
	for _, leg := range legs {
		if leg.Server() == list[0] {
			leg.Leave()
		}
	}
	if first := p.order(time.Now(), "")[0]; first != list[0] {
		t.Errorf("%s is first, and the other has none", first.Name())
	}
}

// TestPriority: servers of a lower priority are used as long as there is one, whatever
// the balance says.
func TestPriority(t *testing.T) {
	for _, balance := range []Balance{ByClientID, LeastConnections, RoundRobin} {
		p := pool(balance, 1, 100)
		list := p.servers.Load().list
		list[1].priority = 1
		if n := count(firsts(p, 100)); n["s1:1"] != 100 {
			t.Errorf("balance %d: %v", balance, n)
		}
		list[0].Drain(true)
		if n := count(firsts(p, 100)); n["s2:1"] != 100 {
			t.Errorf("balance %d without the first: %v", balance, n)
		}
	}
}

// TestRoundRobinPastTheSpare: a server of a lower priority takes no turns from the others.
func TestRoundRobinPastTheSpare(t *testing.T) {
	p := over(&network{}, func(o *Options) { o.Servers = []Spec{{Address: "spare:1"}, {Address: "a:1"}, {Address: "b:1"}} })
	p.server("spare:1").priority = 10
	got := map[string]int{}
	for range 12 {
		got[p.order(time.Now(), "")[0].Name()]++
	}
	if got["a:1"] != 6 || got["b:1"] != 6 {
		t.Errorf("%v", got)
	}
}
