package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // for time zones where the system has none

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/aws"
	"github.com/mqttward/mqttward/filters/authz/emqx"
	"github.com/mqttward/mqttward/filters/authz/mosquitto"
	"github.com/mqttward/mqttward/packets"
)

// ruleFormats reads the files of rules of other products, by their types. name is
// what the places of rules begin with.
var ruleFormats = map[string]func(data []byte, name string) (rules []authz.Rule, warnings []string, err error){
	configs.RulesACL:    mosquitto.ParseACL,
	configs.RulesDynsec: mosquitto.ParseDynsec,
	configs.RulesEMQX:   emqx.ParseACL,
	configs.RulesAWS:    aws.ParsePolicy,
}

// buildAuthz makes the policy of the rules in the configuration and behind them
// those in its files.
func (b *builder) buildAuthz() {
	c := &b.config.Authz
	zone := b.timeZone(c.TimeZone)
	rules := b.ownRules("authz.rules", c.Rules, zone)
	for i, f := range c.Files {
		path := fmt.Sprintf("authz.files[%d]", i)
		if f.Path == "" || b.errs.Knows(path+".path") {
			continue
		}
		rules = append(rules, b.fileRules(path, f, zone)...)
	}
	o := authz.Options{FilterDeliveries: c.Subscribe == configs.SubscribeFilter, Narrow: c.Subscribe == configs.SubscribeNarrow, Monitor: c.Mode == configs.ModeMonitor}
	policy, err := authz.New(rules, o)
	if err != nil {
		b.fail("authz", err)
		return
	}
	for _, weakness := range append(policy.Weaknesses(), b.withoutCertificates(rules)...) {
		b.warnings = append(b.warnings, b.config.Errorf("authz", "%s", weakness).Error())
	}
	b.authz = policy.With(b.shared.retained)
	if o.Monitor {
		b.authz = b.authz.Recording(b.shared.recorder)
	}
	if b.last != nil {
		b.authz.Inherit(b.last.authz)
	}
}

// withoutCertificates tells of rules about certificates where no listener asks for
// any.
func (b *builder) withoutCertificates(rules []authz.Rule) (weaknesses []string) {
	asks := func(l configs.Listener) bool { return l.TLS != nil && l.TLS.ClientAuth != configs.ClientAuthNone }
	if slices.ContainsFunc(b.config.Listeners, asks) {
		return nil
	}
	wants := func(t authz.Topic) bool { return strings.Contains(t.Pattern, "${cert.") }
	for _, r := range rules {
		if len(r.Certs) > 0 || !r.Deny && slices.ContainsFunc(r.Topics, wants) {
			weaknesses = append(weaknesses, r.Place+": never matches: no listener asks for certificates (tls.client_auth)")
		}
	}
	return weaknesses
}

func (b *builder) timeZone(name string) *time.Location {
	if name == "" {
		return time.Local
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		b.fail("authz.time_zone", fmt.Errorf("no time zone: %q; it is written as Europe/Berlin", name))
		return time.UTC
	}
	return zone
}

// ownRules turns the rules in the list at path into those of the engine. What is
// wrong is noted.
func (b *builder) ownRules(path string, list []configs.Rule, zone *time.Location) []authz.Rule {
	rules := make([]authz.Rule, 0, len(list))
	for i, r := range list {
		made, err := rulesOf(r, zone)
		if err != nil {
			b.fail(fmt.Sprintf("%s[%d]", path, i), err)
			continue
		}
		rules = append(rules, made...)
	}
	return rules
}

// fileRules reads the file of rules that the entry at path names. Its clients
// are those of the entry.
func (b *builder) fileRules(path string, f configs.RuleFile, zone *time.Location) []authz.Rule {
	var rules []authz.Rule
	var err error
	if f.Type == configs.RulesOwn {
		rules, err = b.ruleList(f.Path, zone)
	} else {
		rules, err = b.foreignRules(path, f)
	}
	if err != nil {
		b.fail(path+".path", err)
		return nil
	}
	if within := subjectsOf(f.Subjects); !f.Everybody() {
		for i := range rules {
			rules[i].Within = append(rules[i].Within, within)
		}
	}
	return rules
}

// ruleList reads a list of rules as those of the configuration.
func (b *builder) ruleList(file string, zone *time.Location) ([]authz.Rule, error) {
	list, err := b.config.LoadRules(file)
	if err != nil {
		return nil, err
	}
	rules := make([]authz.Rule, 0, len(list))
	for _, r := range list {
		made, err := rulesOf(r, zone)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Place, err)
		}
		rules = append(rules, made...)
	}
	return rules, nil
}

// maxRuleFile bounds a file of rules, in bytes.
const maxRuleFile = 64 << 20

func (b *builder) foreignRules(path string, f configs.RuleFile) ([]authz.Rule, error) {
	parse, known := ruleFormats[f.Type]
	if !known {
		return nil, nil // an error already
	}
	name := filepath.Base(f.Path)
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxRuleFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRuleFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", name, maxRuleFile>>20)
	}
	rules, warnings, err := parse(data, name)
	for _, w := range warnings {
		b.warnings = append(b.warnings, b.config.Errorf(path+".path", "%s: %s", name, w).Error())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rules, nil
}

func ruleOf(r configs.Rule, zone *time.Location) (authz.Rule, error) {
	rule := authz.Rule{
		Name: r.Name, Place: r.Place.String(),
		Subjects: subjectsOf(r.Subjects),
		Deny:     r.Deny != nil, Topics: authz.ParseTopics(r.Topics...), Retain: r.Retain, Size: int(r.MaxPayload),
	}
	for _, action := range append(r.Allow, r.Deny...) { // one of them is nil
		switch action {
		case configs.ActionPublish:
			rule.Publish = true
		case configs.ActionWill:
			rule.Will = true
		case configs.ActionSubscribe:
			rule.Subscribe = true
		case configs.ActionReceive:
			rule.Receive = true
		}
	}
	for _, q := range r.QoS {
		rule.QoS = append(rule.QoS, packets.QoS(q)) //nolint:gosec // G115: 0 to 2
	}
	for _, text := range r.Times {
		w, err := authz.ParseWindow(text, zone)
		if err != nil {
			return rule, err
		}
		rule.Times = append(rule.Times, w)
	}
	return rule, nil
}

func subjectsOf(s configs.Subjects) authz.Subjects {
	return authz.Subjects{
		Users: authz.Globs(s.Users), Anonymous: s.Anonymous, ClientIDs: authz.Globs(s.ClientIDs), Groups: authz.Globs(s.Groups), Tenants: authz.Globs(s.Tenants),
		Listeners: authz.Globs(s.Listeners), Certs: authz.Globs(s.Certs), IPs: s.IPs,
	}
}
