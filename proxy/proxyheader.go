package proxy

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// maxProxyTLVs bounds what a PROXY header of version 2 says beside the addresses,
// in bytes: receivers read a header into a small buffer.
const maxProxyTLVs = 500

var errProxyTLVs = errors.New("user name and server name of the client are too long for a PROXY header")

// proxyHeader is what tells the broker who the client is before its CONNECT: its
// address, which a balancer may have told us, and, in version 2, by PP2_TYPE_SSL the
// name that it has proved, as common name, whether it had a certificate or not. What a
// balancer says of certificates does not go on. Nil for version 0.
func (c *conn) proxyHeader(version byte) ([]byte, error) {
	if version == 0 {
		return nil, nil
	}
	source, destination := c.wire.RemoteAddr(), c.wire.LocalAddr()
	if c.origin != nil {
		source, destination = net.TCPAddrFromAddrPort(c.origin.source), net.TCPAddrFromAddrPort(c.origin.destination)
	}
	h := proxyproto.HeaderProxyFromAddrs(version, source, destination)
	if _, tcp := source.(*net.TCPAddr); !tcp {
		// The broker would not know what to do with the path of a socket.
		h.TransportProtocol, h.SourceAddr, h.DestinationAddr = proxyproto.UNSPEC, nil, nil
	}
	if version == 1 {
		return h.Format()
	}
	tlvs, err := c.proxyTLVs()
	if err != nil {
		return nil, err
	}
	if err := h.SetTLVs(tlvs); err != nil {
		return nil, err
	}
	return h.Format()
}

func (c *conn) proxyTLVs() ([]proxyproto.TLV, error) {
	ssl := tlvparse.PP2SSL{Verify: 1}
	var tlvs []proxyproto.TLV
	if c.tls != nil {
		state := c.tls.ConnectionState()
		ssl.Client = tlvparse.PP2_BITFIELD_CLIENT_SSL
		ssl.TLV = append(ssl.TLV, proxyproto.TLV{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte(tls.VersionName(state.Version))})
	}
	if c.sess.ServerName != "" {
		tlvs = append(tlvs, proxyproto.TLV{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte(c.sess.ServerName)})
	}
	if c.sess.Certificate != nil {
		ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN | tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
		ssl.Verify = 0
	}
	if name := c.sess.Identity.Username; name != "" {
		ssl.TLV = append(ssl.TLV, proxyproto.TLV{Type: proxyproto.PP2_SUBTYPE_SSL_CN, Value: []byte(name)})
	}
	tlv, err := ssl.Marshal()
	if err != nil {
		return nil, err
	}
	tlvs = append(tlvs, tlv)
	joined, err := proxyproto.JoinTLVs(tlvs)
	switch {
	case err != nil:
		return nil, err
	case len(joined) > maxProxyTLVs:
		return nil, errProxyTLVs
	}
	return tlvs, nil
}
