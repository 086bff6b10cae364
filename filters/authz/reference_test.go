package authz

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// The reference reads rules as a person would: no compilation, no coverage or
// overlap of filters, only single topics, all of them. It takes every topic
// that can tell two of the filters below apart: they have up to three levels,
// and no filter says "z".
var (
	filterLevels = []string{"a", "b", "$s", "+", "${username}"}
	everyTopic   = everyName([]string{"", "a", "b", "z", "$s"}, 4)
	usernames    = []string{"", "a", "b", "$s", "+", "a/b"}
)

func everyName(levels []string, depth int) []string {
	var all []string
	last := []string{""}
	for d := range depth {
		var next []string
		for _, parent := range last {
			for _, level := range levels {
				name := level
				if d > 0 {
					name = parent + "/" + level
				}
				next = append(next, name)
			}
		}
		all, last = append(all, next...), next
	}
	return all[1:] // the empty name is none
}

// A request is what is asked of a policy, with the rules.
type request struct {
	rules    []Rule
	username string
	filter   string
	topic    string
	qos      packets.QoS
	retain   bool
}

// choices takes decisions from data, so that the fuzzer can make them.
type choices struct{ data []byte }

func (c *choices) below(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func (c *choices) filter() string {
	levels := make([]string, 1+c.below(3))
	for i := range levels {
		levels[i] = filterLevels[c.below(len(filterLevels))]
	}
	if c.below(3) == 0 {
		levels[len(levels)-1] = "#"
	}
	text := strings.Join(levels, "/")
	if c.below(5) == 0 {
		text = "$share/" + []string{"g", "h"}[c.below(2)] + "/" + text
	}
	return text
}

func (c *choices) rule() Rule {
	r := Rule{Deny: c.below(2) == 0}
	actions := 1 + c.below(7)
	r.Publish, r.Subscribe, r.Receive = actions&1 != 0, actions&2 != 0, actions&4 != 0
	for range 1 + c.below(2) {
		text := c.filter()
		if c.below(5) == 0 {
			text = "=" + text
		}
		if r.Deny && r.Receive && !r.Subscribe { // such a rule denies no single subscription
			_, text, _ = unshare(strings.TrimPrefix(text, "="))
		}
		r.Topics = append(r.Topics, ParseTopics(text)...)
	}
	switch c.below(6) {
	case 0:
		r.Users = Globs([]string{"a"})
	case 1:
		r.Users = Globs([]string{"*"})
	}
	for q := range packets.QoS(3) {
		if c.below(6) == 0 {
			r.QoS = append(r.QoS, q)
		}
	}
	if c.below(6) == 0 {
		retain := c.below(2) == 0
		r.Retain = &retain
	}
	return r
}

func (c *choices) request() request {
	r := request{
		username: usernames[c.below(len(usernames))],
		filter:   strings.ReplaceAll(c.filter(), "${username}", "a"),
		topic:    everyTopic[(c.below(256)<<8|c.below(256))%len(everyTopic)],
		qos:      packets.QoS(c.below(3)),
		retain:   c.below(2) == 0,
	}
	for range c.below(6) {
		r.rules = append(r.rules, c.rule())
	}
	return r
}

// matches is topic matching level by level.
func matches(filter, topic string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(topic, "/")
	if (f[0] == "+" || f[0] == "#") && strings.HasPrefix(topic, "$") {
		return false
	}
	for i, level := range f {
		switch {
		case level == "#":
			return true // the parent, or what is below it
		case i == len(n):
			return false
		case level != "+" && level != n[i]:
			return false
		}
	}
	return len(f) == len(n)
}

// patterns are the topics of rule i for the client; none if it is not meant.
func (r request) patterns(i int) []string {
	rule := r.rules[i]
	if len(rule.Users) > 0 && (r.username == "" || rule.Users[0].text != "*" && rule.Users[0].text != r.username) {
		return nil
	}
	var list []string
	for _, topic := range rule.Topics {
		text := topic.String()
		_, inner, _ := unshare(strings.TrimPrefix(text, "="))
		unsafe := r.username == "" || strings.ContainsAny(r.username, "+#/") ||
			strings.HasPrefix(inner, "${username}") && strings.HasPrefix(r.username, "$")
		if strings.Contains(text, "${username}") && unsafe {
			if !rule.Deny {
				return nil
			}
			levels := strings.Split(strings.TrimPrefix(text, "="), "/")
			for i, l := range levels {
				if strings.Contains(l, "${username}") {
					levels[i] = "+"
				}
			}
			text = strings.Join(levels, "/")
		}
		list = append(list, strings.ReplaceAll(text, "${username}", r.username))
	}
	return list
}

// restricts reports whether the rule speaks of some QoS only, and not of the
// request's.
func (r request) restricts(rule Rule) bool {
	return rule.QoS != nil && !slices.Contains(rule.QoS, r.qos)
}

// unshare takes "$share/group/" off.
func unshare(text string) (group, rest string, shared bool) {
	rest, shared = strings.CutPrefix(text, "$share/")
	if !shared {
		return "", text, false
	}
	group, rest, _ = strings.Cut(rest, "/")
	return group, rest, true
}

// publish is the reference for View.Publish.
func (r request) publish() bool {
	for i, rule := range r.rules {
		if !rule.Publish || r.restricts(rule) || rule.Retain != nil && *rule.Retain != r.retain {
			continue
		}
		for _, pattern := range r.patterns(i) {
			text, literal := strings.CutPrefix(pattern, "=")
			if _, _, shared := unshare(text); shared {
				continue
			}
			if literal && text == r.topic || !literal && matches(text, r.topic) {
				return !rule.Deny
			}
		}
	}
	return false
}

// reads reports whether pattern speaks of the topic as part of the
// subscription. A literal with wildcards speaks of a filter: of all its topics.
func (r request) reads(pattern, topic string) bool {
	group, filter, _ := unshare(r.filter)
	text, literal := strings.CutPrefix(pattern, "=")
	onlyGroup, text, shared := unshare(text)
	if shared && onlyGroup != group {
		return false
	}
	if literal {
		return text == filter || text == topic
	}
	return matches(text, topic)
}

// receive is the reference for View.Receive. It also tells the rule that
// decides; -1 is none.
func (r request) receive(topic string) (allowed bool, by int) {
	for i, rule := range r.rules {
		switch {
		case !rule.Receive && !rule.Subscribe,
			rule.Receive && r.restricts(rule),
			!rule.Receive && rule.Deny && !deniesEveryQoS(rule):
			continue
		}
		for _, pattern := range r.patterns(i) {
			text, literal := strings.CutPrefix(pattern, "=")
			_, text, shared := unshare(text)
			if rule.Deny && (shared || literal && text != topic) {
				continue // it denies a subscription
			}
			if matches(text, topic) {
				return !rule.Deny, i
			}
		}
	}
	return false, -1
}

func deniesEveryQoS(rule Rule) bool {
	return rule.QoS == nil || slices.Equal(rule.QoS, []packets.QoS{0, 1, 2})
}

// subscribe is the reference for View.Subscribe: an allow needs all of the
// topics, in one pattern. So does a deny, unless what it denies would be lost
// for others or be delivered: then it needs one.
func (r request) subscribe() bool {
	_, filter, shared := unshare(r.filter)
	var covered []string
	for _, topic := range everyTopic {
		if matches(filter, topic) {
			covered = append(covered, topic)
		}
	}
	for i, rule := range r.rules {
		if !rule.Subscribe || r.restricts(rule) {
			continue
		}
		one := rule.Deny && (shared || !rule.Receive && !deniesEveryQoS(rule))
		for _, pattern := range r.patterns(i) {
			reads := func(topic string) bool { return r.reads(pattern, topic) }
			if one && slices.ContainsFunc(covered, reads) ||
				!slices.ContainsFunc(covered, func(topic string) bool { return !reads(topic) }) {
				return !rule.Deny
			}
		}
	}
	return false
}

// check compares the package with the reference, and reports the decisions.
func check(t *testing.T, r request) (published, subscribed bool) {
	t.Helper()
	session := &filters.Session{Version: packets.V5, Identity: filters.Identity{Username: r.username}}
	policy := compiled(t, r.rules...)
	v, looksUp := policy.View(session), *policy
	looksUp.index = newIndex(policy.rules, 0)
	r.checkView(t, looksUp.View(session))
	return r.checkView(t, v)
}

func (r request) checkView(t *testing.T, v *View) (published, subscribed bool) {
	t.Helper()
	published = v.Publish(noon, Message{Topic: []byte(r.topic), QoS: r.qos, Retain: r.retain}).Allowed
	if want := r.publish(); published != want {
		t.Errorf("publish: %v, want %v; %s", published, want, r)
	}
	subscribed = v.Subscribe(noon, []byte(r.filter), r.qos).Allowed
	if want := r.subscribe(); subscribed != want {
		t.Errorf("subscribe: %v, want %v; %s", subscribed, want, r)
	}
	r.checkReceive(t, v, r.topic)
	if subscribed {
		r.checkDeliveries(t, v)
	}
	return published, subscribed
}

// checkReceive returns what the reference says.
func (r request) checkReceive(t *testing.T, v *View, topic string) (allowed bool, by int) {
	t.Helper()
	allowed, by = r.receive(topic)
	if got := v.Receive(noon, Message{Topic: []byte(topic), QoS: r.qos}).Allowed; got != allowed {
		t.Errorf("receive %s: %v, want %v; %s", topic, got, allowed, r)
	}
	return allowed, by
}

// checkDeliveries says what this is all for: of a subscription that is granted
// everything is delivered but what a rule denies, and of a Shared Subscription
// but what a rule denies to receive.
func (r request) checkDeliveries(t *testing.T, v *View) {
	t.Helper()
	_, filter, shared := unshare(r.filter)
	for _, topic := range everyTopic {
		if !matches(filter, topic) {
			continue
		}
		allowed, by := r.checkReceive(t, v, topic)
		if !allowed && (by < 0 || shared && !r.rules[by].Receive) {
			t.Errorf("%s is subscribed to and not delivered, by rule %d; %s", topic, by, r)
		}
		if t.Failed() {
			return
		}
	}
}

func (r request) String() string {
	s := fmt.Sprintf("%q, filter %q, topic %q, QoS %d, retain %v", r.username, r.filter, r.topic, r.qos, r.retain)
	for i, rule := range r.rules {
		s += fmt.Sprintf("\n\t%d: deny %v publish %v subscribe %v receive %v users %q QoS %v topics %q", i, rule.Deny, rule.Publish, rule.Subscribe, rule.Receive, rule.Users, rule.QoS, rule.Topics)
	}
	return s
}

func TestReference(t *testing.T) {
	const rounds = 2000
	random := rand.New(rand.NewPCG(1, 2))
	published, subscribed := 0, 0
	for range rounds {
		data := make([]byte, 128)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		p, s := check(t, (&choices{data}).request())
		if p {
			published++
		}
		if s {
			subscribed++
		}
		if t.Failed() {
			return
		}
	}
	// Else the test would say little.
	if published < rounds/50 || subscribed < rounds/50 {
		t.Errorf("of %d requests %d publishes and %d subscriptions were allowed", rounds, published, subscribed)
	}
}

func FuzzReference(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		data := make([]byte, 128)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, (&choices{data}).request()) })
}
