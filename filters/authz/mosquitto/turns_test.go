package mosquitto

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
)

// linesOf returns a line for each list of roles, by their numbers.
func linesOf(lists [][]int) []*line {
	roles := make(map[int]*role)
	var lines []*line
	for i, list := range lists {
		l := &line{number: i, user: authz.Exactly(fmt.Sprint(i))}
		for _, n := range list {
			if roles[n] == nil {
				roles[n] = &role{number: n}
			}
			l.roles = append(l.roles, roles[n])
		}
		lines = append(lines, l)
	}
	return lines
}

// read returns what each client finds in turns.
func read(all []turn, clients int) [][]int {
	found := make([][]int, clients)
	for i := range found {
		for _, t := range all {
			if slices.Contains(t.users, authz.Exactly(fmt.Sprint(i))) {
				found[i] = append(found[i], t.role.number)
			}
		}
	}
	return found
}

func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lists [][]int
		want  int
	}{
		{"nobody", nil, 0},
		{"nothing", [][]int{nil, nil}, 0},
		{"the same", [][]int{{2, 1}, {2, 1}, {2, 1}}, 2},
		{"parts of one order", [][]int{{3, 0}, {4, 3}, {4, 1, 0}, {1}}, 4},
		{"a contradiction", [][]int{{0, 1}, {1, 0}}, 3},
		{"a circle", [][]int{{0, 1}, {1, 2}, {2, 0}}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := turns(linesOf(tt.lists), 5)
			if len(all) != tt.want {
				t.Errorf("%d turns, want %d", len(all), tt.want)
			}
			for i, got := range read(all, len(tt.lists)) {
				if !slices.Equal(got, tt.lists[i]) {
					t.Errorf("client %d finds %v, want %v", i, got, tt.lists[i])
				}
			}
		})
	}
}

// TestTurnsInAnyOrder: however the lines contradict each other, all find theirs,
// and the number of turns does not grow with that of clients.
func TestTurnsInAnyOrder(t *testing.T) {
	const roles, longest = 12, 5
	dice := rand.New(rand.NewPCG(2, 3))
	for range 50 {
		lists := make([][]int, 300)
		for i := range lists {
			lists[i] = dice.Perm(roles)[:dice.IntN(longest+1)]
		}
		all := turns(linesOf(lists), roles)
		if len(all) > roles*longest {
			t.Errorf("%d turns", len(all))
		}
		for i, got := range read(all, len(lists)) {
			if !slices.Equal(got, lists[i]) {
				t.Fatalf("client %d finds %v, want %v", i, got, lists[i])
			}
		}
	}
}

// TestClientsInManyGroups: 5,000 clients, each with groups of its own choice, need
// each role's rules once.
func TestClientsInManyGroups(t *testing.T) {
	dice := rand.New(rand.NewPCG(4, 5))
	lists := make([][]int, 5000)
	for i := range lists {
		lists[i] = dice.Perm(100)[:6]
		slices.Sort(lists[i]) // groups of one priority are asked by their names
	}
	if all := turns(linesOf(lists), 100); len(all) != 100 {
		t.Errorf("%d turns", len(all))
	}
}
