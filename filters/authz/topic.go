package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets/topics"
)

// Topic is a set of topics, or of subscriptions, that a rule is about.
type Topic struct {
	Pattern string // a template; see filters.ParseTemplate
	Kind    Kind
	Share   Share
	Except  string // of Glob and Every: messages to topics that this Topic Filter matches are not in the set
	Also    string // of Wild: a second pattern of topics, which must hold too; "": none
}

// Kind is how the pattern of a Topic is read.
type Kind uint8

// The kinds. In the patterns of Glob and Wild a value of a client with one of
// their wildcards is not put in, nor in those of Wild one with a "$", as AWS IoT
// Core has it ("X.509 Certificate AWS IoT Core policy variables").
const (
	Filter    Kind = iota // a Topic Filter; "$share/g/x" is x for subscriptions of group g only
	Literal               // a topic, or the Topic Filter of a subscription, to the letter
	Glob                  // "*" stands for any run of characters, "/" too; it holds "$..." only if it begins so
	Wild                  // "*" and, for one character, "?"; all others, as "+", "#" and "$share/g/", are themselves
	Every                 // all, those that begin with "$" too; has no pattern
	Wildcards             // subscriptions whose Topic Filter has a wildcard; has no pattern
	Verbatim              // a Filter that is compared with subscriptions as they are written, "$share/g/" too; for Exact rules
	Levels                // a Filter; of a subscription each level is compared as one of a topic: "+" holds "#", too
)

// Share is which subscriptions a Topic is about.
type Share uint8

// The subscriptions.
const (
	SharedOrNot Share = iota
	Unshared
	Shared // of any group
)

// ParseTopics reads topics as the configuration has them: Topic Filters with
// ${placeholders}, or "=x" for the literal x. What is wrong with them shows when
// the rule is compiled.
func ParseTopics(texts ...string) []Topic {
	all := make([]Topic, len(texts))
	for i, text := range texts {
		all[i].Pattern = text
		if literal, ok := strings.CutPrefix(text, "="); ok {
			all[i] = Topic{Pattern: literal, Kind: Literal}
		}
	}
	return all
}

// String returns the topic as the configuration has it, as far as it can.
func (t Topic) String() string {
	switch t.Kind {
	case Literal:
		return "=" + t.Pattern
	case Every:
		return "every topic"
	case Wildcards:
		return "every filter with a wildcard"
	default:
		return t.Pattern
	}
}

// pattern is a Topic whose template is read.
type pattern struct {
	Topic
	template filters.Template
	also     filters.Template
	clientID bool // what it matches are client identifiers, to which no character means more
}

func (r *rule) compileTopics() error {
	fixed := true
	for _, t := range r.Topics {
		p := pattern{Topic: t, clientID: r.Connect}
		if t.patterned() {
			var err error
			if p.template, err = filters.ParseTemplate(t.Pattern); err != nil {
				return err
			}
		}
		if t.Also != "" {
			var err error
			if p.also, err = filters.ParseTemplate(t.Also); err != nil {
				return err
			}
		}
		if err := r.checkTopic(p); err != nil {
			return err
		}
		placeholders := append(p.template.Placeholders(), p.also.Placeholders()...)
		fixed = fixed && len(placeholders) == 0
		r.groups = r.groups || slices.Contains(placeholders, "group")
		r.topics = append(r.topics, p)
	}
	if fixed {
		r.fixed = r.expand(sampleValue)
	}
	return nil
}

func (t Topic) patterned() bool { return t.Kind != Every && t.Kind != Wildcards }

// sampleValue stands for any value when a pattern's grammar is checked.
func sampleValue(string) (string, bool) { return "x", true }

func (r *rule) checkTopic(p pattern) error {
	sample, ok := p.expand(sampleValue)
	switch {
	case p.Also != "" && (p.Kind != Wild || r.Connect):
		return fmt.Errorf("no second pattern of topics: %q", p.Also)
	case r.Connect && (p.Kind == Filter || p.Kind == Wildcards || p.Kind == Levels):
		return fmt.Errorf("no pattern of client identifiers: %s", p)
	case r.Connect:
		return nil
	case p.Except != "" && (r.Subscribe || p.Kind != Glob && p.Kind != Every || !topics.ValidFilter(p.Except)):
		return fmt.Errorf("no exception from the topics of messages: %q", p.Except)
	case p.Kind == Verbatim && !r.Exact:
		return fmt.Errorf("only an exact rule can be about %q as it is written", p.Pattern)
	case p.Kind == Glob && strings.ContainsAny(p.Pattern, "+#\x00"):
		// Where a filter of a subscription is compared with a glob, its wildcards are
		// to meet "*" only.
		return fmt.Errorf("no pattern of topics: %q", p.Pattern)
	case !ok:
		return fmt.Errorf("no topic filter: %s", p)
	case r.Deny && !r.Exact && r.Subscribe && p.Kind != Filter && p.Kind != Literal && p.Kind != Every:
		return errors.New("only a topic filter can be denied to subscriptions that overlap it")
	case r.Deny && r.Receive && !r.Subscribe && sample.subscription():
		return fmt.Errorf("denies no delivery, only a subscription: %s", p)
	}
	return nil
}

