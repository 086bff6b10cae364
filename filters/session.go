package filters

import (
	"crypto/x509"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Session is what filters know of one client's connection, and of what its
// packets have left to be finished. The exported fields are set before the
// first packet is judged and do not change, but for what the CONNACK lays down.
type Session struct {
	Version     packets.Version
	ClientID    string
	Identity    Identity          // as CONNECT proved it; see Proof
	Certificate *x509.Certificate // the client's verified certificate; nil: none
	RemoteAddr  netip.AddrPort    // zero on a Unix socket
	Listener    string
	ServerName  string // that the client asked for: by TLS, or as a balancer says; "": none
	Backend     string // where the session goes, by its name, and
	Server      string // which of its servers has it
	Owner       string // the principal that the client identifier belongs to
	Namespace   Namespace
	Terms       Terms
	WillSize    int // bytes of the Will's payload

	renewed atomic.Pointer[Identity] // nil: Identity still holds

	epoch     uint32 // counts changes of the rules; of who calls JudgeUp, as is
	unsettled bool   // whether Settle has something to do

	due atomic.Bool // an UNSUBSCRIBE of ours that had to wait may go now

	mu            sync.Mutex      // both directions use what follows
	kept          map[uint16]kept // written by who calls JudgeUp
	unknown       bool            // there is more that would have to be kept
	flows         flows
	deliveries    deliveries
	subscriptions subscriptions
	waiting       int // Topic Filters in requests
	owed          int // requests that we need the answer of
	changed       chan struct{}
}

// Terms are what CONNECT and CONNACK lay down for a session.
type Terms struct {
	ReceiveMaximum  int           // QoS 1 and 2 PUBLISHes that the client may have in flight; zero: no limit
	DeliveryMaximum int           // and the broker; zero: no limit
	PacketMaximum   int           // bytes of the largest packet that the broker takes; zero: no limit
	KeepAlive       time.Duration // zero: none
	SessionExpiry   uint32        // Session Expiry Interval in seconds, of CONNECT
	NoProblems      bool          // Request Problem Information is 0
}

// Resume takes over from an earlier connection of the same client what the
// broker's session keeps: QoS 2 flows and subscriptions. A nil from says that
// the broker has kept something that we do not know.
func (s *Session) Resume(from *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from == nil {
		s.subscriptions.partial = true
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	s.keep(from)
	s.deliveries.resume(&from.deliveries)
	s.subscriptions.resume(&from.subscriptions)
}

// Proof returns the identity as it was last proved, by CONNECT or by
// re-authentication (section 4.12.1). User name and method stay those of
// Identity. What it returns does not change; another pointer tells that it was
// renewed.
func (s *Session) Proof() *Identity {
	if renewed := s.renewed.Load(); renewed != nil {
		return renewed
	}
	return &s.Identity
}

// Renew puts id, of the same user by the same method, in the place of the
// identity.
func (s *Session) Renew(id Identity) { s.renewed.Store(&id) }

// Value returns what the placeholder name stands for in this session.
func (s *Session) Value(name string) (string, bool) {
	switch name {
	case "username":
		return s.Identity.Username, s.Identity.Username != ""
	case "clientid":
		return s.ClientID, s.ClientID != ""
	case "listener":
		return s.Listener, s.Listener != ""
	case "ip":
		if !s.RemoteAddr.IsValid() {
			return "", false
		}
		return s.RemoteAddr.Addr().Unmap().String(), true
	}
	if value, ok := s.Proof().Value(name); ok {
		return value, true
	}
	return CertificateValue(s.Certificate, name)
}

// PlainName reports whether a user name or client identifier, which may be
// empty, is free of what would turn it into something else in a topic filter
// or a log: + and #, NUL and other control characters [CVE-2017-7650]. Names
// with / pass, since SPIFFE user names have it; ExpandTopic refuses it where
// it would matter.
func PlainName(name string) bool { return name == "" || plain(name) }
