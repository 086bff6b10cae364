package app

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// tcpListen is the state of a listening socket in /proc/net/tcp.
const tcpListen = "0A"

// listening returns where sockets listen on port that are not on loopback, from
// the text of /proc/net/tcp or tcp6 (proc_net_tcp of the kernel's documentation).
func listening(table, port string) (open []netip.AddrPort) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != tcpListen {
			continue
		}
		at, ok := procAddress(fields[1])
		if ok && strconv.Itoa(int(at.Port())) == port && !at.Addr().Unmap().IsLoopback() {
			open = append(open, at)
		}
	}
	return open
}

// procAddress reads "0100007F:1F90": 32-bit words of the address in the byte order
// of the machine, little endian on all that run this, and the port.
func procAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}
