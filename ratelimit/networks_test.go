package ratelimit

import (
	"net/netip"
	"testing"
)

func networks(list ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, n := range list {
		parsed = append(parsed, netip.MustParsePrefix(n))
	}
	return parsed
}

func TestNetworks(t *testing.T) {
	tests := []struct {
		name, addr  string
		allow, deny []netip.Prefix
		want        bool
	}{
		{"no lists", "192.0.2.1", nil, nil, true},
		{"in allow", "10.1.2.3", networks("10.0.0.0/8"), nil, true},
		{"not in allow", "192.0.2.1", networks("10.0.0.0/8"), nil, false},
		{"second in allow", "192.0.2.1", networks("10.0.0.0/8", "192.0.2.0/24"), nil, true},
		{"in deny", "192.0.2.1", nil, networks("192.0.2.0/24"), false},
		{"deny beats allow", "10.6.6.6", networks("10.0.0.0/8"), networks("10.6.0.0/16"), false},
		{"IPv6 in deny", "2001:db8::1", nil, networks("2001:db8::/32"), false},
		{"IPv6 not in allow", "2001:db8::1", networks("10.0.0.0/8"), nil, false},
		{"IPv4-mapped address in deny", "::ffff:192.0.2.1", nil, networks("192.0.2.0/24"), false},
		{"IPv4-mapped network in deny", "192.0.2.1", nil, networks("::ffff:192.0.2.0/120"), false},
		{"IPv4-mapped network in allow", "::ffff:192.0.2.1", networks("::ffff:192.0.2.0/120"), nil, true},
		{"a zone does not hide", "fe80::1%eth0", nil, networks("fe80::/10"), false},
		{"a zone does not shut out", "fe80::1%eth0", networks("fe80::/10"), nil, true},
		{"a Unix socket has no network", "", networks("10.0.0.0/8"), networks("::/0", "0.0.0.0/0"), true},
	}
	for _, test := range tests {
		addr, _ := netip.ParseAddr(test.addr) // "" is invalid, as a Unix socket's
		if got := NewNetworks(test.allow, test.deny).Permit(addr); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
