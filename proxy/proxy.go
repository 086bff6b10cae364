// Package proxy carries MQTT between clients and the broker: listeners, TLS,
// the handshakes, the life of a session and its two pumps.
//
// It moves packets and obeys verdicts; what is allowed is decided by the
// Policy that it is given: who may connect, who a client is, what a packet may
// do. It keeps no queue: a slow side becomes back-pressure on the other. It
// fails closed: no broker is dialled before a client has proved who it is, and
// a panic ends one session and nothing else.
package proxy

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy/backend"
)

// Policy is everything about a listener that a reload can change. It does not
// change itself: a reload makes a new one. Running sessions are judged by the
// filters of the new one from their next packet on, and what they are subscribed to
// at once; limits of time and size hold as they were when the connection came.
type Policy struct {
	Listener  string     // the listener's configured name
	TLS       *TLS       // nil: plaintext
	WebSocket *WebSocket // nil: MQTT is right on the connection
	Admit     Admit
	Authn     Authenticator
	Up        filters.Chain // client to broker
	Down      filters.Chain // broker to client

	Balancers *Balancers // nil: all peers are clients

	// Route returns the backend of a client that has proved who it is. Nil: there is
	// none for it.
	Route func(*filters.Session) *backend.Pool

	// At are the filters of sessions at the backends of these names, in the place of
	// Up and Down.
	At map[string]Chains

	Limits Limits

	// ClientIDs are the client identifiers that an identity may use, and from which
	// one is made for a client that sent none.
	ClientIDs filters.ClientIDs

	// Namespace says which part of the broker's names a session has. An error says
	// that it may have none. Nil gives all sessions all names.
	Namespace func(*filters.Session) (filters.Namespace, error)

	// Silent gives clients that are refused no CONNACK.
	Silent bool

	// SecretNames says that clients may send what is secret for a user name, such as
	// a token: it is not logged before it has proved to be somebody's name.
	SecretNames bool

	Lax, LaxDown packets.Checks // checks of the codec that clients, and the broker, may fail

	// Sessions knows whose client identifiers are. Nil knows nothing: any client
	// may use any, and nothing is remembered from one connection to the next.
	Sessions *filters.Store

	// Recheck asks again whether a session would be admitted, by its identity and
	// its certificates, when the policy has come into force during the session.
	// The state is zero without TLS. Nil means that it always would.
	Recheck func(ctx context.Context, s *filters.Session, state tls.ConnectionState) error

	// Places, over all listeners; nil means no limit. Handshakes are TLS handshakes in
	// progress, from the ClientHello on. Computing are those of them that take processor
	// time and do not wait for their peers: what is left of it is for the sessions.
	Handshakes, Computing Places
}

// Chains are filters of both directions.
type Chains struct{ Up, Down filters.Chain }

// chains returns the filters of sessions at a backend.
func (p *Policy) chains(backend string) Chains {
	if c, ok := p.At[backend]; ok {
		return c
	}
	return Chains{p.Up, p.Down}
}

// Limits bound one connection. Zero means no limit.
type Limits struct {
	HandshakeTimeout time.Duration
	ConnectTimeout   time.Duration // for the CONNECT, for authentication and dial, and for the CONNACK, each
	PacketTimeout    time.Duration // for one whole packet in either direction, and for one write
	FlowTimeout      time.Duration // for the PUBREL of a QoS 2 PUBLISH
	MaxConnectSize   int           // bytes
	MaxPacketSize    int           // bytes, of packets from the client
	MaxTopicAliases  uint16        // in each direction
	MaxInflight      uint16        // QoS 1 and 2 PUBLISHes of a client
	MaxKeepAlive     time.Duration // whole seconds, up to 65,535
	MaxSessionExpiry uint32        // seconds
	MaxWillDelay     uint32        // seconds
}

// Authenticator finds out who a client is. An error that is a *packets.Error
// tells the Reason Code of the refusal.
type Authenticator interface {
	Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error)

	// Begin starts enhanced authentication, where c names an AuthMethod.
	Begin(c filters.Credentials) (filters.Dialogue, error)
}

// Observer counts what happens. Its methods are called from many goroutines;
// the strings come from small fixed sets.
type Observer interface {
	Opened(listener string)                    // a connection was admitted
	Closed()                                   // an admitted connection is over
	Refused(reason string)                     // a connection never became a session
	Ended(reason string)                       // a session is over
	Handshake(outcome string, seconds float64) // TLS: ok, resumed, failed
	Authenticated(method, outcome string)      // accepted, refused, unavailable
	Decided(action, outcome string, n int)     // packets that the policy judged
	Checked(check, outcome string)             // a packet failed a check: refused, let_through
	Traffic(direction string, packets, bytes int)
}

// Server runs the connections of all listeners.
type Server struct {
	observer Observer
	log      *slog.Logger // for operators
	audit    *slog.Logger // a line per security event
	sessions sessions
	begun    atomic.Uint64 // sessions, so far
}

// NewServer returns a Server without listeners.
func NewServer(o Observer, log, audit *slog.Logger) *Server {
	s := &Server{observer: o, log: log, audit: audit}
	s.sessions.init()
	return s
}
