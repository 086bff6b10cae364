// Package roles are bundles of rules for parts that clients play: a Sparkplug
// edge node, a requester, a tenant.
//
// A role becomes ordinary rules, which Expand returns; it decides nothing
// itself. What a role says of a topic is all that it allows there, but rules
// before and behind it may allow more: it is no fence, except for Wills and for a
// CONNECT without one where it says so.
//
// It fails closed: a value that cannot be a level of a topic is refused, and a
// placeholder that has no value for a client makes the rules that allow void, but
// not those that deny.
package roles

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// Values are what a role is about. All may have ${placeholders}; those that a
// role does not know are not looked at.
type Values struct {
	Group string // Sparkplug Group ID
	Edge  string // Sparkplug Edge Node ID
	Host  string // Sparkplug Host ID

	Requests  string // Topic Filter of the requests
	Responses string // topic below which each requester has its answers
	Prefix    string // topic of a tenant
}

// role makes the rules of a role.
type role func(*bundle, Values)

var roles = map[string]role{
	"sparkplug_edge": sparkplugEdge,
	"sparkplug_host": sparkplugHost,
	"requester":      requester,
	"responder":      responder,
	"tenant":         tenant,
}

// Names are the names of all roles, sorted.
func Names() []string {
	names := make([]string, 0, len(roles))
	for name := range roles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Expand returns the rules of the role called name, in order. They have the
// subjects, times and place of r, those that allow messages its size, and its name
// with that of the part behind it.
func Expand(name string, r authz.Rule, v Values) ([]authz.Rule, error) {
	expand, known := roles[name]
	if !known {
		return nil, fmt.Errorf("no such role: %q; known are %s", name, strings.Join(Names(), ", "))
	}
	b := &bundle{of: r}
	if r.Name == "" {
		b.of.Name = name
	}
	expand(b, v)
	return b.rules, b.err
}

// bundle collects the rules of a role.
type bundle struct {
	of    authz.Rule
	rules []authz.Rule
	err   error // the first
}

// add adds r with what all rules of the bundle have in common.
func (b *bundle) add(part string, r authz.Rule) {
	r.Name = b.of.Name + ": " + part
	r.Place, r.Subjects, r.Within, r.Times = b.of.Place, b.of.Subjects, b.of.Within, b.of.Times
	if !r.Deny && (r.Publish || r.Will || r.Receive) {
		r.Size = b.of.Size
	}
	if err := r.Validate(); err != nil && b.err == nil {
		b.err = err
	}
	b.rules = append(b.rules, r)
}

// level checks a value that is one level of topics; key names it in errors.
func (b *bundle) level(key, value string) string {
	b.check(key, value, filters.TopicLevel)
	return value
}

// topic checks a value that is the head of topics.
func (b *bundle) topic(key, value string) string {
	b.check(key, value, topics.ValidName[string])
	return value
}

// check expands a template for somebody whose values are all "x".
func (b *bundle) check(key, value string, valid func(string) bool) {
	err := fmt.Errorf("with.%s: %q cannot be part of a topic", key, value)
	t, parseErr := filters.ParseTemplate(value)
	if parseErr != nil {
		err = fmt.Errorf("with.%s: %w", key, parseErr)
	}
	text, ok := t.Expand(func(string) (string, bool) { return "x", true })
	if (!ok || !valid(text)) && b.err == nil {
		b.err = err
	}
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// at is one topic or Topic Filter of levels.
func at(levels ...string) []authz.Topic {
	return []authz.Topic{{Pattern: strings.Join(levels, "/")}}
}

// everything is the topics or, of a CONNECT, the client identifiers of all.
var everything = []authz.Topic{{Kind: authz.Every}}

func qos(of ...packets.QoS) []packets.QoS { return of }

// flag is a value that a rule holds for.
func flag(value bool) *bool { return &value }
