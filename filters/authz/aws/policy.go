// Package aws reads AWS IoT Core policies as rules (AWS IoT Core Developer Guide,
// "AWS IoT Core policies"): a statement that denies counts before all that allow,
// and what none allows is denied.
//
// To connect is denied by the last of the rules if no statement allows it; all
// other actions are left to the rules that come behind those of the file.
//
// It fails closed: a file with anything that is not understood whole gives no
// rule at all, and an error with the line. A condition that would be ignored
// makes another policy.
package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters/authz"
)

// The bounds of a policy, far beyond AWS's own of 2048 characters.
const (
	maxStatements = 1000
	maxPairs      = 10_000 // that the resources of Publish and RetainPublish multiply to
)

// ParsePolicy reads a policy. The place of a rule is name:line, of its statement.
// Warnings tell what has no effect here. An error gives the line; then there are
// no rules.
func ParsePolicy(data []byte, name string) (rules []authz.Rule, warnings []string, err error) {
	document, err := decode(data)
	if err != nil {
		return nil, nil, err
	}
	p := policy{name: name}
	if err := p.read(document); err != nil {
		return nil, nil, err
	}
	rules = slices.Concat(p.control(), p.rules(true), p.rules(false))
	retained, err := p.retained()
	if err != nil {
		return nil, nil, err
	}
	rules = append(rules, retained...)
	rules = append(rules, authz.Rule{
		Name: "not allowed by the policy", Place: p.place(document.line),
		Exact: true, Deny: true, Connect: true, Topics: []authz.Topic{{Kind: authz.Every}},
	})
	return rules, p.warnings, nil
}

// control denies the topics by which Mosquitto is administered, unless a resource
// names them: in AWS "*" is never those.
func (p *policy) control() []authz.Rule {
	named := func(t authz.Topic) bool { return strings.HasPrefix(t.Pattern, "$CONTROL") }
	for _, s := range p.statements {
		if slices.ContainsFunc(s.resources["topic"], named) || slices.ContainsFunc(s.resources["topicfilter"], named) {
			return nil
		}
	}
	return []authz.Rule{{
		Name: "no resource names $CONTROL", Place: p.name, Exact: true, Deny: true, Publish: true, Subscribe: true, Receive: true,
		Topics: authz.ParseTopics("$CONTROL/#"),
	}}
}

type policy struct {
	name       string
	statements []statement
	warnings   []string
}

func (p *policy) place(line int) string { return fmt.Sprintf("%s:%d", p.name, line) }

func (p *policy) warn(n node, format string, args ...any) {
	p.warnings = append(p.warnings, n.errorf(format, args...).Error())
}

func (p *policy) read(document node) error {
	if document.kind != object {
		return document.errorf("no policy: wants an object")
	}
	version := ""
	for _, f := range document.fields {
		var err error
		switch f.key {
		case "Version":
			version = f.value.text
		case "Id":
		case "Statement":
			err = p.readStatements(f.value)
		default:
			err = f.errorf("no element of a policy: %q", f.key)
		}
		if err != nil {
			return err
		}
	}
	if version != "2012-10-17" {
		return document.errorf(`Version: wants "2012-10-17": others have no policy variables`)
	}
	if p.statements == nil {
		return document.errorf("Statement: wants one, or a list of them")
	}
	return nil
}

func (p *policy) readStatements(n node) error {
	each := []node{n}
	if n.kind == list {
		each = n.items
	}
	if len(each) > maxStatements {
		return n.errorf("more than %d statements", maxStatements)
	}
	for _, item := range each {
		s, err := p.statement(item)
		if err != nil {
			return err
		}
		p.statements = append(p.statements, s)
	}
	return nil
}

// rules returns the rules of the statements that deny, or of those that allow but
// for retained messages.
func (p *policy) rules(deny bool) []authz.Rule {
	var rules []authz.Rule
	for _, s := range p.statements {
		if s.deny == deny {
			rules = append(rules, s.rules(p.place(s.line))...)
		}
	}
	return rules
}

// retained returns rules for what both a statement allows to publish and one to
// publish retained ("iot:RetainPublish": Publish is needed, too).
func (p *policy) retained() ([]authz.Rule, error) {
	var rules []authz.Rule
	retain, pairs := true, 0
	for _, a := range p.statements {
		for _, b := range p.statements {
			if a.deny || b.deny || !a.actions[publish] || !b.actions[retainPublish] {
				continue
			}
			r := b.rule(p.place(b.line))
			r.Publish, r.Retain = true, &retain
			r.Within = slices.Concat(r.Within, a.within)
			r.Without = slices.Concat(r.Without, a.without)
			if pairs += len(a.resources["topic"]) * len(b.resources["topic"]); pairs > maxPairs {
				return nil, &lineError{b.line, fmt.Sprintf("more than %d pairs of topics to publish and to publish retained", maxPairs)}
			}
			for _, x := range a.resources["topic"] {
				for _, y := range b.resources["topic"] {
					r.Topics = append(r.Topics, both(x, y))
				}
			}
			if len(r.Topics) > 0 {
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// both is what is in a and in b.
func both(a, b authz.Topic) authz.Topic {
	switch {
	case a.Kind == authz.Every || a == b:
		return b
	case b.Kind == authz.Every:
		return a
	}
	a.Also = b.Pattern
	return a
}
