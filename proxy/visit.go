package proxy

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Admit decides whether a connection from addr, which is invalid for a Unix
// socket, is taken at all. The refusal, one word of a fixed set, is empty if
// it is.
type Admit func(now time.Time, addr netip.Addr) (v Visit, refusal string)

// Visit is a connection to those who hold floods back. The connection tells it how
// far it has come, and obeys. One goroutine at a time calls its methods, Leave in the
// end and once.
type Visit interface {
	// Rank is that of the client where clients wait: the higher go first.
	Rank() int

	// Claim is asked when the client has said who it is and before anything is spent
	// on whether that is true. The certificate is the fingerprint of its verified one,
	// "" if it has none.
	Claim(now time.Time, username, certificate string) *Refusal

	// Enter is asked when it has proved to be true.
	Enter(now time.Time, n Newcomer) *Refusal

	// Unserved says that there was no broker for it, before it leaves.
	Unserved()

	Leave(now time.Time, f Fault)
}

// Newcomer is a client that has proved who it is.
type Newcomer struct {
	Username, Tenant string // empty: none
	ClientID         string // as the broker knows it; empty: it belongs to somebody else
	Taken            bool   // another connection of the same client has it
}

// Refusal is why a client is not let in.
type Refusal struct {
	End  End
	Code packets.ReasonCode // that it is told
}

func (r *Refusal) ending() *ending { return &ending{end: r.End, code: r.Code} }

// Places bound how many do something at once. Higher ranks go first.
type Places interface {
	// Take waits for a place, which Give gives back. Its error is that of ctx.
	Take(ctx context.Context, rank int) error

	// Try reports whether there was a place at once.
	Try(rank int) bool

	// Idle says that who has a place waits for the client. If that lasts and others
	// want the place, leave is called, which leads to Give. It does not block nor use
	// the Places, and is called no more once back has been, which comes before Give.
	Idle(rank int, leave func()) (back func())

	Give()
}

// Fault is what a client did wrong that others should not have to pay for.
type Fault uint8

// The faults.
const (
	NoFault          Fault = iota
	FaultCredentials       // it did not prove who it claimed to be
	FaultProtocol          // it did not keep to MQTT or TLS
	FaultSilence           // it said nothing, or not in time, before anybody knew who it was
)

// fault is what the end of a connection says about its client.
func (e *ending) fault() Fault {
	switch e.end {
	case EndCredentials, EndReauth:
		return FaultCredentials
	case EndNotMQTT, EndMalformed, EndConnectSize, EndProtocol:
		return FaultProtocol
	case EndConnectTime:
		return FaultSilence
	case EndUpgrade:
		// Any page can have the browser of who reads it ask for anything.
		if errors.Is(e, errNotHTTP) {
			return FaultProtocol
		}
		return NoFault
	case EndHandshake:
		switch {
		case errors.Is(e, errNoSlot), isGone(e): // or it does not take our certificate
			return NoFault
		case isTimeout(e):
			return FaultSilence
		}
		return FaultProtocol
	default:
		return NoFault
	}
}