// topicsFor returns the rule's topics for one session. Those that are the same
// for everybody are shared; those with ${group} are had once for each group of the
// client that the rule is about.
func (r *rule) topicsFor(s subject) []topic {
	if r.fixed != nil {
		return r.fixed
	}
	if !r.groups {
		return r.expand(s.Value)
	}
	var all []topic
	for _, group := range s.Proof().Groups {
		if !oneOf(r.Groups, group) {
			continue
		}
		all = append(all, r.expand(func(name string) (string, bool) {
			if name == "group" {
				return group, group != ""
			}
			return s.Value(name)
		})...)
	}
	if all == nil {
		all = r.expand(s.Value)
	}
	return all
}

// expand returns nothing for a rule that allows and lacks a safe value: it does
// not match. One that denies is made wider instead, or clients would get out
// from under it by a client identifier that cannot be filled in.
func (r *rule) expand(lookup filters.Lookup) []topic {
	expanded := make([]topic, 0, len(r.topics))
	for _, p := range r.topics {
		t, ok := p.expand(lookup)
		switch {
		case ok:
		case r.Exact && !(r.Deny && r.Widen):
			continue
		case r.Deny:
			t = p.widen(lookup)
		default:
			return nil
		}
		expanded = append(expanded, t)
	}
	return expanded
}

func (p pattern) expand(lookup filters.Lookup) (topic, bool) {
	t := topic{kind: p.Kind, share: p.Share, except: p.Except}
	if !p.patterned() {
		return t, true
	}
	wildcards := map[Kind]string{Glob: "*", Wild: "*?$"}[p.Kind]
	plain := func(name string) (string, bool) {
		value, ok := lookup(name)
		return value, ok && !strings.ContainsAny(value, wildcards)
	}
	text, ok := p.template.ExpandTopic(plain)
	if !ok {
		return topic{}, false
	}
	t.text = text
	if p.Also != "" {
		if t.also, ok = p.also.ExpandTopic(plain); !ok {
			return topic{}, false
		}
	}
	switch {
	case p.clientID || p.Kind == Glob || p.Kind == Wild:
		return t, true
	case p.Kind == Verbatim:
		return t, topics.ValidFilter(strings.TrimPrefix(text, "$share/"))
	case !topics.ValidFilter(text):
		return topic{}, false
	}
	t.group, t.text, _ = topics.Share(text)
	return t, true
}

// unfilled stands for a value that cannot be filled in, until its level is
// replaced. It is for private use in Unicode.
const unfilled = "\uE000"

// widen puts a wildcard in the place of each level that has a placeholder
// without a safe value.
func (p pattern) widen(lookup filters.Lookup) topic {
	filled := func(name string) (string, bool) {
		if v, ok := lookup(name); ok && filters.TopicLevel(v) {
			return v, true
		}
		return unfilled, true
	}
	text, _ := p.template.ExpandTopic(filled)
	if p.Kind == Glob || p.Kind == Wild {
		also, _ := p.also.ExpandTopic(filled)
		return topic{
			text: strings.ReplaceAll(text, unfilled, "*"), also: strings.ReplaceAll(also, unfilled, "*"),
			kind: p.Kind, share: p.Share,
		}
	}
	kind := Filter
	if p.Kind == Levels {
		kind = Levels
	}
	group, text, _ := topics.Share(text)
	if strings.Contains(group, unfilled) {
		group = "" // any group, and none
	}
	levels := strings.Split(text, "/")
	for i, l := range levels {
		if strings.Contains(l, unfilled) {
			levels[i] = "+"
		}
	}
	return topic{group: group, text: strings.Join(levels, "/"), kind: kind, share: p.Share}
}
