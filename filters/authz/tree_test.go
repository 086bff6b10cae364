package authz

import (
	"fmt"
	"testing"
)

// TestSharedVisits: a Shared Subscription does not walk all topics, unless there
// is a rule that denies a part of it.
func TestSharedVisits(t *testing.T) {
	visits := func(rules ...Rule) (n int) {
		for i := range 100 {
			rules = append(rules, allow(fmt.Sprintf("a/%d", i)))
		}
		p := compiled(t, rules...)
		p.index = newIndex(p.rules, 0)
		for _, tree := range p.View(user("bob")).trees {
			s := search{query: &query{action: subscribing, topic: []byte("#"), group: []byte("g"), now: noon}, visit: func(*entry) { n++ }}
			s.first(tree)
		}
		return n
	}
	if n := visits(); n != 0 {
		t.Errorf("%d topics without a denial", n)
	}
	if n := visits(deny("a/1")); n != 101 {
		t.Errorf("%d topics with one", n)
	}
}
