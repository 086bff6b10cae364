// Package backend dials the broker that stands behind the proxy.
//
// It opens connections and says whether the broker can be reached; it speaks
// no MQTT. A broker that does not answer is an error when the caller's context
// ends.
package backend

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// freshness is how long a successful dial vouches for the broker.
const freshness = 5 * time.Second

// Server is one broker.
type Server struct {
	network, address string
	dialer           net.Dialer
	sources          []netip.Addr  // none: the kernel chooses
	turn             atomic.Uint32 // of the sources
	reached          atomic.Int64  // time of the last successful dial, Unix nanoseconds
}

// NewServer returns the broker at address: "host:port" or "unix:/path". It is dialled
// from the sources in turn, if there are any; a Unix socket has none.
func NewServer(address string, sources ...netip.Addr) *Server {
	s := &Server{network: "tcp", address: address, sources: sources}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		s.network, s.address, s.sources = "unix", path, nil
	}
	return s
}

// Dial opens a connection to the broker.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := s.open(ctx)
	if err != nil {
		s.reached.Store(0)
		return nil, err
	}
	s.reached.Store(time.Now().UnixNano())
	return conn, nil
}

func (s *Server) open(ctx context.Context) (net.Conn, error) {
	if len(s.sources) > 0 {
		return s.dialFrom(ctx)
	}
	return s.dialer.DialContext(ctx, s.network, s.address)
}

// Check returns an error if the broker cannot be reached. It dials only if no
// connection was opened of late.
func (s *Server) Check(ctx context.Context) error {
	if time.Since(time.Unix(0, s.reached.Load())) < freshness {
		return nil
	}
	conn, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
