package authz

import (
	"fmt"
	"testing"
)

// TestManyClassesOfOneUser: rules with different subjects that share a name are
// told apart without being compared with each other.
func TestManyClassesOfOneUser(t *testing.T) {
	rules := make([]Rule, 20_000)
	for i := range rules {
		rules[i] = allow(fmt.Sprintf("t/%d", i))
		rules[i].Users = Globs([]string{"bob", "bob"})
		rules[i].ClientIDs = Globs([]string{fmt.Sprintf("bob-%d", i)})
		rules[i].Groups = Globs([]string{"a", "b"})
	}
	p := compiled(t, rules...)
	if n := len(p.index.named[name{byUser, "bob"}]); n != len(rules) {
		t.Errorf("%d classes of the user", n)
	}
	s := user("bob")
	s.ClientID, s.Identity.Groups = "bob-777", []string{"a", "b"}
	if !p.View(s).Publish(noon, Message{Topic: []byte("t/777")}).Allowed || p.View(s).Publish(noon, Message{Topic: []byte("t/778")}).Allowed {
		t.Error("the rules of another client identifier apply")
	}
}

// TestClassFoundTwice: a class with two of the client's groups applies once.
func TestClassFoundTwice(t *testing.T) {
	r := allow("t/${group}")
	r.Groups = Globs([]string{"a", "b"})
	s := user("bob")
	s.Identity.Groups = []string{"a", "b"}
	if v := compiled(t, r).View(s); len(v.loose) != 1 || len(v.loose[0].topics) != 2 {
		t.Errorf("%d rules apply", len(v.loose))
	}
}
