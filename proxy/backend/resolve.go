package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// maxLocations bounds what one name may stand for.
const maxLocations = 64

// Location is where a server of a backend is.
type Location struct {
	Address netip.AddrPort
	Host    string // the name that its certificate has to have; "" of an IP address

	// As in RFC 2782: of what can be reached, the lowest Priority is to be used,
	// and within it each in proportion to its Weight. Weight 0 says that there is
	// nothing to choose by; next to others it stands for a very small chance.
	Priority, Weight uint16
}

// Resolver finds servers by name in the DNS. It may be used by several goroutines.
type Resolver struct {
	dns *net.Resolver
}

// NewResolver returns a Resolver that asks server, a host:port, or if it is "" does
// as the system does.
func NewResolver(server string) *Resolver {
	if server == "" {
		return &Resolver{dns: net.DefaultResolver}
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}
	return &Resolver{dns: &net.Resolver{PreferGo: true, Dial: dial}}
}

// Hosts returns where host is: itself if it is an IP address, otherwise all its
// addresses, sorted. Of more than 64 the first 64 are returned with an error.
func (r *Resolver) Hosts(ctx context.Context, host, port string) ([]Location, error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return nil, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	locations, err := r.host(ctx, host, uint16(number))
	if err != nil {
		return nil, err
	}
	return sorted(host, locations)
}

// Services returns where the servers of an SRV record are; name is the full one,
// such as _mqtt._tcp.plant.example. A target without an address is left out if
// another has one. Of more than 64 locations the first 64 are returned with an error.
func (r *Resolver) Services(ctx context.Context, name string) ([]Location, error) {
	_, records, err := r.dns.LookupSRV(ctx, "", "", name)
	// Records with ill-formed targets are left out with an error, as are those here.
	if err != nil && len(records) == 0 {
		return nil, err
	}
	// The resolver shuffles by weight. In order, what is cut does not depend on it.
	slices.SortFunc(records, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	var locations []Location
	var errs []error
	// Each target costs queries, so these are bounded too.
	for _, record := range records[:min(len(records), maxLocations)] {
		found, err := r.target(ctx, record)
		if err != nil {
			errs = append(errs, fmt.Errorf("target %s of %s: %w", record.Target, name, err))
			continue
		}
		locations = append(locations, found...)
	}
	switch {
	case ctx.Err() != nil: // what was not asked for is not known to be gone
		return nil, fmt.Errorf("%s: %w", name, ctx.Err())
	case len(locations) == 0:
		return nil, errors.Join(errs...)
	}
	locations, err = sorted(name, locations)
	if len(records) > maxLocations {
		err = excess(name, len(records))
	}
	return locations, err
}

func (r *Resolver) target(ctx context.Context, record *net.SRV) ([]Location, error) {
	switch {
	case record.Target == ".": // RFC 2782: "the service is decidedly not available"
		return nil, errors.New("the service is not available at this domain")
	case record.Port == 0:
		return nil, errors.New("it has port 0")
	}
	locations, err := r.host(ctx, record.Target, record.Port)
	for i := range locations {
		locations[i].Priority, locations[i].Weight = record.Priority, record.Weight
	}
	return locations, err
}

func (r *Resolver) host(ctx context.Context, host string, port uint16) ([]Location, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []Location{{Address: netip.AddrPortFrom(addr.Unmap(), port)}}, nil
	}
	addrs, err := r.dns.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no addresses", host)
	}
	name := host
	if n := len(name) - 1; name[n] == '.' { // certificates have names without it
		name = name[:n]
	}
	locations := make([]Location, len(addrs))
	for i, addr := range addrs {
		locations[i] = Location{Address: netip.AddrPortFrom(addr.Unmap(), port), Host: name}
	}
	return locations, nil
}

// sorted orders what name stands for by priority and address, each once.
func sorted(name string, locations []Location) ([]Location, error) {
	slices.SortFunc(locations, func(a, b Location) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.Address.Compare(b.Address), cmp.Compare(a.Host, b.Host), cmp.Compare(b.Weight, a.Weight))
	})
	locations = slices.CompactFunc(locations, func(a, b Location) bool {
		return a.Priority == b.Priority && a.Address == b.Address
	})
	if n := len(locations); n > maxLocations {
		return locations[:maxLocations:maxLocations], excess(name, n)
	}
	return locations, nil
}

func excess(name string, n int) error {
	return fmt.Errorf("%s stands for %d servers: only the first %d are used", name, n, maxLocations)
}

func isAddress(host string) bool { _, err := netip.ParseAddr(host); return err == nil }
