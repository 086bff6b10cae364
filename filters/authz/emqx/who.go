package emqx

import (
	"net/netip"
	"regexp"
	"slices"

	"github.com/mqttward/mqttward/filters/authz"
)

// maxAlternatives bounds what one rule's 'or' within 'and' multiplies to.
const maxAlternatives = 1000

// who reads a condition on clients. It returns alternatives, each of them
// subjects that must all hold.
func (f *file) who(t term) ([][]authz.Subjects, error) {
	if t.is("all") {
		return [][]authz.Subjects{{{}}}, nil
	}
	if t.kind != tuple || len(t.items) < 2 || t.items[0].kind != atom {
		return nil, t.errorf("no condition on clients: wants all, or {username, \"name\"} or the like")
	}
	kind, value := t.items[0], t.items[1]
	switch kind.text {
	case "client_attr", "zone", "security_profile":
		return nil, t.errorf("%s: clients have none here, and a rule without its condition would be another", kind.text)
	}
	if len(t.items) != 2 {
		return nil, t.errorf("%s: wants one value", kind.text)
	}
	switch kind.text {
	case "and", "or":
		return f.combined(kind, value)
	}
	s, err := f.subjects(kind, value)
	return [][]authz.Subjects{{s}}, err
}

// combined reads the conditions in the list of an 'and' or an 'or'.
func (f *file) combined(kind, value term) ([][]authz.Subjects, error) {
	if value.kind != list || len(value.items) == 0 {
		return nil, value.errorf("'%s' wants a list of conditions", kind.text)
	}
	var all [][]authz.Subjects
	for i, item := range value.items {
		one, err := f.who(item)
		if err != nil {
			return nil, err
		}
		if i > 0 && kind.is("and") {
			if one, err = both(kind, all, one); err != nil {
				return nil, err
			}
			all = nil
		}
		all = append(all, one...)
		if len(all) > maxAlternatives {
			return nil, kind.errorf("more than %d alternatives", maxAlternatives)
		}
	}
	return all, nil
}

// both returns what holds if one of a and one of b do.
func both(at term, a, b [][]authz.Subjects) ([][]authz.Subjects, error) {
	if len(a)*len(b) > maxAlternatives {
		return nil, at.errorf("more than %d alternatives", maxAlternatives)
	}
	var all [][]authz.Subjects
	for _, x := range a {
		for _, y := range b {
			all = append(all, slices.Concat(x, y))
		}
	}
	return all, nil
}

func (f *file) subjects(kind, value term) (s authz.Subjects, err error) {
	switch kind.text {
	case "user", "username":
		s.Users, err = names(value)
	case "client", "clientid":
		s.ClientIDs, err = names(value)
	case "listener":
		if value.kind == atom { // as 'tcp:default'
			value.kind = text
		}
		s.Listeners, err = names(value)
		f.warn(kind, "listeners are compared by their names in the configuration here")
	case "ipaddr":
		s.IPs, err = networks([]term{value})
	case "ipaddrs":
		if value.kind != list || len(value.items) == 0 {
			return s, value.errorf("ipaddrs wants a list of networks")
		}
		s.IPs, err = networks(value.items)
	default:
		err = kind.errorf("no condition on clients: %s", kind.text)
	}
	return s, err
}

// names reads "name" or {re, "regular expression"}.
func names(t term) ([]authz.Name, error) {
	if t.kind == text && t.text != "" {
		return []authz.Name{authz.Exactly(t.text)}, nil
	}
	if t.kind != tuple || len(t.items) != 2 || !t.items[0].is("re") || t.items[1].kind != text {
		return nil, t.errorf("no name: wants \"name\" or {re, \"regular expression\"}")
	}
	re, err := regexp.Compile(t.items[1].text)
	if err != nil {
		return nil, t.errorf("%v", err)
	}
	return []authz.Name{authz.Matching(re)}, nil
}

// networks reads addresses and networks, whose bits behind the prefix do not
// count.
func networks(list []term) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(list))
	for _, t := range list {
		if t.kind != text {
			return nil, t.errorf("no network: wants a string")
		}
		if a, err := netip.ParseAddr(t.text); err == nil && a.Zone() == "" {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(t.text)
		if err != nil {
			return nil, t.errorf("no network: %q", t.text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
