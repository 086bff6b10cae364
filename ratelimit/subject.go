package ratelimit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Kind is of what a Subject is. The strings are stable: they stand in files, in the
// API and in metrics.
type Kind string

// The kinds.
const (
	Network Kind = "network"   // all addresses of a prefix
	User    Kind = "user"      // by its name
	Client  Kind = "client_id" // by the Client Identifier that the broker knows
)

// Subject is who offends and is banned.
type Subject struct {
	Kind Kind `json:"kind"`

	// Value is a network in canonical CIDR form, a user name, or a client identifier
	// as the broker knows it.
	Value string `json:"value"`
}

const (
	// maxValue is the length in bytes up to which a Value is kept as it is.
	maxValue = 256
	// keptValue is how much is kept of a longer one, before its hash.
	keptValue = 128
)

// Canonical returns a subject that somebody wrote as List has it, or what is wrong
// with it. An address is a network of its own.
func (s Subject) Canonical() (Subject, error) {
	s, _, err := s.canonical()
	return s, err
}

// canonical returns the subject as tables know it, and the network if it is one.
// A Value that is long, or no UTF-8 and so cannot be written down, becomes its
// beginning and its hash: tables are bounded in bytes, and a long name hides nobody.
func (s Subject) canonical() (Subject, netip.Prefix, error) {
	switch s.Kind {
	case Network:
		network, err := parseNetwork(s.Value)
		if err != nil {
			return Subject{}, netip.Prefix{}, err
		}
		return Subject{Kind: Network, Value: network.String()}, network, nil
	case User, Client:
		if s.Value == "" {
			return Subject{}, netip.Prefix{}, fmt.Errorf("the %s is empty", s.Kind)
		}
		s.Value = short(s.Value)
		return s, netip.Prefix{}, nil
	}
	return Subject{}, netip.Prefix{}, errors.New("the kind must be network, user or client_id")
}

func short(value string) string {
	if len(value) <= maxValue && utf8.ValidString(value) {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return strings.ToValidUTF8(value[:min(len(value), keptValue)], "") + "…sha256:" + hex.EncodeToString(sum[:])
}

// parseNetwork reads a network, or an address as the network of itself alone.
// Bits beyond the mask are an error: it is not clear what is meant.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("the network must be written as 192.0.2.0/24, 2001:db8::/64, or an address")
	}
	network = unmapped(network)
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("the network has bits beyond its mask: %s is meant, or another mask", network.Masked())
	}
	return network, nil
}

// unmapped returns a network of IPv4-mapped addresses as one of IPv4, as which
// addresses are looked up.
func unmapped(network netip.Prefix) netip.Prefix {
	if network.Addr().Is4In6() && network.Bits() >= 96 {
		return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	return network
}
