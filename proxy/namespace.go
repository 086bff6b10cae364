package proxy

import (
	"errors"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// namespace is which part of the broker's names s has by p.
func (p *Policy) namespace(s *filters.Session) (filters.Namespace, error) {
	if p.Namespace == nil {
		return filters.Namespace{}, nil
	}
	return p.Namespace(s)
}

// stays fails if the session would have other names by p than it has: what the
// broker keeps of it has these.
func (c *conn) stays(p *Policy) error {
	ns, err := p.namespace(&c.sess)
	if err == nil && ns == c.sess.Namespace {
		return nil
	}
	return &ending{end: EndRevoked, code: packets.NotAuthorized, err: errMoved}
}

var errMoved = errors.New("the client has other names at the broker now")

// brokerTopic is the broker's name of a topic of the client.
func (c *conn) brokerTopic(own []byte) string { return c.sess.Namespace.Topics + string(own) }

// prefixes is what p, a PUBLISH of the client, has more with the broker's names, at
// most.
func (c *conn) prefixes(p *packets.Packet) int {
	n := len(c.sess.Namespace.Topics)
	if n == 0 {
		return 0
	}
	if _, ok := p.Props.Lookup(packets.ResponseTopic); ok {
		n += n + 1 // the length of the properties may need a byte more
	}
	return n
}

// ownFilters are the client's names of Topic Filters of the broker.
func (c *conn) ownFilters(list []string) []string {
	own := make([]string, 0, len(list))
	for _, filter := range list {
		if name, inside := c.sess.Namespace.Own(filter); inside {
			own = append(own, name)
		}
	}
	return own
}

// ownNames is the properties of a CONNACK with the client's names. One without the
// prefix is none of the client's and left out.
func (c *conn) ownNames(ps packets.Properties) packets.Properties {
	ps = stripped(ps, packets.AssignedClientIdentifier, c.sess.Namespace.ClientIDs)
	return stripped(ps, packets.ResponseInformation, c.sess.Namespace.Topics)
}

func stripped(ps packets.Properties, id packets.PropertyID, prefix string) packets.Properties {
	if prefix == "" || len(ps) == 0 {
		return ps
	}
	return ps.Map(nil, id, func(v []byte) ([]byte, bool) {
		own, inside := strings.CutPrefix(string(v), prefix)
		return []byte(own), inside && own != ""
	})
}
