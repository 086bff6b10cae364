// Package handover gives listening sockets from one process to the next: from a
// mqttward that runs to the one that replaces it, and from systemd to the one that
// it starts (sd_listen_fds(3)). Connections wait in a socket meanwhile: none is
// refused.
//
// It opens no sockets of its own and does not accept. A successor that fails, or is
// not ready in time, is killed, and its predecessor has lost nothing. What cannot be
// told from the socket that the configuration asks for is not taken.
package handover

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/mqttward/mqttward/configs"
)

// Socket is a listening socket of this process.
type Socket struct {
	net.Listener

	// Address is where the configuration has it, in its words; "" if systemd
	// opened it and nobody has taken it.
	Address configs.Address

	// Name is systemd's, its FileDescriptorName; "" if this program opened it. A socket
	// with a name is only lent: its file is not ours to remove.
	Name string
}

// KeepFile sees to it that the file of a Unix socket outlives this process's
// descriptor, or does not.
func (s *Socket) KeepFile(keep bool) {
	if l, ok := s.Listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(!keep && s.Name == "")
	}
}

// Sockets are those that the process was started with. Nil has none.
type Sockets struct {
	free  []*Socket // nobody has taken them yet
	taken []*Socket
	from  *predecessor // nil: systemd
}

// Take returns the socket for a listener, nil if there is none: the one that had its
// address in the configuration of the predecessor, or is bound to it, or that systemd
// gave the listener's name.
func (s *Sockets) Take(name string, address configs.Address) (*Socket, error) {
	if s == nil {
		return nil, nil
	}
	for _, fits := range []func(*Socket) bool{
		func(o *Socket) bool { return o.Address == address },
		func(o *Socket) bool { return isBound(o.Addr(), address) },
		func(o *Socket) bool { return o.Name == name && name != "" },
	} {
		i := slices.IndexFunc(s.free, fits)
		if i < 0 {
			continue
		}
		o := s.free[i]
		if err := mayServe(o, address); err != nil {
			return nil, err
		}
		s.free = slices.Delete(s.free, i, i+1)
		s.taken = append(s.taken, o)
		o.Address = address
		return o, nil
	}
	return nil, nil
}

// mayServe refuses a socket that more can reach than the address that was checked:
// one on loopback needs neither TLS nor a token.
func mayServe(o *Socket, address configs.Address) error {
	at := o.Addr()
	if network, _ := address.Split(); at.Network() != network {
		return fmt.Errorf("the socket %s that was passed is at %s, which is no address of that kind", o.Name, at)
	}
	tcp, ok := at.(*net.TCPAddr)
	if ok && o.Address != address && address.Local() && !tcp.AddrPort().Addr().Unmap().IsLoopback() {
		return fmt.Errorf("the socket %s that was passed is at %s, which is not loopback", o.Name, at)
	}
	return nil
}

// isBound tells whether a socket at is what net.Listen makes of an address. Names of
// hosts are not resolved.
func isBound(at net.Addr, configured configs.Address) bool {
	network, address := configured.Split()
	switch at := at.(type) {
	case *net.UnixAddr:
		return network == "unix" && filepath.Clean(at.Name) == filepath.Clean(address)
	case *net.TCPAddr:
		host, port, err := net.SplitHostPort(address)
		if network != "tcp" || err != nil || port != strconv.Itoa(at.Port) {
			return false
		}
		bound := at.AddrPort().Addr().Unmap()
		if host == "" {
			return bound.IsUnspecified()
		}
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Unmap() == bound
	}
	return false
}

// Ready tells the predecessor that everything is there to serve, and returns when it
// has let go: then it neither accepts nor writes what both write. Without a predecessor,
// or when that has gone, it returns at once. Sockets that nobody has taken are
// closed; it returns their addresses.
func (s *Sockets) Ready() (unwanted []string) {
	if s == nil {
		return nil
	}
	if s.from != nil {
		s.from.await()
	}
	for _, o := range s.taken {
		o.KeepFile(false)
	}
	for _, o := range s.free {
		o.KeepFile(false)
		unwanted = append(unwanted, o.Addr().String())
		_ = o.Close() // nothing was written
	}
	s.free = nil
	return unwanted
}

// Replaces tells whether the process takes the place of another.
func (s *Sockets) Replaces() bool { return s != nil && s.from != nil }
