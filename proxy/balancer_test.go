package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// balancer is from where mqtttest's peers come, see memnet.
var balancer = netip.MustParseAddr("198.51.100.1")

// behind makes a policy trust the balancer. refuse, which may be nil, says whom it
// does not admit.
func behind(refuse func(netip.Addr) string) func(*proxy.Policy) {
	return func(p *proxy.Policy) {
		admit := p.Admit
		p.Balancers = &proxy.Balancers{
			Trust: func(a netip.Addr) bool { return a == balancer },
			Hold:  func(now time.Time) (proxy.Visit, string) { return admit(now, netip.Addr{}) },
		}
		p.Admit = func(now time.Time, a netip.Addr) (proxy.Visit, string) {
			if refuse != nil {
				if why := refuse(a); why != "" {
					return nil, why
				}
			}
			return admit(now, a)
		}
	}
}

// introduced is a header of this version about a client at source.
func introduced(t testing.TB, version byte, source string, tlvs ...proxyproto.TLV) []byte {
	t.Helper()
	a := netip.MustParseAddrPort(source)
	destination := "192.0.2.99:8883"
	if a.Addr().Is6() {
		destination = "[2001:db8::99]:8883"
	}
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(a), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(destination)))
	if err := h.SetTLVs(tlvs); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func authority(name string) proxyproto.TLV {
	return proxyproto.TLV{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte(name)}
}

const (
	local       = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	unspecified = "\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"
)

// own is the address of the balancer's first connection.
const own = "198.51.100.1:49152"

// TestInbound: a client is who the balancer says, wherever that counts, and no byte
// behind the header is lost, however it all comes.
func TestInbound(t *testing.T) {
	const v4, v6 = "203.0.113.7:40000", "[2001:db8::7]:40000"
	tests := []struct {
		name   string
		header []byte
		remote string
		server string
	}{
		{"version 1, IPv4", introduced(t, 1, v4), v4, ""},
		{"version 1, IPv6", introduced(t, 1, v6), v6, ""},
		{"version 1, unknown", []byte("PROXY UNKNOWN\r\n"), own, ""},
		{"version 1, unknown with addresses", []byte("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), own, ""},
		{"version 1, as long as may be", []byte("PROXY UNKNOWN " + strings.Repeat("1", 91) + "\r\n"), own, ""},
		{"version 2, IPv4", introduced(t, 2, v4), v4, ""},
		{"version 2, IPv6", introduced(t, 2, v6), v6, ""},
		{"version 2, IPv4 as IPv6", introduced(t, 2, "[::ffff:203.0.113.7]:40000"), v4, ""},
		{"version 2, server name", introduced(t, 2, v4, authority("mqtt.example")), v4, "mqtt.example"},
		{"version 2, more of no interest", introduced(t, 2, v4, proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 3000)},
			proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: []byte("\x07\x00\x00\x00\x00\x22\x00\x05admin")}, authority("mqtt.example")), v4, "mqtt.example"},
		{"version 1, its own address", introduced(t, 1, "198.51.100.1:1"), "198.51.100.1:1", ""},
		{"local", []byte(local), own, ""},
		{"unspecified", []byte(unspecified), own, ""},
	}
	connect := mqtttest.Connect(packets.V5, "device", mqtttest.Login("bob", "x"))
	ways := map[string]func(header []byte) [][]byte{
		"in one piece":     func(header []byte) [][]byte { return [][]byte{slices.Concat(header, connect)} },
		"header first":     func(header []byte) [][]byte { return [][]byte{header, connect} },
		"a byte at a time": func(header []byte) [][]byte { return slices.Collect(slices.Chunk(slices.Concat(header, connect), 1)) },
	}
	for _, tt := range tests {
		for way, pieces := range ways {
			t.Run(tt.name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var asked []netip.Addr
					var seen *filters.Session
					var credentials filters.Credentials
					h := open(t, behind(func(a netip.Addr) string { asked = append(asked, a); return "" }), func(p *proxy.Policy) {
						p.Namespace = func(s *filters.Session) (filters.Namespace, error) { seen = s; return filters.Namespace{}, nil }
						p.Authn = authenticate(func(_ context.Context, c filters.Credentials) (filters.Identity, error) {
							credentials = c
							return filters.Identity{Username: "bob", Method: "users"}, nil
						})
					})
					defer h.close()
					client := h.dial(packets.V5)
					for _, piece := range pieces(tt.header) {
						if _, err := client.Conn.Write(piece); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
					}
					broker := h.answer(packets.V5)
					broker.Expect("The CONNECT comes, and no header.", connect)
					broker.Send(mqtttest.Connack(packets.V5, packets.Success))
					synctest.Wait()
					remote := netip.MustParseAddrPort(tt.remote)
					if !slices.Equal(asked, []netip.Addr{remote.Addr()}) {
						t.Errorf("admission was asked about %v", asked)
					}
					if seen.RemoteAddr != remote || seen.ServerName != tt.server || credentials.RemoteAddr != remote.Addr() {
						t.Errorf("the session is of %v to %q, the credentials of %v", seen.RemoteAddr, seen.ServerName, credentials.RemoteAddr)
					}
					if list := h.server.Clients(); len(list) != 1 || list[0].Remote != remote {
						t.Errorf("clients %+v", list)
					}
					if lines := h.audit.all(); len(lines) == 0 || !strings.Contains(lines[0], "remote="+tt.remote+" ") {
						t.Errorf("audit %q", lines)
					}
				})
			})
		}
	}
}

