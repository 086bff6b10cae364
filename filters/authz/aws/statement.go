package aws

import (
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// The actions of MQTT, in lower case: IAM compares them so ("IAM JSON policy
// elements: Action").
const (
	connect       = "iot:connect"
	publish       = "iot:publish"
	retainPublish = "iot:retainpublish"
	subscribe     = "iot:subscribe"
	receive       = "iot:receive"
)

// resourceOf is the type of the resources of each action ("AWS IoT Core action
// resources").
var resourceOf = map[string]string{
	connect: "client", publish: "topic", retainPublish: "topic", subscribe: "topicfilter", receive: "topic",
}

// otherActions are those of "AWS IoT Core policy actions" that no packet of MQTT
// is judged by.
var otherActions = strings.Fields(`iot:deleteconnection iot:getretainedmessage iot:listretainedmessages
	iot:deletethingshadow iot:getthingshadow iot:listnamedshadowsforthing iot:updatethingshadow
	iot:describejobexecution iot:getpendingjobexecutions iot:startnextpendingjobexecution iot:updatejobexecution
	iot:assumerolewithcertificate iot:createprovisioningclaim iot:registerthing iot:sendcommand iot:directmessage
	iot:createcertificatefromcsr iot:createkeysandcertificate`)

type statement struct {
	line      int
	deny      bool
	actions   map[string]bool
	resources map[string][]authz.Topic // by type
	conditions
}

func (p *policy) statement(n node) (statement, error) {
	s := statement{line: n.line, actions: make(map[string]bool), resources: make(map[string][]authz.Topic)}
	if n.kind != object {
		return s, n.errorf("no statement: wants an object")
	}
	effect := ""
	for _, f := range n.fields {
		var err error
		switch f.key {
		case "Sid":
		case "Effect":
			effect = f.value.text
			s.deny = effect == "Deny"
		case "Action":
			err = p.readActions(&s, f.value)
		case "Resource":
			err = p.readResources(&s, f.value)
		case "Condition":
			s.conditions, err = readConditions(f.value)
		default:
			err = f.errorf("no element of a statement here: %q", f.key)
		}
		if err != nil {
			return s, err
		}
	}
	err := p.check(n, effect, &s)
	return s, err
}

func (p *policy) check(n node, effect string, s *statement) error {
	has := func(key string) bool {
		return slices.ContainsFunc(n.fields, func(f field) bool { return f.key == key })
	}
	switch {
	case effect != "Allow" && effect != "Deny":
		return n.errorf("Effect: wants Allow or Deny")
	case !has("Action"):
		return n.errorf("no Action")
	case !has("Resource"):
		return n.errorf("no Resource")
	case s.attempts != nil && (len(s.actions) != 1 || !s.actions[connect]):
		return n.errorf("iot:ConnectAttributes is of iot:Connect only: write two statements")
	}
	rules := s.rules(p.place(s.line))
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			return n.errorf("%v", err)
		}
	}
	if len(rules) == 0 && !s.actions[retainPublish] {
		p.warn(n, "the statement is about nothing: its resources are not those of its actions")
	}
	return nil
}

func (p *policy) readActions(s *statement, n node) error {
	each, err := n.strings()
	for _, a := range each {
		pattern, found := strings.ToLower(a.text), false
		for action := range resourceOf {
			if matches(pattern, action) {
				s.actions[action], found = true, true
			}
		}
		switch {
		case found:
		case slices.ContainsFunc(otherActions, func(other string) bool { return matches(pattern, other) }):
			p.warn(a, "%s is no action of MQTT: left out", a.text)
		default:
			return a.errorf("no action of AWS IoT Core: %q", a.text)
		}
	}
	return err
}

// matches reports whether an action is one that pattern, with "*" and "?", names.
func matches(pattern, action string) bool {
	if !strings.Contains(pattern, "?") {
		return filters.Glob(pattern, action)
	}
	if len(pattern) != len(action) || strings.Contains(pattern, "*") {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != action[i] {
			return false
		}
	}
	return true
}

// rule begins a rule of the statement. One that denies and lacks a value for a
// variable is made wider, where AWS leaves it without effect.
func (s *statement) rule(place string) authz.Rule {
	return authz.Rule{
		Place: place, Deny: s.deny, Exact: true, Widen: s.deny,
		Within: slices.Clone(s.within), Without: slices.Clone(s.without),
	}
}

// rules returns the rules for each action; those that allow retained messages need
// another statement, too.
func (s *statement) rules(place string) []authz.Rule {
	var rules []authz.Rule
	add := func(action string, set func(*authz.Rule)) {
		r := s.rule(place)
		if r.Topics = slices.Clone(s.resources[resourceOf[action]]); s.actions[action] && len(r.Topics) > 0 {
			set(&r)
			rules = append(rules, r)
		}
	}
	add(publish, func(r *authz.Rule) {
		if r.Publish = true; !s.deny {
			r.Retain = new(bool)
		}
	})
	if retain := true; s.deny {
		add(retainPublish, func(r *authz.Rule) { r.Publish, r.Retain = true, &retain })
	}
	add(subscribe, func(r *authz.Rule) { r.Subscribe = true })
	add(receive, func(r *authz.Rule) { r.Receive = true })
	for _, a := range s.connects() {
		add(connect, func(r *authz.Rule) { r.Connect, r.Wills, r.Persistent = true, a.will, a.persistent })
	}
	return rules
}

// connects returns the kinds of CONNECT that the statement is about. One without a
// condition allows no Will ("Retained message policy examples": the Connect
// permission needs the condition).
func (s *statement) connects() []attempt {
	switch {
	case s.attempts != nil:
		return s.attempts
	case s.deny:
		return []attempt{{}}
	}
	return []attempt{{will: new(bool)}}
}
