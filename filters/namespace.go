package filters

import (
	"strings"

	"github.com/mqttward/mqttward/packets/topics"
)

// Namespace is the part of the broker's names that a session has for its own. The
// client knows what is in it without the prefixes, and nothing else. The zero
// Namespace is all names.
type Namespace struct {
	Topics    string // begins the Topic Names, and ends with "/"
	ClientIDs string // begins the Client Identifier
}

// Filter returns the broker's form of a Topic Filter, or Topic Name, of the client.
func (n Namespace) Filter(own string) string {
	if n.Topics == "" {
		return own
	}
	_, inner, _ := topics.Share(own)
	return own[:len(own)-len(inner)] + n.Topics + inner
}

// Own returns the client's form of a Topic Filter, or Topic Name, of the broker,
// and reports whether it is in the namespace.
func (n Namespace) Own(filter string) (string, bool) {
	_, inner, _ := topics.Share(filter)
	own, inside := strings.CutPrefix(inner, n.Topics)
	return filter[:len(filter)-len(inner)] + own, inside
}

// BrokerID is the Client Identifier that the broker knows the session by.
func (s *Session) BrokerID() string { return s.Namespace.ClientIDs + s.ClientID }

// Namer is an opened filter that gives each PUBLISH of the client another Topic
// Name. What Name returns is valid until the next call.
type Namer interface {
	Name(s *Session, topic []byte) []byte
}

// named returns the Topic Name that the filters judge a PUBLISH to topic by.
func (c Chain) named(s *Session, topic []byte) []byte {
	for _, f := range c {
		if n, ok := f.(Namer); ok {
			topic = n.Name(s, topic)
		}
	}
	return topic
}
