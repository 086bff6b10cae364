package app

import (
	"fmt"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
)

func (b *builder) buildAuthz() {
	rules := make([]authz.Rule, 0, len(b.config.Authz.Rules))
	for i, r := range b.config.Authz.Rules {
		rule := ruleOf(r)
		if err := rule.Validate(); err != nil {
			b.fail(fmt.Sprintf("authz.rules[%d]", i), err)
			continue
		}
		rules = append(rules, rule)
	}
	policy, err := authz.New(rules, authz.Options{})
	if err != nil {
		b.fail("authz.rules", err)
	}
	if policy != nil {
		b.authz = policy.With(b.shared.retained)
	}
}

func ruleOf(r configs.Rule) authz.Rule {
	rule := authz.Rule{
		Name: r.Name, Place: r.Place.String(),
		Subjects: authz.Subjects{
			Users: authz.Globs(r.Users), ClientIDs: authz.Globs(r.ClientIDs), Groups: authz.Globs(r.Groups),
			Listeners: authz.Globs(r.Listeners), Certs: authz.Globs(r.Certs), IPs: r.IPs,
		},
		Deny: r.Deny != nil, Topics: authz.ParseTopics(r.Topics...), Retain: r.Retain,
	}
	for _, action := range append(r.Allow, r.Deny...) { // one of them is nil
		switch action {
		case configs.ActionPublish:
			rule.Publish = true
		case configs.ActionSubscribe:
			rule.Subscribe = true
		case configs.ActionReceive:
			rule.Receive = true
		}
	}
	for _, q := range r.QoS {
		rule.QoS = append(rule.QoS, packets.QoS(q)) //nolint:gosec // G115: 0 to 2
	}
	return rule
}