// TestInboundTLS: behind the header comes TLS. The name that it asks for, if it asks for
// one, counts more than what the balancer says.
func TestInboundTLS(t *testing.T) {
	for _, tt := range []struct {
		atOnce     bool
		asks, want string
	}{
		{true, "broker.example", "broker.example"},
		{false, "broker.example", "broker.example"},
		{true, "", "other.example"},
	} {
		synctest.Test(t, func(t *testing.T) {
			id := newIdentity(t, "broker.example")
			var seen *filters.Session
			h := open(t, withTLS(id), behind(nil), func(p *proxy.Policy) {
				p.Namespace = func(s *filters.Session) (filters.Namespace, error) { seen = s; return filters.Namespace{}, nil }
			})
			defer h.close()
			client := h.dial(packets.V5)
			header := introduced(t, 2, "203.0.113.7:40000", authority("other.example"))
			network := &prefixed{Conn: client.Conn, first: header}
			if !tt.atOnce {
				client.Send(header)
				synctest.Wait()
				network.first = nil
			}
			config := id.client()
			config.ServerName, config.InsecureSkipVerify = tt.asks, tt.asks == ""
			secure := mqtttest.Client(t, tls.Client(network, config), packets.V5)
			connect := mqtttest.Connect(packets.V5, "device")
			secure.Send(connect)
			broker := h.answer(packets.V5)
			broker.Expect("The CONNECT comes.", connect)
			broker.Send(mqtttest.Connack(packets.V5, packets.Success))
			synctest.Wait()
			if seen.RemoteAddr.String() != "203.0.113.7:40000" || seen.ServerName != tt.want {
				t.Errorf("the session is of %v to %q, want %q", seen.RemoteAddr, seen.ServerName, tt.want)
			}
		})
	}
}

// prefixed sends first together with what is written first.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	first := p.first
	p.first = nil
	n, err := p.Conn.Write(append(first, b...))
	return max(0, n-len(first)), err
}

