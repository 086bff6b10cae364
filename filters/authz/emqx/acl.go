// Package emqx reads EMQX's acl.conf as rules: Erlang tuples, of which the first
// that matches decides (EMQX documentation, "Use ACL File").
//
// SUBSCRIBE and PUBLISH are decided as EMQX does, but for a rule that denies and
// lacks a safe value for a placeholder: it is made wider, or a client would choose an
// identifier with "/" and be rid of it. Deliveries, which EMQX does not judge, are
// held to the rules about subscriptions. What nothing matches is left
// to the rules that come behind those of the file.
//
// It fails closed: a file with anything that is not understood whole gives no
// rule at all, and an error with the line.
package emqx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
)

// maxRules bounds the rules of a file: 'or' within 'and' multiplies.
const maxRules = 1 << 20

// ParseACL reads an acl.conf. The place of a rule is name:line. Warnings tell
// what has no effect here or another than in EMQX. An error gives the line;
// then there are no rules.
func ParseACL(data []byte, name string) (rules []authz.Rule, warnings []string, err error) {
	terms, err := readTerms(string(data))
	if err != nil {
		return nil, nil, err
	}
	f := file{name: name}
	for _, t := range terms {
		if err := f.rule(t); err != nil {
			var at *lineError
			if !errors.As(err, &at) {
				err = t.errorf("%v", err)
			}
			return nil, nil, err
		}
	}
	return append(f.control(), f.rules...), f.warnings, nil
}

// control denies the topics by which Mosquitto is administered, unless a rule names
// them: in EMQX all topics are never those.
func (f *file) control() []authz.Rule {
	for _, r := range f.rules {
		if slices.ContainsFunc(r.Topics, func(t authz.Topic) bool { return strings.HasPrefix(t.Pattern, "$CONTROL") }) {
			return nil
		}
	}
	return []authz.Rule{{
		Name: "no rule names $CONTROL", Place: f.name, Exact: true, Deny: true, Publish: true, Subscribe: true, Receive: true,
		Topics: authz.ParseTopics("$CONTROL/#"),
	}}
}

// file is what is read of a file.
type file struct {
	name     string
	rules    []authz.Rule
	warnings []string
}

func (f *file) warn(t term, format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf("line %d: ", t.line)+fmt.Sprintf(format, args...))
}

// rule reads {Permission, all} or {Permission, Who, Action, Topics}.
func (f *file) rule(t term) error {
	if t.kind != tuple || len(t.items) != 2 && len(t.items) != 4 {
		return t.errorf("no rule: wants {allow | deny, who, action, [topics]} or {allow | deny, all}")
	}
	permission := t.items[0]
	if !permission.is("allow") && !permission.is("deny") {
		return permission.errorf("wants allow or deny")
	}
	base := authz.Rule{Place: fmt.Sprintf("%s:%d", f.name, t.line), Deny: permission.is("deny"), Exact: true, Widen: true}
	if len(t.items) == 2 {
		if !t.items[1].is("all") {
			return t.items[1].errorf("wants all, or who, action and topics")
		}
		return f.add(base, [][]authz.Subjects{{{}}}, action{publish: true, subscribe: true}, topicsOf{every: true})
	}
	who, err := f.who(t.items[1])
	if err != nil {
		return err
	}
	what, err := readAction(t.items[2])
	if err != nil {
		return err
	}
	about, err := readTopics(t.items[3])
	if err != nil {
		return err
	}
	if !about.every && len(about.list) == 0 {
		f.warn(t, "the rule is about no topics")
		return nil
	}
	return f.add(base, who, what, about)
}

// add appends the rules for each of the alternatives that who is. They decide
// alike, so that their order among themselves does not matter.
func (f *file) add(base authz.Rule, who [][]authz.Subjects, what action, about topicsOf) error {
	for _, all := range who {
		for _, r := range what.rules(base, about) {
			r.Subjects, r.Within = all[0], slices.Clone(all[1:])
			if err := r.Validate(); err != nil {
				return err
			}
			if len(f.rules) == maxRules {
				return fmt.Errorf("more than %d rules", maxRules)
			}
			f.rules = append(f.rules, r)
		}
	}
	return nil
}

// action is what a rule of the file is about.
type action struct {
	publish, subscribe bool
	qos                []packets.QoS
	retain             *bool
}

// rules returns the rules that are, together, one of the file.
func (a action) rules(base authz.Rule, about topicsOf) []authz.Rule {
	var rules []authz.Rule
	if a.publish {
		r := base
		r.Publish, r.QoS, r.Retain, r.Topics = true, a.qos, a.retain, about.publishes(base.Deny)
		rules = append(rules, r)
	}
	if a.subscribe {
		r := base
		r.Subscribe, r.QoS, r.Topics = true, a.qos, about.subscriptions(base.Deny)
		rules = append(rules, r)
	}
	// The QoS of a subscription is an upper bound of that of its messages: a rule
	// that denies some QoS denies none of them.
	if delivered := about.deliveries(base.Deny); a.subscribe && len(delivered) > 0 && !(base.Deny && a.qos != nil) {
		r := base
		r.Receive, r.Topics = true, delivered
		rules = append(rules, r)
	}
	return rules
}

// readAction reads publish, subscribe or all, or one of them with options.
func readAction(t term) (action, error) {
	name, options := t, term{kind: list}
	if t.kind == tuple && len(t.items) == 2 {
		name, options = t.items[0], t.items[1]
	}
	var a action
	switch {
	case name.is("publish"):
		a.publish = true
	case name.is("subscribe"):
		a.subscribe = true
	case name.is("all"):
		a.publish, a.subscribe = true, true
	default:
		return a, name.errorf("no action: wants publish, subscribe or all (pubsub of EMQX 4)")
	}
	if options.kind != list {
		return a, options.errorf("wants a list of options, as [{qos, 1}]")
	}
	for _, o := range options.items {
		if err := a.option(o); err != nil {
			return a, err
		}
	}
	return a, nil
}

// option reads {qos, 0..2}, {qos, [0..2]} or {retain, true | false | all}.
func (a *action) option(t term) error {
	if t.kind != tuple || len(t.items) != 2 {
		return t.errorf("no option: wants {qos, ...} or {retain, ...}")
	}
	key, value := t.items[0], t.items[1]
	switch {
	case key.is("qos"):
		if value.kind == list {
			return a.addQoS(value, value.items)
		}
		return a.addQoS(value, []term{value})
	case key.is("retain") && a.publish && a.retain == nil:
		retain := value.is("true")
		if !retain && !value.is("false") && !value.is("all") {
			return value.errorf("no retain: wants true, false or all")
		}
		if !value.is("all") {
			a.retain = &retain
		}
		return nil
	}
	return key.errorf("no option here: wants qos, or once retain of a publish")
}

func (a *action) addQoS(value term, each []term) error {
	if len(each) == 0 {
		return value.errorf("no QoS")
	}
	for _, q := range each {
		if q.kind != integer || q.value > 2 {
			return q.errorf("no QoS: wants 0, 1 or 2")
		}
		a.qos = append(a.qos, packets.QoS(q.value)) //nolint:gosec // G115: 0 to 2
	}
	return nil
}
