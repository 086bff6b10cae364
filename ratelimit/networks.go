package ratelimit

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// Networks are those from which connections are taken. The zero Networks
// permit everybody. Looking an address up takes as long for a list of a hundred
// thousand as for one of ten.
type Networks struct {
	allow, deny *bart.Lite // nil: an empty list
}

// NewNetworks returns the networks of allow, everybody if it is empty, without
// those of deny.
func NewNetworks(allow, deny []netip.Prefix) Networks {
	return Networks{allow: trie(allow), deny: trie(deny)}
}

// Permit reports whether a connection from addr is taken. The invalid Addr, of
// a Unix socket, is in no network and always permitted.
func (n Networks) Permit(addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("") // no prefix contains an address with a zone
	return (n.deny == nil || !n.deny.Contains(addr)) && (n.allow == nil || n.allow.Contains(addr))
}

// trie returns the networks with those of IPv4-mapped addresses as networks of
// IPv4, as which their addresses are looked up.
func trie(networks []netip.Prefix) *bart.Lite {
	if len(networks) == 0 {
		return nil
	}
	t := new(bart.Lite)
	for _, n := range networks {
		t.Insert(unmapped(n))
	}
	return t
}
