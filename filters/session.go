package filters

import (
	"crypto/x509"
	"net/netip"
	"sync"

	"github.com/mqttward/mqttward/packets"
)

// Session is what filters know of one client's connection. The exported
// fields are set before the first packet is judged and do not change, but for a
// client identifier that the broker assigns with its CONNACK.
type Session struct {
	Version     packets.Version
	ClientID    string
	Identity    Identity
	Certificate *x509.Certificate // the client's verified certificate; nil: none
	RemoteAddr  netip.AddrPort    // zero on a Unix socket
	Listener    string

	// What our own refusals leave to be finished. Both pumps use it.
	mu      sync.Mutex
	refused map[uint16]struct{}             // QoS 2 publishes of MQTT 3.x that wait for a PUBREL
	pending map[uint16][]packets.ReasonCode // SUBSCRIBEs sent on in part; a slot per filter
	waiting int                             // slots in pending
}

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
	return CertificateValue(s.Certificate, name)
}

// PlainName reports whether a user name or client identifier, which may be
// empty, is free of what would turn it into something else in a topic filter
// or a log: + and #, NUL and other control characters [CVE-2017-7650]. Names
// with / pass, since SPIFFE user names have it; ExpandTopic refuses it where
// it would matter.
func PlainName(name string) bool { return name == "" || plain(name) }
