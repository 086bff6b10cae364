// Package authz decides what a client may do: an ordered list of rules, of
// which the first that matches decides. If none matches, the answer is no.
//
// The rules that can apply to a client at all are chosen, and their
// placeholders filled in, once per session; what is left per packet is a walk
// over few topic patterns. A Policy judges what clients send: PUBLISH,
// SUBSCRIBE and the Will in CONNECT. Its Deliveries judge the messages that a
// broker sends: a subscription may be wider than what is delivered for it.
//
// It fails closed: names and networks that no client could have are refused
// when rules are compiled, a placeholder without a safe value makes a rule that
// allows not match and one that denies wider, and no rules deny everything.
package authz

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/packets"
)

// Rule allows or denies actions on topics to the clients that it names. All
// kinds of subject that are given must hold; none given means everybody.
type Rule struct {
	Name  string // for logs; may be empty
	Place string // where the rule stands, such as "authz.rules[2] (line 41)"

	Users     []string // "*" in a value stands for any run of characters
	ClientIDs []string
	Groups    []string // the client is in one of them
	Listeners []string
	Certs     []string // the certificate's common name, or its whole SHA-256 fingerprint
	IPs       []netip.Prefix

	Deny      bool // instead of allow
	Publish   bool
	Subscribe bool
	Receive   bool // is delivered; a rule with Subscribe speaks of this too, without it

	Globs  []string      // topics in which "*" stands for any run of characters, "/" too; not to deny
	Topics []string      // MQTT filters with ${placeholders}; "=x" is the literal topic or filter x; "$share/g/x" is x for group g only
	QoS    []packets.QoS // of a message or a subscription; of a delivery only with Receive, see compileReceive
	Retain *bool         // PUBLISH only
}

// Policy is a compiled list of rules. It does not change.
type Policy struct {
	rules    []rule
	retained *Retained // nil: nobody remembers
}

// rule is a Rule ready to be applied.
type rule struct {
	Rule
	label  string // names the rule in decisions
	topics []pattern
	fixed  []topic // topics, if they are the same for everybody
	groups bool    // topics name ${group}
	qos    [3]bool

	receives [3]bool // the QoS of the deliveries that the rule speaks of
}

// Validate returns what is wrong with the rule.
func (r Rule) Validate() error {
	_, err := compile(r)
	return err
}

// New compiles rules. The error names the place of the first rule that is
// wrong.
func New(rules []Rule) (*Policy, error) {
	p := &Policy{rules: make([]rule, 0, len(rules))}
	for _, r := range rules {
		c, err := compile(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Place, err)
		}
		p.rules = append(p.rules, c)
	}
	return p, nil
}

func compile(r Rule) (rule, error) {
	c := rule{Rule: r, label: r.Place}
	if r.Name != "" {
		c.label = r.Name + ", " + r.Place
	}
	switch {
	case !r.Publish && !r.Subscribe && !r.Receive:
		return c, errors.New("no action")
	case len(r.Topics) == 0 && len(r.Globs) == 0:
		return c, errors.New("no topics")
	}
	if err := c.checkSubjects(); err != nil {
		return c, err
	}
	if err := c.compileQoS(); err != nil {
		return c, err
	}
	c.compileReceive()
	err := c.compileTopics()
	return c, err
}

// checkSubjects refuses what would never match: a deny rule that is silently
// void lets everybody through.
func (r *rule) checkSubjects() error {
	for _, list := range [][]string{r.Users, r.ClientIDs, r.Groups, r.Listeners, r.Certs} {
		if slices.Contains(list, "") {
			return errors.New("an empty name is nobody's")
		}
	}
	for _, p := range r.IPs {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("no network: %s", p)
		}
	}
	r.Certs = slices.Clone(r.Certs)
	for i, text := range r.Certs {
		r.Certs[i] = plainFingerprint(text)
	}
	return nil
}

// plainFingerprint returns a fingerprint that was written with colons or in
// capitals, as OpenSSL prints it, in the form that is compared, and any other
// text as it is.
func plainFingerprint(text string) string {
	plain := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	if b, err := hex.DecodeString(plain); err == nil && len(b) == sha256.Size {
		return plain
	}
	return text
}

func (r *rule) compileQoS() error {
	if len(r.QoS) == 0 {
		r.qos = [3]bool{true, true, true}
	}
	for _, q := range r.QoS {
		if q > 2 {
			return fmt.Errorf("no such QoS: %d", q)
		}
		r.qos[q] = true
	}
	return nil
}

// compileReceive tells which deliveries the rule speaks of. The QoS of a rule
// about subscriptions says nothing of messages, which arrive with that QoS or
// a lower one: it allows them all, and denies none.
func (r *rule) compileReceive() {
	every := [3]bool{true, true, true}
	switch {
	case r.Receive:
		r.receives = r.qos
	case r.Subscribe && (!r.Deny || r.qos == every):
		r.receives = every
	}
}
