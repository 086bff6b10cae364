package learn

import (
	"bytes"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// Replay returns those of acts that rules alone would not allow.
func Replay(rules []Rule, acts []authz.Act) []authz.Act {
	own := make([]authz.Rule, len(rules))
	for i, r := range rules {
		own[i] = r.rule(i)
	}
	policy, err := authz.New(own, authz.Options{})
	if err != nil {
		return acts
	}
	var missing []authz.Act
	for _, a := range acts {
		s := &filters.Session{ClientID: a.ClientID, Listener: a.Listener}
		s.Identity = filters.Identity{Username: a.User, Groups: a.Groups, Tenant: a.Tenant}
		m := authz.Message{Topic: []byte(a.Topic), QoS: a.QoS, Retain: a.Retain, Size: -1}
		if !allowed(policy.View(s), a.Action, m) {
			missing = append(missing, a)
		}
	}
	return missing
}

func allowed(v *authz.View, action string, m authz.Message) bool {
	var d authz.Decision
	switch action {
	case "publish", "will":
		m.Will = action == "will"
		d = v.Publish(time.Time{}, m)
	case "subscribe":
		d = v.Subscribe(time.Time{}, m.Topic, m.QoS)
	case "receive":
		d = v.Receive(time.Time{}, m)
	}
	return d.Allowed
}

func (r Rule) rule(i int) authz.Rule {
	out := authz.Rule{
		Place:    fmt.Sprintf("rules[%d]", i),
		Subjects: authz.Subjects{Users: authz.Globs(r.Users), Groups: authz.Globs(r.Groups), Anonymous: r.Anonymous},
		Topics:   authz.ParseTopics(r.Topics...), Retain: r.Retain,
	}
	for _, action := range r.Allow {
		switch action {
		case "publish":
			out.Publish = true
		case "will":
			out.Will = true
		case "subscribe":
			out.Subscribe = true
		case "receive":
			out.Receive = true
		}
	}
	return out
}

// YAML returns rules as a list for authz.rules or a file of type rules, each with
// what it stands for.
func YAML(rules []Rule) ([]byte, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, r := range rules {
		n := &yaml.Node{}
		if err := n.Encode(r); err != nil {
			return nil, err
		}
		n.HeadComment = fmt.Sprintf("packets: %d, users: %d", r.Packets, r.Clients)
		list.Content = append(list.Content, n)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(list); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}
