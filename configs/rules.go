package configs

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"unicode"
)

// LoadRules reads the file at path, a YAML list of rules as they stand in
// authz.rules, by the names of the configuration. The error is an Errors.
func (c *Config) LoadRules(path string) ([]Rule, error) {
	l := newLoader(path)
	l.cfg.file = filepath.Base(path)
	l.cfg.places[""] = place{source: l.cfg.file}
	data := l.readFile(path)
	var rules []Rule
	if root := l.document(data); root != nil && len(l.errs) == 0 {
		l.value("rules", root, reflect.ValueOf(&rules).Elem(), "")
	}
	var listeners []string
	for _, s := range c.Listeners {
		listeners = append(listeners, s.Name)
	}
	l.rules("rules", rules, listeners)
	if len(l.errs) > 0 {
		l.errs.Sort()
		return nil, l.errs
	}
	for i := range rules {
		at := item("rules", i)
		rules[i].Place = Place{Path: l.cfg.file + ": " + at, Line: l.cfg.At(at)}
	}
	return rules, nil
}

func (l *loader) authz(listeners []string) {
	a := &l.cfg.Authz
	for i := range a.Files {
		path, f := item("authz.files", i), &a.Files[i]
		if f.Type == "" {
			l.missing(key(path, "type"), "is required")
		}
		if f.Path == "" {
			l.missing(key(path, "path"), "is required")
		}
		l.subjects(path, &f.Subjects, listeners)
	}
	l.rules("authz.rules", a.Rules, listeners)
}

// rules checks the rules in the list at path.
func (l *loader) rules(list string, rules []Rule, listeners []string) {
	for i := range rules {
		path, r := item(list, i), &rules[i]
		if strings.ContainsFunc(r.Name, unicode.IsControl) {
			l.fail(key(path, "name"), "holds a control character")
		}
		l.subjects(path, &r.Subjects, listeners)
		for name, entries := range map[string]int{
			"allow": entriesOf(r.Allow), "deny": entriesOf(r.Deny), "topics": entriesOf(r.Topics), "qos": entriesOf(r.QoS), "times": entriesOf(r.Times),
		} {
			if entries == 0 {
				l.emptyList(key(path, name))
			}
		}
		if r.Role != "" || l.unsure(key(path, "role")) {
			l.role(path, r)
			continue
		}
		l.roleless(path, r)
		switch {
		case r.Allow != nil && r.Deny != nil:
			l.fail(path, "has both allow and deny: write two rules")
		case r.Allow == nil && r.Deny == nil && !l.unsure(key(path, "deny")):
			l.missing(key(path, "allow"), "is required, or deny is: the actions publish, will, subscribe, receive; or role")
		}
		if r.Topics == nil {
			l.missing(key(path, "topics"), "is required; [\"#\"] is all topics")
		}
	}
}

// entriesOf is -1 for a list that was left out.
func entriesOf[T any](list []T) int {
	if list == nil {
		return -1
	}
	return len(list)
}

func (l *loader) subjects(path string, s *Subjects, listeners []string) {
	for name, entries := range map[string]int{
		"users": entriesOf(s.Users), "client_ids": entriesOf(s.ClientIDs), "groups": entriesOf(s.Groups), "tenants": entriesOf(s.Tenants),
		"ips": entriesOf(s.IPs), "listeners": entriesOf(s.Listeners), "certs": entriesOf(s.Certs),
	} {
		if entries == 0 {
			l.emptyList(key(path, name))
		}
	}
	for i, name := range s.Listeners {
		if !strings.Contains(name, "*") {
			l.refer(item(key(path, "listeners"), i), "listener", name, listeners)
		}
	}
}

// emptyList refuses a list without entries. No subjects would mean everybody, which
// is the opposite of what an empty list says.
func (l *loader) emptyList(path string) {
	l.fail(path, "is an empty list: remove the key, or the rule")
}

// String names the file for messages.
func (f RuleFile) String() string { return fmt.Sprintf("%s %s", f.Type, filepath.Base(f.Path)) }
