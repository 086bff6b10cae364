package rewrite

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Namespaces give every session its part of the broker's names, by who the client
// is. Two clients have the same part only if all values in the templates are the
// same, and parts never overlap: values do not hold what separates them.
type Namespaces struct {
	topics, clientIDs prefix
}

// prefix is a template that ends with a separator. The zero prefix is none.
type prefix struct {
	template  filters.Template
	separator string
}

// unproven are the placeholders that tell nothing of who a client is.
var unproven = []string{"clientid", "ip", "listener"}

// hole stands for a value where a template is looked at without any.
const hole = "\ue000"

// NewNamespaces reads the templates of prefixes, of which "" is none. The errors are
// for each of them.
func NewNamespaces(topicPrefix, clientIDPrefix string) (n *Namespaces, topicErr, clientIDErr error) {
	n = &Namespaces{}
	if topicPrefix != "" {
		n.topics, topicErr = parseTopicPrefix(topicPrefix)
	}
	if clientIDPrefix != "" {
		n.clientIDs, clientIDErr = parseClientIDPrefix(clientIDPrefix)
	}
	return n, topicErr, clientIDErr
}

func parseTopicPrefix(text string) (prefix, error) {
	p, shape, err := parsePrefix(text)
	switch {
	case err != nil:
		return prefix{}, err
	case !strings.HasSuffix(shape, "/"):
		return prefix{}, errors.New(`must end with "/": the tenant a would have the topics of ab`)
	case shape[0] == '$':
		return prefix{}, errors.New("must not begin with $: no wildcard would find what is behind it")
	case !filters.PlainName(shape):
		return prefix{}, errors.New("must be free of +, # and control characters")
	}
	p.separator = "/"
	return p, p.check(shape)
}

func parseClientIDPrefix(text string) (prefix, error) {
	p, shape, err := parsePrefix(text)
	switch {
	case err != nil:
		return prefix{}, err
	case strings.HasSuffix(shape, hole):
		return prefix{}, errors.New(`must end with what separates it from the identifier, such as "-"`)
	case shape[0] == '$':
		return prefix{}, errors.New("must not begin with $")
	case !filters.PlainName(shape) || strings.Contains(shape, "/"):
		return prefix{}, errors.New("must be free of +, #, / and control characters")
	}
	last, _ := utf8.DecodeLastRuneInString(shape)
	p.separator = string(last)
	return p, p.check(shape)
}

// parsePrefix returns also the prefix with a hole for every value.
func parsePrefix(text string) (p prefix, shape string, err error) {
	if p.template, err = filters.ParseTemplate(text); err != nil {
		return prefix{}, "", err
	}
	for _, name := range p.template.Placeholders() {
		for _, no := range unproven {
			if name == no {
				return prefix{}, "", fmt.Errorf("${%s} does not prove who the client is", name)
			}
		}
	}
	if strings.Contains(text, hole) || !utf8.ValidString(text) {
		return prefix{}, "", errors.New("must be text")
	}
	shape, _ = p.template.Expand(func(string) (string, bool) { return hole, true })
	if shape == "" {
		return prefix{}, "", errors.New("must be free of control characters")
	}
	return p, shape, nil
}

// check sees to it that the values can be told from the prefix: with ${a}${b} the
// values x and yz are as good as xy and z.
func (p prefix) check(shape string) error {
	for piece := range strings.SplitSeq(shape, p.separator) {
		if strings.Count(piece, hole) > 1 {
			return fmt.Errorf("must have %q between two placeholders", p.separator)
		}
	}
	return nil
}

// expand returns the prefix of s.
func (p prefix) expand(s *filters.Session) (string, bool) {
	if p.separator == "" {
		return "", true
	}
	return p.template.ExpandTopic(func(name string) (string, bool) {
		value, ok := s.Value(name)
		return value, ok && !strings.Contains(value, p.separator)
	})
}

// Of returns the part of s. The error, for a client that has none, is a
// *packets.Error with the code for it.
func (n *Namespaces) Of(s *filters.Session) (ns filters.Namespace, err error) {
	var ok bool
	if ns.Topics, ok = n.topics.expand(s); !ok {
		return filters.Namespace{}, n.topics.missing("rewrite.topic_prefix")
	}
	if ns.ClientIDs, ok = n.clientIDs.expand(s); !ok {
		return filters.Namespace{}, n.clientIDs.missing("rewrite.client_id_prefix")
	}
	return ns, nil
}

// missing says that a client has no value for a placeholder, or one that would be
// more than a part of the prefix.
func (p prefix) missing(key string) error {
	return &packets.Error{
		Code: packets.NotAuthorized,
		Msg:  fmt.Sprintf("%s: the client has no usable value for ${%s}", key, strings.Join(p.template.Placeholders(), "}, ${")),
	}
}
