package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/mqttward/mqttward/packets"
)

// End is why a connection ended, one word of a fixed set for metrics and logs.
type End string

// The ends of connections. Those up to EndBackend come before there is a
// session.
const (
	EndProxyHeader End = "proxy_header"        // a balancer's, that is missing or wrong
	EndHandshake   End = "tls_handshake"       // failed, or a peer that speaks no TLS
	EndUpgrade     End = "websocket_handshake" // no request for a WebSocket, or one that is refused
	EndNotMQTT     End = "not_mqtt"            // the first byte begins no CONNECT
	EndMalformed   End = "malformed_connect"   // or a protocol version nobody knows
	EndConnectSize End = "connect_too_large"   // CONNECT above its limit
	EndConnectTime End = "connect_timeout"     // no whole CONNECT in time
	EndEarly       End = "closed_early"        // the client left before its CONNECT
	EndCredentials End = "bad_credentials"     // no or wrong credentials
	EndAuthDown    End = "authn_unavailable"   // a method could not answer
	EndBanned      End = "banned"              // user, client identifier, or network of a client that is known there
	EndBusy        End = "busy"                // memory is short
	EndIdentity    End = "max_connections_per_identity"
	EndDenied      End = "connect_denied"      // identity, Will or properties refused
	EndNoRoute     End = "no_backend"          // there is none for the client
	EndNoSeat      End = "backend_connections" // the broker takes no more
	EndBackend     End = "backend_unavailable" // no dial, or no CONNACK
	EndRefused     End = "refused_by_broker"   // CONNACK with a failure

	EndDisconnect   End = "client_disconnect" // DISCONNECT by the client
	EndClientClosed End = "client_closed"     // without DISCONNECT
	EndBrokerClosed End = "broker_closed"
	EndKeepAlive    End = "keep_alive_timeout"
	EndPacketTime   End = "packet_timeout" // a packet that never became whole
	EndWriteTime    End = "write_timeout"  // a side that does not read
	EndProtocol     End = "protocol_error" // by the client
	EndBrokerError  End = "broker_protocol_error"
	EndPolicy       End = "policy"           // a verdict demanded it
	EndExpired      End = "identity_expired" // certificate or token
	EndRevoked      End = "identity_revoked" // by a reload
	EndTakenOver    End = "taken_over"       // by a session at another server
	EndReauth       End = "reauthentication_failed"
	EndKicked       End = "kicked"  // by an operator
	EndDrained      End = "drained" // at the rate of a Drain
	EndShutdown     End = "shutdown"
	EndPanic        End = "panic"
)

// ending is the error that ends a connection.
type ending struct {
	end  End
	code packets.ReasonCode // for an MQTT 5.0 client; Success: nothing is said
	err  error              // for the log; may be nil
	rule string

	reference string // to another server, for an MQTT 5.0 client; empty: none
	quiet     bool   // it is counted and not logged, as what is turned away at once
}

func (e *ending) Error() string {
	if e.err == nil {
		return string(e.end)
	}
	return fmt.Sprintf("%s: %v", e.end, e.err)
}

func (e *ending) Unwrap() error { return e.err }

// asEnding returns err as an ending; an error that is none becomes one with
// this end and code.
func asEnding(err error, end End, code packets.ReasonCode) *ending {
	var e *ending
	if errors.As(err, &e) {
		return e
	}
	return &ending{end: end, code: code, err: err}
}

// protocolEnding is the ending for a packet that end's peer got wrong.
func protocolEnding(err error, end End) *ending {
	e := &ending{end: end, code: packets.UnspecifiedError, err: err}
	var pe *packets.Error
	if errors.As(err, &pe) {
		e.code = pe.Code
	}
	return e
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isReadTimeout reports whether err is the end of the time of a read: a write that
// took too long is an ending.
func isReadTimeout(err error) bool {
	_, ended := errors.AsType[*ending](err)
	return !ended && isTimeout(err)
}

// isGone reports whether err only says that the peer has left.
func isGone(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &op) && !op.Timeout()
}

// errStopped says that the connection is being stopped; why, its ending tells.
var errStopped = errors.New("stopped")

// pumpEnds is what the ways in which a pump can end mean in its direction.
type pumpEnds struct {
	direction  string // for the metrics
	sender     packets.Role
	senderGone End
	malformed  End
	otherGone  End
}

// errDisconnect says that the sender has said goodbye.
var errDisconnect = errors.New("DISCONNECT")

// writeEnding says what a failed write means to a side whose end is gone.
func (p *pump) writeEnding(err error, gone End) error {
	if isTimeout(err) {
		return &ending{end: EndWriteTime, err: err}
	}
	return &ending{end: gone, err: err}
}

// ending says what err, which ended the loop, means.
func (p *pump) ending(err error) *ending {
	var e *ending
	var violation *packets.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &violation):
		return &ending{end: p.ends.malformed, code: p.blame(violation.Code), err: violation}
	case errors.Is(err, errDisconnect) && p.ends.sender == packets.Client:
		return &ending{end: EndDisconnect}
	case isTimeout(err) && p.partial():
		return &ending{end: EndPacketTime, code: p.blame(packets.ProtocolError)}
	case isTimeout(err):
		return &ending{end: EndKeepAlive, code: packets.KeepAliveTimeout}
	}
	return &ending{end: p.ends.senderGone, err: err}
}

// blame is the code that a client is told of a mistake: what it was, if it was
// the client's own.
func (p *pump) blame(rc packets.ReasonCode) packets.ReasonCode {
	if p.ends.sender == packets.Client {
		return rc
	}
	return packets.UnspecifiedError
}
