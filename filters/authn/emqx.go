package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// maxPermissions bounds the rules of one proof.
const maxPermissions = 1000

// ACLSubject is whom the conditions of a list of permissions are about.
type ACLSubject struct {
	Username, ClientID, Listener string
	RemoteAddr                   netip.Addr
}

// ParseACL reads the permissions of who as EMQX has them in the claim acl of a
// token and in the answer of an HTTP authenticator. There are two forms: an object
// with the topics of pub, sub and all, which is closed; and a list of rules, after
// which the configuration is asked. Whatever is not understood is an error: a rule that
// was left out could be one that denies.
func ParseACL(raw json.RawMessage, who ACLSubject) (*filters.Permissions, error) {
	raw = bytes.TrimSpace(raw)
	if !json.Valid(raw) {
		return nil, errors.New("acl: no JSON")
	}
	if err := Unambiguous(raw); err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	switch {
	case len(raw) > 0 && raw[0] == '{':
		return parseACLObject(raw)
	case len(raw) > 0 && raw[0] == '[':
		return parseACLList(raw, who)
	}
	return nil, errors.New("acl: neither an object nor a list")
}

func parseACLObject(raw json.RawMessage) (*filters.Permissions, error) {
	var lists struct{ Pub, Sub, All []string }
	if err := json.Unmarshal(raw, &lists); err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	p := &filters.Permissions{Closed: true}
	for _, list := range []struct {
		name     string
		topics   []string
		pub, sub bool
	}{{"pub", lists.Pub, true, false}, {"sub", lists.Sub, false, true}, {"all", lists.All, true, true}} {
		// A rule for each, since one that lacks a value is void as a whole.
		for i, topic := range list.topics {
			own, err := aclTopics([]string{topic})
			if err != nil {
				return nil, fmt.Errorf("acl.%s[%d]: %w", list.name, i, err)
			}
			p.Rules = append(p.Rules, filters.Permission{
				Name: fmt.Sprintf("acl.%s[%d]", list.name, i), Publish: list.pub, Subscribe: list.sub, Topics: own,
			})
		}
	}
	return p, checkCount(p)
}

func checkCount(p *filters.Permissions) error {
	if len(p.Rules) > maxPermissions {
		return fmt.Errorf("acl: more than %d rules", maxPermissions)
	}
	return nil
}

// aclRule is a rule of the list form.
type aclRule struct {
	Permission string
	Action     string
	Topic      *string
	Topics     []string
	QoS        json.RawMessage
	Retain     json.RawMessage

	// Conditions, which must all hold.
	ClientIDRE *string `json:"clientid_re"`
	UsernameRE *string `json:"username_re"`
	Listener   *string
	ListenerRE *string `json:"listener_re"`
	IPAddr     *string

	// There are no zones here.
	Zone   json.RawMessage
	ZoneRE json.RawMessage `json:"zone_re"`
}

