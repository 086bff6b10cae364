package configs

import (
	"reflect"
	"slices"
	"strings"
)

// RoleValues are what a role is about. The tags are as those of Method, for
// roles. All may have ${placeholders}; they are not checked here.
type RoleValues struct {
	Group     string `yaml:"group" for:"sparkplug_edge sparkplug_host" needs:"sparkplug_edge"`
	Edge      string `yaml:"edge" for:"sparkplug_edge" needs:"sparkplug_edge"`
	Host      string `yaml:"host" for:"sparkplug_edge sparkplug_host" needs:"sparkplug_host"`
	Requests  string `yaml:"requests" for:"requester responder" needs:"requester responder"`
	Responses string `yaml:"responses" for:"requester responder"` // "": responses
	Prefix    string `yaml:"prefix" for:"tenant"`                 // "": ${tenant}
}

// role checks a rule that is a role: what else it says of topics, and whether it
// has the values that the role needs, and no others.
func (l *loader) role(path string, r *Rule) {
	for _, beside := range []struct {
		name  string
		given bool
	}{{"allow", r.Allow != nil}, {"deny", r.Deny != nil}, {"topics", r.Topics != nil}, {"qos", r.QoS != nil}, {"retain", r.Retain != nil}} {
		if beside.given {
			l.fail(key(path, beside.name), "stands beside role, which says all about topics: write a rule of its own")
		}
	}
	with := key(path, "with")
	if r.Role == "" || l.failed(with) {
		return
	}
	v := reflect.ValueOf(r.With)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		at := key(with, tag.Get("yaml"))
		switch {
		case v.Field(i).IsZero() && slices.Contains(strings.Fields(tag.Get("needs")), r.Role):
			l.missing(at, "is required for role %s", r.Role)
		case !v.Field(i).IsZero() && !uses(tag, r.Role):
			l.fail(at, "belongs to role %s, not %s", either(strings.Fields(tag.Get("for"))), r.Role)
		}
	}
}

// roleless refuses values without a role.
func (l *loader) roleless(path string, r *Rule) {
	if r.With != (RoleValues{}) {
		l.fail(key(path, "with"), "has no effect without role")
	}
}