// TestNotIntroduced: without a header that is right nobody is admitted, the broker is
// not dialled, and the balancer is not to blame.
func TestNotIntroduced(t *testing.T) {
	const v4 = "203.0.113.7:40000"
	connect := mqtttest.Connect(packets.V311, "device")
	v2 := introduced(t, 2, v4)
	edited := func(at int, b ...byte) []byte {
		e := bytes.Clone(v2)
		copy(e[at:], b)
		return e
	}
	long := strings.Repeat("x", 256)
	tests := []visitor{
		{"nothing", func(c net.Conn) { c.Close() }, 0, "refused closed_early", 0},
		{"local and nothing", func(c net.Conn) { c.Write([]byte(local)); c.Close() }, 0, "refused closed_early", 0},
		{"unknown and nothing", func(c net.Conn) { c.Write([]byte("PROXY UNKNOWN\r\n")); c.Close() }, 0, "refused closed_early", 0},
		{"its own address and nothing", func(c net.Conn) { c.Write(introduced(t, 1, "198.51.100.1:1")); c.Close() }, 0, "refused closed_early", 0},
		{"silence", say(), connectTimeout, "refused proxy_header", 0},
		{"local and silence", say([]byte(local)), connectTimeout, "refused proxy_header", 0},
		{"half a header", say(v2[:20]), connectTimeout, "refused proxy_header", 0},
		{"half a header and gone", func(c net.Conn) { c.Write(v2[:20]); c.Close() }, 0, "refused proxy_header", 0},
		{"a byte a second", drip(v2), connectTimeout, "refused proxy_header", 0},
		{"no header", say(connect), 0, "refused proxy_header", 0},
		{"TLS", say(clientHello(t)), 0, "refused proxy_header", 0},
		{"garbage", say(bytes.Repeat([]byte("x"), 1<<20)), 0, "refused proxy_header", 0},
		{"version 1 without end", say([]byte("PROXY TCP4 "), bytes.Repeat([]byte("1"), 1<<20)), 0, "refused proxy_header", 0},
		{"version 1 too long", say([]byte("PROXY UNKNOWN " + strings.Repeat("1", 92) + "\r\n")), 0, "refused proxy_header", 0},
		{"version 1, no address", say([]byte("PROXY TCP4 localhost 192.0.2.1 1 1883\r\n")), 0, "refused proxy_header", 0},
		{"version 1, other family", say([]byte("PROXY TCP4 2001:db8::7 2001:db8::99 1 1883\r\n")), 0, "refused proxy_header", 0},
		{"version 1, port", say([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 65536 1883\r\n")), 0, "refused proxy_header", 0},
		{"version 1, UDP", say([]byte("PROXY UDP4 203.0.113.7 192.0.2.1 1 1883\r\n")), 0, "refused proxy_header", 0},
		{"version 1, line feed alone", say([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 1 1883\n")), 0, "refused proxy_header", 0},
		{"version 1, nothing more", say([]byte("PROXY \r\n    \r\n")), 0, "refused proxy_header", 0},
		{"version 3", say(edited(12, 0x31)), 0, "refused proxy_header", 0},
		{"command", say(edited(12, 0x22)), 0, "refused proxy_header", 0},
		{"family", say(edited(13, 0x41)), 0, "refused proxy_header", 0},
		{"UDP", say(edited(13, 0x12)), 0, "refused proxy_header", 0},
		{"Unix", say([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8"), make([]byte, 216)), 0, "refused proxy_header", 0},
		{"short for its family", say(edited(14, 0, 11)), 0, "refused proxy_header", 0},
		{"above 4 KiB", say(edited(14, 0x0f, 0xf1)), 0, "refused proxy_header", 0},
		{"64 KiB", say(edited(14, 0xff, 0xff)), 0, "refused proxy_header", 0},
		{"half a value", say(edited(14, 0, 15), []byte{2, 0, 5}), 0, "refused proxy_header", 0},
		{"source 0.0.0.0", say(introduced(t, 2, "0.0.0.0:1")), 0, "refused proxy_header", 0},
		{"source ::", say(introduced(t, 1, "[::]:1")), 0, "refused proxy_header", 0},
		{"source multicast", say(introduced(t, 2, "224.0.0.1:1")), 0, "refused proxy_header", 0},
		{"server name with a space", say(introduced(t, 2, v4, authority("a b"))), 0, "refused proxy_header", 0},
		{"server name with a line end", say(introduced(t, 2, v4, authority("a\n"))), 0, "refused proxy_header", 0},
		{"server name with a letter of Unicode", say(introduced(t, 2, v4, authority("bröker"))), 0, "refused proxy_header", 0},
		{"server name with a control character", say(introduced(t, 2, v4, authority("a\x7f"))), 0, "refused proxy_header", 0},
		{"empty server name", say(introduced(t, 2, v4, authority(""))), 0, "refused proxy_header", 0},
		{"long server name", say(introduced(t, 2, v4, authority(long))), 0, "refused proxy_header", 0},
		{"two server names", say(introduced(t, 2, v4, authority("a"), authority("b"))), 0, "refused proxy_header", 0},
	}
	for _, v := range tests {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, behind(func(a netip.Addr) string { t.Errorf("admission is asked about %v", a); return "no" }))
				turnAway(t, h, v)
				quiet := v.count == "refused closed_early"
				if warned, told := len(h.log.at(slog.LevelWarn)), len(h.audit.all()); warned != told || (told == 0) != quiet || told > 1 {
					t.Errorf("%d warnings, %d audit lines", warned, told)
				}
			})
		})
	}
}

// TestUntrustedHeader: who is no balancer speaks for nobody.
func TestUntrustedHeader(t *testing.T) {
	for name, header := range map[string][]byte{"version 1": introduced(t, 1, "203.0.113.7:40000"), "version 2": introduced(t, 2, "203.0.113.7:40000")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, behind(nil))
				defer h.close()
				conn, err := h.front.DialFrom(&net.TCPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 50000})
				if err != nil {
					t.Fatal(err)
				}
				h.peers = append(h.peers, conn)
				client := mqtttest.Client(t, conn, packets.V311)
				client.Send(header, mqtttest.Connect(packets.V311, "device"))
				client.ExpectClose("It ends.")
				h.expectEnd("refused not_mqtt")
				if lines := h.audit.all(); !strings.Contains(strings.Join(lines, ""), "remote=198.51.100.2:50000") {
					t.Errorf("audit %q", lines)
				}
				if h.fault.Load() != int32(proxy.FaultProtocol) {
					t.Error("it is not its own fault")
				}
			})
		})
	}
}

// TestRefusedBehindBalancer: who is not admitted is turned away before TLS and without
// a line, the others of the same balancer are not.
func TestRefusedBehindBalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, behind(func(a netip.Addr) string {
			if a.String() == "203.0.113.7" {
				return "banned"
			}
			return ""
		}))
		defer h.close()
		banned := h.dial(packets.V311)
		banned.Send(introduced(t, 2, "203.0.113.7:1"))
		banned.ExpectGone("It ends.")
		h.expectEnd("refused banned")
		if lines := append(h.audit.all(), h.log.all()...); len(lines) != 0 {
			t.Errorf("logged: %q", lines)
		}
		if n := h.slots.Load(); n != 0 {
			t.Errorf("%d places are taken", n)
		}
		other := h.dial(packets.V311)
		connect := mqtttest.Connect(packets.V311, "device")
		other.Send(introduced(t, 2, "203.0.113.8:1"), connect)
		h.answer(packets.V311).Expect("The other comes through.", connect)
	})
}
