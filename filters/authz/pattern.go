package authz

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mqttward/mqttward/packets/topics"
)

// topic is a Topic as it is for one client: its placeholders are filled in.
type topic struct {
	group string // of "$share/group/text": it is about that group's subscriptions only
	text  string
	kind  Kind
	share Share

	except string // a Topic Filter of messages that it is not about; "": none
	also   string // a second pattern, which must hold too; "": none
}

// names reports whether t is about the message topic name.
func (t *topic) names(name []byte) bool {
	switch {
	case t.group != "" || t.share == Shared:
		return false
	case t.kind == Literal:
		return t.text == string(name)
	}
	return t.matches(name)
}

// matches reports whether t holds the topic name. Names that begin with $ are for
// filters that begin so [MQTT-4.7.2-1].
func (t *topic) matches(name []byte) bool {
	if t.except != "" && topics.Match(t.except, name) {
		return false
	}
	switch t.kind {
	case Every:
		return true
	case Glob, Wild:
		return t.globs(name)
	case Wildcards:
		return false
	default:
		return topics.Match(t.text, name)
	}
}

func (t *topic) globs(text []byte) bool {
	hidden := t.kind == Glob && len(text) > 0 && text[0] == '$' && t.text[0] != '$'
	return !hidden && glob(t.text, text, t.kind == Wild) && (t.also == "" || glob(t.also, text, true))
}

// glob matches value against pattern, in which "*" stands for any run of
// characters and, if single is set, "?" for one.
func glob(pattern string, value []byte, single bool) bool {
	star, from := -1, 0 // where to go on if what is behind the last "*" does not match
	i, j := 0, 0
	for j < len(value) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, from = i, j
			i++
		case i < len(pattern) && pattern[i] == '?' && single:
			_, size := utf8.DecodeRune(value[j:])
			i, j = i+1, j+size
		case i < len(pattern) && pattern[i] == value[j]:
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

// subscription reports whether t is about some subscriptions and not about a
// set of topics: those that are shared, or filters to the letter.
func (t *topic) subscription() bool {
	return t.group != "" || t.share == Shared || t.kind == Wildcards || t.kind == Literal && !topics.ValidName(t.text)
}

// delivers reports whether t, of a rule that allows or denies, is about a
// message to name that the broker delivers. By which subscription it came is
// not told: what t grants to one may be it, and what it denies to one may have
// come by another.
func (t *topic) delivers(name []byte, deny bool) bool {
	return !(deny && t.subscription()) && t.matches(name)
}

// covers reports whether all that the subscription to filter in group, which
// is empty if it is not shared, would deliver is in t.
func (t *topic) covers(group, filter []byte) bool {
	if !t.concerns(group) {
		return false
	}
	switch t.kind {
	case Every:
		return true
	case Wildcards:
		return bytes.ContainsAny(filter, "+#")
	case Literal:
		return t.text == string(filter)
	case Glob, Wild:
		// As a broker with such patterns does it. That "a/*" takes in "a/#" and so
		// the topic a, too, is made good where deliveries are judged.
		if t.kind == Wild && len(group) > 0 {
			filter = slices.Concat([]byte("$share/"), group, slash, filter)
		}
		return t.globs(filter)
	case Verbatim:
		if len(group) > 0 {
			filter = slices.Concat([]byte("$share/"), group, slash, filter)
		}
		return topics.Covers(t.text, filter)
	case Levels:
		return levelsMatch(t.text, filter)
	default:
		return topics.Covers(t.text, filter)
	}
}

// levelsMatch compares filter as if it were the name of a topic.
func levelsMatch(pattern string, filter []byte) bool {
	if bytes.HasPrefix(filter, []byte{'$'}) && (pattern[0] == '+' || pattern[0] == '#') {
		return false
	}
	for {
		want, wanted, more := strings.Cut(pattern, "/")
		if want == "#" {
			return true
		}
		level, left, longer := bytes.Cut(filter, slash)
		switch {
		case want != "+" && want != string(level):
			return false
		case !longer:
			return !more || wanted == "#"
		case !more:
			return false
		}
		pattern, filter = wanted, left
	}
}

// overlaps reports whether something that the subscription would deliver is in
// t. It takes a literal with wildcards as that filter alone, and one without
// as the topic that it names.
func (t *topic) overlaps(group, filter []byte) bool {
	switch {
	case !t.concerns(group):
		return false
	case t.kind == Every:
		return true
	case t.kind == Literal && !topics.ValidName(t.text):
		return t.text == string(filter)
	}
	return topics.Overlaps(t.text, filter)
}

func (t *topic) concerns(group []byte) bool {
	switch {
	case t.group != "":
		return t.group == string(group)
	case t.share == Shared:
		return len(group) > 0
	case t.share == Unshared:
		return len(group) == 0
	}
	return true
}

// identifies reports whether t is about the client identifier id.
func (t *topic) identifies(id []byte) bool {
	switch t.kind {
	case Literal:
		return t.text == string(id)
	case Glob, Wild:
		return glob(t.text, id, t.kind == Wild)
	default:
		return t.kind == Every
	}
}

// wide reports whether t holds more than one topic.
func (t *topic) wide() bool {
	return t.kind != Filter && t.kind != Literal || !topics.ValidName(t.text)
}
