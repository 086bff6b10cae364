package backend

import (
	"crypto/tls"
	"errors"
	"net"
)

// Reason returns why what was written to a server has failed with err. A server that
// refuses our certificate does so when the handshake of TLS 1.3 is over for us (RFC
// 8446 section 2, figure 1), and hangs up: what is written then may fail with no more
// than a reset. The connection must have a deadline.
func Reason(conn net.Conn, err error) error {
	if _, ok := conn.(*tls.Conn); !ok {
		return err
	}
	_, said := conn.Read(make([]byte, 1))
	var alert *net.OpError
	if errors.As(said, &alert) && alert.Op == "remote error" { // as crypto/tls calls it
		return said
	}
	return err
}
