package mosquitto

import (
	"cmp"
	"slices"

	"github.com/mqttward/mqttward/filters/authz"
)

// turn is a role that is asked for some clients.
type turn struct {
	role  *role
	users []authz.Name
}

// line is the roles that are still to be asked for a client, in their order.
type line struct {
	number int
	user   authz.Name
	roles  []*role
}

// turns puts the lines of all clients into one list, in which each finds its own
// roles in their order. A role has one turn, for all who have it, where the lines
// agree about what comes before what; where they do not, it has some. So turns are
// as many as roles and contradictions ask for, and not as clients do.
func turns(lines []*line, roles int) []turn {
	q := queue{left: make([]int, roles), next: make([][]*line, roles)}
	for _, l := range lines {
		for _, r := range l.roles {
			q.left[r.number]++
		}
	}
	for _, l := range lines {
		q.join(l)
	}
	var all []turn
	for q.waiting > 0 {
		all = append(all, q.take(q.choose()))
	}
	return all
}

type queue struct {
	left    []int     // by role: how many lines have it
	next    [][]*line // by role: the lines that begin with it
	ready   []int     // the roles that stand in no line but at its beginning
	waiting int       // lines
}

func (q *queue) join(l *line) {
	if len(l.roles) == 0 {
		return
	}
	n := l.roles[0].number
	q.next[n] = append(q.next[n], l)
	q.waiting++
	if len(q.next[n]) == q.left[n] {
		q.ready = append(q.ready, n)
	}
}

// choose returns a role that is ready or, if the lines contradict each other, the
// one that most of them begin with.
func (q *queue) choose() int {
	if len(q.ready) > 0 {
		n := q.ready[0]
		q.ready = q.ready[1:]
		return n
	}
	most := 0
	for n := range q.next {
		if len(q.next[n]) > len(q.next[most]) {
			most = n
		}
	}
	return most
}

// take gives role n its turn in all lines that begin with it.
func (q *queue) take(n int) turn {
	lines := q.next[n]
	q.next[n] = nil
	q.left[n] -= len(lines)
	q.waiting -= len(lines)
	t := turn{role: lines[0].roles[0]}
	// As the file has them, so that roles with the same clients have them alike.
	slices.SortFunc(lines, func(a, b *line) int { return cmp.Compare(a.number, b.number) })
	for _, l := range lines {
		t.users = append(t.users, l.user)
		l.roles = l.roles[1:]
		q.join(l)
	}
	return t
}
