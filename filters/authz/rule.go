// Package authz decides what a client may do: an ordered list of rules, of
// which the first that matches decides. If none matches, the answer is no.
//
// A Policy finds the rules that can be about a client by its names, and the
// rules about a topic by its levels, so that what a decision costs does not
// grow with the number of rules. Only those with placeholders, filled in once per
// session, are walked. It judges what clients send: PUBLISH,
// SUBSCRIBE, CONNECT and the Will in it. Its Deliveries judge the messages that
// a broker sends: a subscription may be wider than what is delivered for it.
//
// Formats of other products are read by packages of their own, which turn them
// into rules.
//
// It fails closed: names and networks that no client could have are refused
// when rules are compiled, a placeholder without a safe value makes a rule that
// allows not match and one that denies wider, and no rules deny everything.
package authz

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Rule allows or denies actions on topics to the clients that it names.
type Rule struct {
	Name  string // for logs; may be empty
	Place string // where the rule stands, such as "authz.rules[2] (line 41)"

	Subjects
	Within  []Subjects // which must hold too
	Without []Subjects // none of which may hold

	Deny      bool // instead of allow
	Publish   bool // a PUBLISH, or a Will
	Will      bool // a Will; only needed without Publish
	Subscribe bool
	Receive   bool // is delivered; a rule with Subscribe speaks of this too, without it
	Connect   bool // stands alone, with Topics that are client identifiers; what no rule says may connect

	Topics []Topic
	QoS    []packets.QoS // of a message or a subscription; of a delivery only with Receive, see compileReceive
	Retain *bool         // of a PUBLISH or Will
	Size   int           // of the payload of a message, in bytes, at most; zero: any
	Times  []Window      // in one of which it is now; nil: always
	Wills  *bool         // whether a CONNECT has a Will

	Persistent *bool // whether a CONNECT asks for a session that outlives its connection

	// Exact takes the rule as formats of other products mean theirs: with
	// Subscribe it says nothing of deliveries, and a deny that lacks a value for a
	// placeholder does not match, where it would be made wider.
	Exact bool
	Widen bool // with Exact: and yet it is made wider
}

// Policy is a compiled list of rules. It does not change.
type Policy struct {
	rules    []*rule
	index    index
	options  Options
	retained *Retained // nil: nobody remembers
	recorder *Recorder // nil: nobody records
}

// Options say how a Policy judges.
type Options struct {
	// FilterDeliveries grants every subscription that is not shared: what the
	// client may not receive is not delivered. A Shared Subscription is judged all
	// the same, since what one of a group must not get is lost for all of it.
	FilterDeliveries bool

	// Narrow subscribes to those parts of a Topic Filter that rules allow, where no
	// rule allows it whole.
	Narrow bool

	// Monitor lets everything pass. Verdicts tell what would be denied.
	Monitor bool
}

// rule is a Rule ready to be applied.
type rule struct {
	Rule
	label  string // names the rule in decisions
	order  int32  // its place among the rules, from 1
	topics []pattern
	fixed  []topic // topics, if they are the same for everybody
	groups bool    // topics name ${group}
	qos    [3]bool

	receives [3]bool // the QoS of the deliveries that the rule speaks of

	used atomic.Bool // it has decided something
}

// Validate returns what is wrong with the rule.
func (r Rule) Validate() error {
	_, err := compile(r)
	return err
}

// New compiles rules. The error names the place of the first rule that is
// wrong.
func New(rules []Rule, o Options) (*Policy, error) {
	p := &Policy{rules: make([]*rule, 0, len(rules)), options: o}
	for i, r := range rules {
		c, err := compile(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Place, err)
		}
		c.order = int32(i) + 1
		p.rules = append(p.rules, c)
	}
	p.index = newIndex(p.rules, fewTopics)
	return p, nil
}

func compile(r Rule) (*rule, error) {
	c := &rule{Rule: r, label: r.Place}
	if r.Name != "" {
		c.label = r.Name + ", " + r.Place
	}
	messages := r.Publish || r.Will || r.Subscribe || r.Receive
	switch {
	case !messages && !r.Connect:
		return c, errors.New("no action")
	case messages && r.Connect:
		return c, errors.New("connect is of client identifiers, and the other actions of topics: write two rules")
	case len(r.Topics) == 0:
		return c, errors.New("no topics")
	case r.Wills != nil && !r.Connect:
		return c, errors.New("whether there is a Will shows when a client connects")
	case r.Persistent != nil && !r.Connect:
		return c, errors.New("whether a session outlives its connection shows when a client connects")
	case r.Size < 0:
		return c, fmt.Errorf("no size of a payload: %d", r.Size)
	case r.Size > 0 && !r.Publish && !r.Will && !r.Receive:
		return c, errors.New("only messages have a payload")
	}
	for _, s := range slices.Concat([]Subjects{r.Subjects}, r.Within, r.Without) {
		if err := s.check(); err != nil {
			return c, err
		}
	}
	if err := c.compileQoS(); err != nil {
		return c, err
	}
	c.compileReceive()
	err := c.compileTopics()
	return c, err
}

func (r *rule) compileQoS() error {
	if len(r.QoS) == 0 {
		r.qos = [3]bool{true, true, true}
	}
	for _, q := range r.QoS {
		if q > 2 {
			return fmt.Errorf("no such QoS: %d", q)
		}
		r.qos[q] = true
	}
	return nil
}

// compileReceive tells which deliveries the rule speaks of. The QoS of a rule
// about subscriptions says nothing of messages, which arrive with that QoS or
// a lower one: it allows them all, and denies none.
func (r *rule) compileReceive() {
	every := [3]bool{true, true, true}
	switch {
	case r.Receive:
		r.receives = r.qos
	case r.Subscribe && !r.Exact && (!r.Deny || r.qos == every):
		r.receives = every
	}
}

// conditional reports whether the rule may hold for one message and not for
// another that is alike in topic, QoS and retain.
func (r *rule) conditional() bool { return r.Size > 0 || r.Times != nil }

// use notes that the rule has decided something. What is written once and then
// only read costs the sessions that share it nothing.
func (r *rule) use() {
	if !r.used.Load() {
		r.used.Store(true)
	}
}

func (r *rule) timely(now time.Time) bool {
	return r.Times == nil || slices.ContainsFunc(r.Times, func(w Window) bool { return w.Holds(now) })
}
