package jwt

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/mqttward/mqttward/filters"
)

// Scopes says how scopes become permissions, as RabbitMQ has them:
// PREFIX, "read", "write" or "configure", ":", and patterns of a virtual host, an
// exchange and a routing key with "/" between them.
type Scopes struct {
	ResourceServer string // "": scopes are not looked at
	Prefix         string
	Claim          string // path
	VHost          string // the virtual host that this broker stands for
}

// exchange is where RabbitMQ publishes what comes over MQTT.
const exchange = "amq.topic"

// maxScopes bounds the scopes of one token.
const maxScopes = 1000

// permissions are closed: who has no scope may do nothing. A scope that is not
// understood allows nothing, since scopes only allow.
func (s *Scopes) permissions(c claims) (*filters.Permissions, error) {
	p := &filters.Permissions{Closed: true}
	v, given := c.at(s.Claim)
	if !given {
		return p, nil
	}
	scopes, ok := list(v, " ")
	if !ok || len(scopes) > maxScopes {
		return nil, refused("the token's claim %s is no list of at most %d scopes", s.Claim, maxScopes)
	}
	for i, scope := range scopes {
		if one, ok := s.permission(scope, c); ok {
			one.Name = fmt.Sprintf("%s[%d]", s.Claim, i)
			p.Rules = append(p.Rules, one)
		}
	}
	return p, nil
}

// permission has no say about a scope without a routing key: in RabbitMQ such a
// scope is not about topics.
func (s *Scopes) permission(scope string, c claims) (filters.Permission, bool) {
	var none filters.Permission
	action, resource, _ := strings.Cut(strings.TrimPrefix(scope, s.Prefix), ":")
	parts := strings.Split(resource, "/")
	if !strings.HasPrefix(scope, s.Prefix) || len(parts) != 3 || action != "read" && action != "write" {
		return none, false
	}
	for i, name := range []string{s.VHost, exchange} {
		pattern, ok := s.pattern(parts[i], c)
		if !ok || !pattern.matches(name) {
			return none, false
		}
	}
	key, ok := s.pattern(parts[2], c)
	if !ok {
		return none, false
	}
	glob, ok := key.topics()
	if !ok {
		return none, false
	}
	return filters.Permission{Publish: action == "write", Subscribe: action == "read", Globs: []string{glob}}, true
}

// pattern is a text with wildcards between its pieces.
type pattern []piece

// piece is a run of texts; those of claims mean nothing but themselves.
type piece []struct {
	text  string
	claim bool
}

// pattern reads wildcards, percent-encoding and variables.
func (s *Scopes) pattern(source string, c claims) (pattern, bool) {
	var p pattern
	for text := range strings.SplitSeq(source, "*") {
		var run piece
		for text != "" {
			literal, rest, variable := strings.Cut(text, "{")
			decoded, err := url.PathUnescape(literal)
			if err != nil {
				return nil, false
			}
			run = append(run, piece{{text: decoded}}...)
			if !variable {
				break
			}
			name, after, closed := strings.Cut(rest, "}")
			value, ok := s.variable(name, c)
			if !closed || !ok {
				return nil, false
			}
			run = append(run, piece{{text: value, claim: true}}...)
			text = after
		}
		p = append(p, run)
	}
	return p, true
}

// variable is {vhost}, or a claim that is a text. One that could be more than a
// part of one level stands for nothing.
func (s *Scopes) variable(name string, c claims) (string, bool) {
	if name == "vhost" {
		return s.VHost, true
	}
	v, _ := c.at(name)
	value, ok := v.(string)
	return value, ok && filters.TopicLevel(value) && !strings.Contains(value, "*")
}

func (p piece) String() string {
	var b strings.Builder
	for _, part := range p {
		b.WriteString(part.text)
	}
	return b.String()
}

// matches reports whether p is all of name, wildcards being any run of characters.
func (p pattern) matches(name string) bool {
	first, last := p[0].String(), p[len(p)-1].String()
	if len(p) == 1 {
		return name == first
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for _, run := range p[1 : len(p)-1] {
		if _, name, ok = strings.Cut(name, run.String()); !ok {
			return false
		}
	}
	return strings.HasSuffix(name, last)
}

// topics returns the glob of the topics whose routing keys match: "." in a key is
// "/" in a topic. In the value of a claim it stays, so that the value stays in one
// level. What no routing key or no glob can say is not understood.
func (p pattern) topics() (string, bool) {
	runs := make([]string, len(p))
	for i, run := range p {
		for _, part := range run {
			if strings.ContainsAny(part.text, "*/+#\x00") {
				return "", false
			}
			if part.claim {
				runs[i] += part.text
			} else {
				runs[i] += strings.ReplaceAll(part.text, ".", "/")
			}
		}
	}
	glob := strings.Join(runs, "*")
	return glob, glob != ""
}
