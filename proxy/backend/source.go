package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
)

// sources are addresses that connections come from, in turn.
type sources struct {
	list []netip.Addr
	turn atomic.Uint32
}

// dial opens a connection from one of the sources. One that
// has no port left, or is not an address that the server can be reached from, leaves
// the turn to the next; if it is the last, the error says what is wrong with each.
func (s *sources) dial(ctx context.Context, network, address string) (net.Conn, error) {
	first := s.turn.Add(1)
	var errs []error
	for i := range uint32(len(s.list)) { //nolint:gosec // a list in a configuration
		source := s.list[(first+i)%uint32(len(s.list))] //nolint:gosec // as above
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), ControlContext: portPerPeer}
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		why := unusable(err)
		if why == "" {
			return nil, err
		}
		errs = append(errs, fmt.Errorf("from %s: %s: %w", source, why, err))
	}
	return nil, errors.Join(errs...)
}

// unusable says what is wrong with the source of a dial that failed with err; "" if
// another would have failed as well.
func unusable(err error) string {
	var call *os.SyscallError
	var family *net.AddrError
	switch {
	case errors.As(err, &family):
		return "the server has no address of the same IP version"
	case !errors.As(err, &call):
		return ""
	case errors.Is(err, syscall.EADDRINUSE), call.Syscall == "connect" && errors.Is(err, syscall.EADDRNOTAVAIL):
		return "all local ports to the server are taken"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "is no address of this machine"
	}
	return ""
}
