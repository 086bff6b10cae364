package aws

import (
	"regexp"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters/authz"
)

// otherTypes are those of resources that no action of MQTT is about.
var otherTypes = strings.Fields("thing thinggroup thingtype job rule cert policy command")

func (p *policy) readResources(s *statement, n node) error {
	each, err := n.strings()
	if err != nil {
		return err
	}
	for _, r := range each {
		if r.text == "*" {
			s.every()
			continue
		}
		// arn:partition:service:region:account:resource
		parts := strings.SplitN(r.text, ":", 6)
		if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "iot" {
			return r.errorf("no resource: %q; wants * or arn:aws:iot:region:account:type/name", r.text)
		}
		if parts[5] == "*" {
			s.every()
			continue
		}
		if err := p.readResource(s, r, parts[5]); err != nil {
			return err
		}
	}
	return nil
}

func (s *statement) every() {
	for _, t := range []string{"client", "topic", "topicfilter"} {
		s.resources[t] = append(s.resources[t], authz.Topic{Kind: authz.Every})
	}
}

// readResource reads type/name. Region and account, of which there is one here, do
// not count.
func (p *policy) readResource(s *statement, n node, text string) error {
	kind, name, _ := strings.Cut(text, "/")
	switch {
	case slices.Contains(otherTypes, kind):
		p.warn(n, "%s is no resource of MQTT: left out", kind)
		return nil
	case kind != "client" && kind != "topic" && kind != "topicfilter":
		return n.errorf("no type of a resource: %q; wants client, topic or topicfilter", kind)
	case name == "":
		return n.errorf("no name of a resource: %q", text)
	}
	pattern, err := template(n, name)
	if err != nil {
		return err
	}
	t := authz.Topic{Pattern: pattern, Kind: authz.Wild}
	if pattern == "*" {
		t = authz.Topic{Kind: authz.Every}
	}
	s.resources[kind] = append(s.resources[kind], t)
	return nil
}

// variables are the policy variables and what they are here ("Basic AWS IoT Core
// policy variables", "X.509 Certificate AWS IoT Core policy variables").
var variables = map[string]string{
	"${iot:ClientId}":                                    "${clientid}",
	"${aws:SourceIp}":                                    "${ip}",
	"${iot:Certificate.Subject.CommonName}":              "${cert.cn}",
	"${iot:Certificate.Subject.AlternativeName.DNSName}": "${cert.san.dns}",
	"${iot:Certificate.Subject.AlternativeName.UniformResourceIdentifier}": "${cert.san.uri}",
	"${iot:Certificate.Subject.AlternativeName.RFC822Name}":                "${cert.san.email}",
	"${$}": "${$}",
}

var variable = regexp.MustCompile(`\$\{[^}]*\}?`)

func template(n node, text string) (string, error) {
	var err error
	text = variable.ReplaceAllStringFunc(text, func(v string) string {
		if variables[v] == "" {
			err = n.errorf("no policy variable here: %s", v)
		}
		return variables[v]
	})
	return text, err
}