// appliesTo reports whether the conditions of r hold for who.
func (r aclRule) appliesTo(who ACLSubject) (bool, error) {
	if r.Zone != nil || r.ZoneRE != nil {
		return false, errors.New("names a zone, and there are none here")
	}
	applies := r.Listener == nil || *r.Listener == who.Listener
	for _, c := range []struct {
		pattern *string
		value   string
	}{{r.ClientIDRE, who.ClientID}, {r.UsernameRE, who.Username}, {r.ListenerRE, who.Listener}} {
		if c.pattern == nil {
			continue
		}
		re, err := regexp.Compile(*c.pattern)
		if err != nil {
			return false, err
		}
		holds := re.MatchString(c.value)
		if c.pattern == r.ClientIDRE && who.ClientID == "" {
			holds = r.Permission == "deny" // one that is not known yet will be assigned
		}
		applies = applies && holds
	}
	if r.IPAddr == nil {
		return applies, nil
	}
	network, err := netip.ParsePrefix(*r.IPAddr)
	if addr, single := netip.ParseAddr(*r.IPAddr); single == nil {
		addr = addr.Unmap()
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil || network.Addr().Is4In6() { // it would hold no client
		return false, fmt.Errorf("no network: %q", *r.IPAddr)
	}
	return applies && network.Contains(who.RemoteAddr.Unmap().WithZone("")), nil
}

func parseACLList(raw json.RawMessage, who ACLSubject) (*filters.Permissions, error) {
	var rules []aclRule
	if err := json.Unmarshal(raw, &rules); err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	p := &filters.Permissions{}
	for i, r := range rules {
		permission, err := r.permission()
		if err != nil {
			return nil, fmt.Errorf("acl[%d]: %w", i, err)
		}
		applies, err := r.appliesTo(who)
		if err != nil {
			return nil, fmt.Errorf("acl[%d]: %w", i, err)
		}
		if applies {
			permission.Name = fmt.Sprintf("acl[%d]", i)
			p.Rules = append(p.Rules, permission)
		}
	}
	return p, checkCount(p)
}

func (r aclRule) permission() (p filters.Permission, err error) {
	switch r.Permission {
	case "allow":
	case "deny":
		p.Deny = true
	default:
		return p, fmt.Errorf("no permission: %q", r.Permission)
	}
	switch r.Action {
	case "publish", "pub":
		p.Publish = true
	case "subscribe", "sub":
		p.Subscribe = true
	case "all":
		p.Publish, p.Subscribe = true, true
	default:
		return p, fmt.Errorf("no action: %q", r.Action)
	}
	list := r.Topics
	if r.Topic != nil {
		list = []string{*r.Topic}
	}
	if p.Topics, err = aclTopics(list); err != nil {
		return p, err
	}
	if p.QoS, err = aclQoS(r.QoS); err != nil {
		return p, err
	}
	p.Retain, err = aclRetain(r.Retain)
	return p, err
}

// aclNames are the placeholders of EMQX that have another name here.
var aclNames = strings.NewReplacer("${cert_common_name}", "${cert.cn}", "${client_attrs.", "${claims.client_attrs.")

// aclTopics turns topics of EMQX into those of a Permission: "eq x" is the
// literal x, without placeholders.
func aclTopics(list []string) ([]string, error) {
	if len(list) == 0 {
		return nil, errors.New("no topic")
	}
	own := make([]string, 0, len(list))
	for _, text := range list {
		literal, eq := strings.CutPrefix(text, "eq ")
		switch {
		case eq:
			text = filters.Escape(literal)
			own = append(own, "="+text)
		case strings.HasPrefix(text, "="):
			return nil, fmt.Errorf("not understood: %q", text)
		default:
			text = aclNames.Replace(text)
			own = append(own, text)
		}
		t, err := filters.ParseTemplate(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		sample, ok := t.ExpandTopic(func(string) (string, bool) { return "x", true })
		if !ok || !topics.ValidFilter(sample) {
			return nil, fmt.Errorf("no topic filter: %q", text)
		}
	}
	return own, nil
}

// aclQoS reads 1, "1", "0,1", [0,1] and ["0"]; nothing means any.
func aclQoS(raw json.RawMessage) ([]packets.QoS, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	var all []packets.QoS
	for _, item := range list {
		text := string(item)
		_ = json.Unmarshal(item, &text) // of "1"; 1 is its own text
		for one := range strings.SplitSeq(text, ",") {
			q := slices.Index([]string{"0", "1", "2"}, strings.TrimSpace(one))
			if q < 0 {
				return nil, fmt.Errorf("no QoS: %s", raw)
			}
			all = append(all, packets.QoS(q)) //nolint:gosec // G115: 0 to 2
		}
	}
	if all == nil {
		return nil, errors.New("no QoS: []")
	}
	return all, nil
}

// aclRetain reads true, 1, "true", "1" and their opposites; "all" and nothing mean
// either.
func aclRetain(raw json.RawMessage) (*bool, error) {
	var retain bool
	switch string(raw) {
	case "", "null", `"all"`:
		return nil, nil //nolint:nilnil // nil means either
	case "true", "1", `"true"`, `"1"`:
		retain = true
	case "false", "0", `"false"`, `"0"`:
	default:
		return nil, fmt.Errorf("no retain: %s", raw)
	}
	return &retain, nil
}
