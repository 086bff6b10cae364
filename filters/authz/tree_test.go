package authz

import (
	"fmt"
	"testing"
)

// TestSharedVisits: a Shared Subscription walks the topics of rules that deny a part
// of it, and not all the others.
func TestSharedVisits(t *testing.T) {
	var walked func(n *node) int
	walked = func(n *node) (count int) {
		if n == nil || !n.parts {
			return 0
		}
		for _, child := range n.next {
			count += walked(child)
		}
		return count + 1 + walked(n.plus)
	}
	visits := func(rules ...Rule) (n int) {
		for i := range 100 {
			rules = append(rules, allow(fmt.Sprintf("a/%d", i), fmt.Sprintf("b/+/%d/#", i)))
		}
		p := compiled(t, rules...)
		p.index = newIndex(p.rules, 0)
		v := p.View(user("bob"))
		if d := v.Subscribe(noon, []byte("$share/g/#"), 0); d.Allowed {
			t.Errorf("%+v", d)
		}
		return walked(&v.trees[0].root)
	}
	if n := visits(); n != 0 {
		t.Errorf("%d levels without a denial", n)
	}
	if n := visits(deny("a/1")); n != 3 { // the root, a and 1
		t.Errorf("%d levels with one", n)
	}
	exact := deny("a/1")
	exact.Exact = true
	if n := visits(exact); n != 0 {
		t.Errorf("%d levels with one that denies no parts", n)
	}
}
