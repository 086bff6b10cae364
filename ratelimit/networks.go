package ratelimit

import (
	"net/netip"
	"slices"
)

// Networks are those from which connections are taken. The zero Networks
// permit everybody.
type Networks struct {
	allow, deny []netip.Prefix
}

// NewNetworks returns the networks of allow, everybody if it is empty, without
// those of deny.
func NewNetworks(allow, deny []netip.Prefix) Networks {
	return Networks{allow: unmap(allow), deny: unmap(deny)}
}

// Permit reports whether a connection from addr is taken. The invalid Addr, of
// a Unix socket, is in no network and always permitted.
func (n Networks) Permit(addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("") // no prefix contains an address with a zone
	within := func(network netip.Prefix) bool { return network.Contains(addr) }
	return !slices.ContainsFunc(n.deny, within) &&
		(len(n.allow) == 0 || slices.ContainsFunc(n.allow, within))
}

// unmap returns the networks with those of IPv4-mapped addresses as networks
// of IPv4, as which their addresses are looked up.
func unmap(networks []netip.Prefix) []netip.Prefix {
	unmapped := slices.Clone(networks)
	for i, n := range networks {
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			unmapped[i] = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
	}
	return unmapped
}
