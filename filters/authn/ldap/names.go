package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/filters"
)

// An assertion says which value an attribute of a user's entry has. In value, the
// place of the user name is NUL, which no user name has.
type assertion struct{ attribute, value string }

const place = "\x00"

func (a assertion) holds(e *ldap.Entry, username string) bool {
	return slices.Contains(e.GetEqualFoldAttributeValues(a.attribute), strings.ReplaceAll(a.value, place, username))
}

// dn and filter are of a name that is possible. The name is escaped, so that it
// stays one value whatever it holds.
func (o *Options) dn(username string) string {
	return expand(o.UserDN, ldap.EscapeDN(username))
}

func (o *Options) filter(username string) string {
	return expand(o.UserFilter, ldap.EscapeFilter(username))
}

// expand returns "" for a template that is none of ${username} alone.
func expand(t filters.Template, escaped string) string {
	text, _ := t.Expand(func(name string) (string, bool) { return escaped, name == "username" })
	return text
}

// assertions reads from the template what the entry of a user must have. The
// directory itself compares loosely: without regard to case, and to spaces.
func (o *Options) assertions() (found []assertion, err error) {
	key, example := "user_dn", "uid=${username},ou=people,dc=example,dc=org"
	if o.searches() {
		key, example = "user_filter", "(uid=${username})"
		var filter *ber.Packet
		if filter, err = ldap.CompileFilter(o.filter(place)); err == nil {
			found = equalities(filter)
		}
	} else {
		var dn *ldap.DN
		if dn, err = ldap.ParseDN(o.dn(place)); err == nil {
			found = ownValues(dn)
		}
	}
	if err != nil || len(found) == 0 {
		return nil, errors.New(key + ": wants an attribute that equals ${username}, as in " + example)
	}
	return found, nil
}

// equalities returns the equality matches with the user name in a filter that an
// entry can match by.
func equalities(filter *ber.Packet) (found []assertion) {
	switch filter.Tag {
	case ldap.FilterAnd, ldap.FilterOr:
		for _, f := range filter.Children {
			found = append(found, equalities(f)...)
		}
	case ldap.FilterEqualityMatch:
		a := assertion{filter.Children[0].Data.String(), filter.Children[1].Data.String()}
		if strings.Contains(a.value, place) {
			found = append(found, a)
		}
	}
	return found
}

// ownValues returns those with the user name in the entry's own name. The values
// in the names of its parents are none of its attributes.
func ownValues(dn *ldap.DN) (found []assertion) {
	for _, rdn := range dn.RDNs[:min(1, len(dn.RDNs))] {
		for _, a := range rdn.Attributes {
			if strings.Contains(a.Value, place) {
				found = append(found, assertion{a.Type, a.Value})
			}
		}
	}
	return found
}

// attributes are those of an entry that are asked for.
func (a *Authenticator) attributes() []string {
	var names []string
	for _, n := range a.names {
		names = append(names, n.attribute)
	}
	if a.options.GroupAttribute != "" {
		names = append(names, a.options.GroupAttribute)
	}
	return names
}

// maxGroups is the most that a user may be in.
const maxGroups = 100

// groups returns the groups in an entry. A group that is given by its DN goes by
// the common name in it.
func (a *Authenticator) groups(e *ldap.Entry) ([]string, error) {
	name := a.options.GroupAttribute
	if name == "" {
		return nil, nil
	}
	values := e.GetEqualFoldAttributeValues(name)
	// Active Directory gives a part of many values under a name of its own.
	ranged := slices.ContainsFunc(e.Attributes, func(a *ldap.EntryAttribute) bool {
		return strings.HasPrefix(strings.ToLower(a.Name), strings.ToLower(name)+";range=")
	})
	if len(values) > maxGroups || ranged {
		// To leave some out could be to leave out the one that a rule denies.
		return nil, fmt.Errorf("the user is in more than %d groups", maxGroups)
	}
	groups := make([]string, 0, len(values))
	for _, v := range values {
		groups = append(groups, groupName(v))
	}
	return groups, nil
}

func groupName(value string) string {
	dn, err := ldap.ParseDN(value)
	if err != nil || len(dn.RDNs) == 0 {
		return value
	}
	for _, a := range dn.RDNs[0].Attributes {
		if strings.EqualFold(a.Type, "cn") {
			return a.Value
		}
	}
	return value
}
