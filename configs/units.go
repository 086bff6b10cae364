package configs

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// The binary units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = map[string]Size{
	"": 1, "B": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
	"KiB": KiB, "MiB": MiB, "GiB": GiB,
}

func parseSize(text string) (Size, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	unit, known := sizeUnits[strings.TrimSpace(text[digits:])]
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil || !known || n > int64(math.MaxInt64/unit) {
		return 0, fmt.Errorf("wants a size such as 4096, 256KiB or 1MiB, not %s", quote(text))
	}
	return Size(n) * unit, nil
}

func parseDuration(text string) (time.Duration, error) {
	if text != "" && text != "0" && strings.Trim(text, "0123456789.") == "" {
		return 0, fmt.Errorf("wants a duration with its unit, such as %ss, not %s", text, quote(text))
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("wants a duration such as 500ms, 10s or 5m, not %s", quote(text))
	}
	return d, nil
}

func parseCount(text string, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("wants a whole number from 0 to %d, not %s", most, quote(text))
	}
	return n, nil
}

func parseRate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	// The bound refuses infinity, and the comparisons are false for NaN.
	if err != nil || !(n >= 0 && n <= math.MaxInt32) {
		return 0, fmt.Errorf("wants a number of events a second, not %s", quote(text))
	}
	return n, nil
}

// parsePrefix reads a network or a single address. What would never match
// anything is refused: a deny list that is silently void lets everybody in.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return prefix, fmt.Errorf("wants a network such as 10.0.0.0/8 or an address, not %s", quote(text))
	case prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("wants IPv4 networks in IPv4 form, not %s", quote(text))
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("has bits beyond its mask: %s is meant, or another mask", prefix.Masked())
	}
	return prefix, nil
}

// Address is where a socket listens or a server answers: "host:port" or
// "unix:/path".
type Address string

// parseAddress takes "" for no address.
func parseAddress(text string) (Address, error) {
	if text == "" {
		return "", nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("wants an absolute path after unix:, not %s", quote(path))
		}
		return Address(text), nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf(`wants "host:port" or "unix:/path", not %s`, quote(text))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > math.MaxUint16 {
		return "", fmt.Errorf("wants a port from 0 to 65535, not %s", quote(port))
	}
	if err := checkHost(host); err != nil {
		return "", err
	}
	return Address(text), nil
}

// checkHost does not resolve names. Something of digits and dots only is a
// mistyped address, not a name.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._", r))
	}
	if strings.ContainsFunc(host, odd) || strings.Trim(host, "0123456789.") == "" {
		return errors.New("wants a host name or an address, not " + quote(host))
	}
	return nil
}

// Split returns the address as net.Dial and net.Listen want it; the network is
// "tcp" or "unix".
func (a Address) Split() (network, address string) {
	if path, ok := strings.CutPrefix(string(a), "unix:"); ok {
		return "unix", path
	}
	return "tcp", string(a)
}

// Unix reports whether it is a Unix socket.
func (a Address) Unix() bool { return strings.HasPrefix(string(a), "unix:") }

// Local reports whether only this machine can reach the address.
func (a Address) Local() bool {
	network, address := a.Split()
	if network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// port returns the port of a TCP address; "" for a Unix socket.
func (a Address) port() string {
	_, port, _ := net.SplitHostPort(string(a))
	return port
}

// quote makes text from a configuration fit for a message: on one line and
// short, whatever is in it.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
