package configs

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// parseSource reads an address that connections can come from.
func parseSource(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Is4In6() || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("wants an IP address of this machine, not %s", quote(text))
	}
	return addr, nil
}

// sources checks what can be known without asking the machine: that no address
// stands twice, and that the servers can be reached from each.
func (l *loader) sources(path string, b *Backend) {
	if b.SourceAddresses != nil && len(b.SourceAddresses) == 0 {
		l.fail(path, "is an empty list: remove the key to leave the address to the system")
	}
	for i, source := range b.SourceAddresses {
		if !source.IsValid() { // that is an error already
			continue
		}
		if first := slices.Index(b.SourceAddresses, source); first < i {
			l.fail(item(path, i), "is %s too", item(path, first))
		}
		for _, server := range b.Servers {
			network, address := server.Address.Split()
			host, _, _ := net.SplitHostPort(address)
			ip, err := netip.ParseAddr(host)
			switch {
			case network == "unix":
				l.fail(item(path, i), "has no effect: %s is a Unix socket", server.Address)
			case err == nil && ip.Unmap().Is4() != source.Is4():
				l.fail(item(path, i), "%s is not of the IP version of the server %s", source, server.Address)
			}
		}
	}
}
