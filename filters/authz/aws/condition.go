package aws

import (
	"net/netip"
	"strings"

	"github.com/mqttward/mqttward/filters/authz"
)

// conditions are what a statement asks beside its actions and resources.
type conditions struct {
	within, without []authz.Subjects
	attempts        []attempt // the kinds of CONNECT; nil: nothing is said of them
}

// attempt is a kind of CONNECT; nil: either.
type attempt struct{ will, persistent *bool }

// readConditions reads operators, each an object of keys with their values, all of
// which must hold ("IAM JSON policy elements: Condition"). All that it does not
// know are refused.
func readConditions(n node) (conditions, error) {
	var c conditions
	if n.kind != object || len(n.fields) == 0 {
		return c, n.errorf("no Condition: wants an object")
	}
	for _, operator := range n.fields {
		if operator.value.kind != object || len(operator.value.fields) == 0 {
			return c, operator.errorf("%s wants an object", operator.key)
		}
		for _, key := range operator.value.fields {
			values, err := key.value.strings()
			if key.value.kind == list && len(key.value.items) == 0 && strings.EqualFold(key.key, "iot:ConnectAttributes") {
				err = nil // a plain CONNECT has no attributes
			}
			if err != nil {
				return c, err
			}
			if err := c.add(operator.key, key, values); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func (c *conditions) add(operator string, key field, values []node) error {
	switch {
	case strings.EqualFold(key.key, "aws:SourceIp") && (operator == "IpAddress" || operator == "NotIpAddress"):
		ips, err := networks(values)
		if operator == "IpAddress" {
			c.within = append(c.within, authz.Subjects{IPs: ips})
		} else {
			c.without = append(c.without, authz.Subjects{IPs: ips})
		}
		return err
	case strings.EqualFold(key.key, "iot:ConnectAttributes") && sets[operator] != nil:
		return c.connectAttributes(sets[operator], key, values)
	}
	return key.errorf("no condition here: %s of %s", operator, key.key)
}

func networks(values []node) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(values))
	for _, v := range values {
		p, err := netip.ParsePrefix(v.text)
		if a, failed := netip.ParseAddr(v.text); failed == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, v.errorf("no network: %q", v.text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// sets are the operators on attributes, of which a CONNECT has those in had and the
// condition names others ("Connect policy examples", "Using connectAttributes").
var sets = map[string]func(had, named []string) bool{
	"ForAllValues:StringEquals":    func(had, named []string) bool { return shared(had, named) == len(had) },
	"ForAllValues:StringNotEquals": func(had, named []string) bool { return shared(had, named) == 0 },
	"ForAnyValue:StringEquals":     func(had, named []string) bool { return shared(had, named) > 0 },
}

// shared counts what of a is in b.
func shared(a, b []string) int {
	n := 0
	for _, x := range a {
		for _, y := range b {
			if x == y {
				n++
				break
			}
		}
	}
	return n
}

// connectAttributes tries the condition with every kind of CONNECT.
func (c *conditions) connectAttributes(holds func(had, named []string) bool, key field, values []node) error {
	if c.attempts != nil {
		return key.errorf("iot:ConnectAttributes may come once")
	}
	named := make([]string, len(values))
	for i, v := range values {
		if v.text != "LastWill" && v.text != "PersistentConnect" {
			return v.errorf("no attribute of a connection: %q; wants LastWill or PersistentConnect", v.text)
		}
		named[i] = v.text
	}
	c.attempts = []attempt{}
	for _, will := range []bool{false, true} {
		for _, persistent := range []bool{false, true} {
			var had []string
			if will {
				had = append(had, "LastWill")
			}
			if persistent {
				had = append(had, "PersistentConnect")
			}
			if holds(had, named) {
				c.attempts = append(c.attempts, attempt{&will, &persistent})
			}
		}
	}
	return nil
}
