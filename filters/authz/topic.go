package authz

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets/topics"
)

// pattern is one entry of Rule.Topics.
type pattern struct {
	template filters.Template
	literal  bool
}

// topic is a pattern whose placeholders are filled in.
type topic struct {
	group   string // of "$share/group/text": the pattern is about that group's subscriptions only
	text    string
	literal bool
	glob    bool // text is one of Rule.Globs
}

func (r *rule) compileTopics() error {
	fixed := true
	for _, entry := range r.Topics {
		text, literal := strings.CutPrefix(entry, "=")
		t, err := filters.ParseTemplate(text)
		if err != nil {
			return err
		}
		p := pattern{template: t, literal: literal}
		sample, ok := p.expand(sampleValue)
		switch {
		case !ok:
			return fmt.Errorf("no topic filter: %s", entry)
		case r.Deny && r.Receive && !r.Subscribe && sample.subscription():
			return fmt.Errorf("denies no delivery, only a subscription: %s", entry)
		}
		fixed = fixed && len(t.Placeholders()) == 0
		r.groups = r.groups || slices.Contains(t.Placeholders(), "group")
		r.topics = append(r.topics, p)
	}
	if fixed {
		r.fixed = r.expand(sampleValue)
	}
	return r.checkGlobs()
}

// checkGlobs refuses wildcards of MQTT in globs: where a filter of a subscription
// is compared with one, they are to meet "*" only.
func (r *rule) checkGlobs() error {
	for _, g := range r.Globs {
		if g == "" || r.Deny || strings.ContainsAny(g, "+#\x00") {
			return fmt.Errorf("no pattern of topics to allow: %q", g)
		}
	}
	return nil
}

// sampleValue stands for any value when a pattern's grammar is checked.
func sampleValue(string) (string, bool) { return "x", true }

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
		if len(r.Groups) > 0 && !r.namesGroup(group) {
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
	var expanded []topic
	for _, p := range r.topics {
		t, ok := p.expand(lookup)
		switch {
		case ok:
		case r.Deny:
			t = p.widen(lookup)
		default:
			return nil
		}
		expanded = append(expanded, t)
	}
	for _, g := range r.Globs {
		expanded = append(expanded, topic{text: g, glob: true})
	}
	return slices.Clip(expanded)
}

// unfilled stands for a value that cannot be filled in, until its level is
// replaced. It is for private use in Unicode.
const unfilled = "\uE000"

// widen puts + in the place of each level that has a placeholder without a safe
// value.
func (p pattern) widen(lookup filters.Lookup) topic {
	text, _ := p.template.ExpandTopic(func(name string) (string, bool) {
		if v, ok := lookup(name); ok && filters.TopicLevel(v) {
			return v, true
		}
		return unfilled, true
	})
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
	return topic{group: group, text: strings.Join(levels, "/")}
}

func (p pattern) expand(lookup filters.Lookup) (topic, bool) {
	text, ok := p.template.ExpandTopic(lookup)
	if !ok || !topics.ValidFilter(text) {
		return topic{}, false
	}
	group, text, _ := topics.Share(text)
	return topic{group: group, text: text, literal: p.literal}, true
}

// names reports whether t is about the message topic name.
func (t topic) names(name []byte) bool {
	switch {
	case t.group != "":
		return false
	case t.literal:
		return t.text == string(name)
	}
	return t.matches(name)
}

// matches reports whether t holds the topic name. Names that begin with $ are for
// patterns that begin so [MQTT-4.7.2-1].
func (t topic) matches(name []byte) bool {
	if t.glob {
		return t.globs(name)
	}
	return topics.Match(t.text, name)
}

func (t topic) globs(text []byte) bool {
	hidden := len(text) > 0 && text[0] == '$'
	return (!hidden || t.text[0] == '$') && filters.Glob(t.text, string(text))
}

// subscription reports whether t is about some subscriptions and not about a
// set of topics: those of a group, or one filter to the letter.
func (t topic) subscription() bool {
	return t.group != "" || t.literal && !topics.ValidName(t.text)
}

// delivers reports whether t, of a rule that allows or denies, is about a
// message to name that the broker delivers. By which subscription it came is
// not told: what t grants to one may be it, and what it denies to one may have
// come by another.
func (t topic) delivers(name []byte, deny bool) bool {
	return !(deny && t.subscription()) && t.matches(name)
}

// covers reports whether all that the subscription to filter in group, which
// is empty if it is not shared, would deliver is in t.
func (t topic) covers(group, filter []byte) bool {
	switch {
	case !t.concerns(group):
		return false
	case t.literal:
		return t.text == string(filter)
	case t.glob:
		// As a broker with such patterns does it. That "a/*" takes in "a/#" and so
		// the topic a, too, is made good where deliveries are judged.
		return t.globs(filter)
	}
	return topics.Covers(t.text, filter)
}

// overlaps reports whether something that the subscription would deliver is in
// t. It takes a literal with wildcards as that filter alone, and one without
// as the topic that it names.
func (t topic) overlaps(group, filter []byte) bool {
	switch {
	case !t.concerns(group):
		return false
	case t.literal && !topics.ValidName(t.text):
		return t.text == string(filter)
	}
	return topics.Overlaps(t.text, filter)
}

func (t topic) concerns(group []byte) bool {
	return t.group == "" || t.group == string(group)
}
