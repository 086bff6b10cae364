package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a DNS server on loopback. A name that it does not have does not exist.
type zone struct {
	mu      sync.Mutex
	records map[string][]dnsmessage.ResourceBody
	code    dnsmessage.RCode // of each answer, unless it is a success
	silent  bool
	asked   map[string]func() // instead of an answer, by name
}

func serve(t *testing.T, z *zone) *Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := z.answer(b[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return NewResolver(conn.LocalAddr().String())
}

func (z *zone) answer(query []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	var m dnsmessage.Message
	if z.silent || m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	if asked := z.asked[q.Name.String()]; asked != nil {
		asked()
		return nil
	}
	bodies, ok := z.records[q.Name.String()]
	m.Response, m.Authoritative, m.RecursionAvailable, m.RCode, m.Additionals = true, true, true, z.code, nil
	if !ok && m.RCode == dnsmessage.RCodeSuccess {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range bodies {
		var typ dnsmessage.Type
		switch body.(type) {
		case *dnsmessage.AResource:
			typ = dnsmessage.TypeA
		case *dnsmessage.AAAAResource:
			typ = dnsmessage.TypeAAAA
		case *dnsmessage.SRVResource:
			typ = dnsmessage.TypeSRV
		}
		if typ == q.Type && m.RCode == dnsmessage.RCodeSuccess {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: typ, Class: q.Class}, Body: body})
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

func address(s string) dnsmessage.ResourceBody {
	a := netip.MustParseAddr(s)
	if a.Is4() {
		return &dnsmessage.AResource{A: a.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: a.As16()}
}

func service(priority, weight, port uint16, target string) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(target)}
}

func said(locations []Location) []string {
	var out []string
	for _, l := range locations {
		out = append(out, fmt.Sprintf("%s %s %d %d", l.Address, l.Host, l.Priority, l.Weight))
	}
	return out
}

// Names end in a dot, so that no search domain is tried.
func TestResolve(t *testing.T) {
	r := serve(t, &zone{records: map[string][]dnsmessage.ResourceBody{
		"both.test.":         {address("10.0.0.2"), address("fd00::1"), address("10.0.0.1"), address("10.0.0.1")},
		"one.test.":          {address("10.0.0.9")},
		"_mqtt._tcp.test.":   {service(20, 0, 1883, "one.test."), service(10, 5, 1884, "both.test."), service(10, 5, 1884, "gone.test.")},
		"_gone._tcp.test.":   {service(1, 1, 1883, "gone.test.")},
		"_denied._tcp.test.": {service(0, 0, 0, ".")},
		"_port._tcp.test.":   {service(0, 0, 0, "one.test.")},
	}})
	hosts := func(name string) ([]Location, error) { return r.Hosts(t.Context(), name, "1883") }
	services := func(name string) ([]Location, error) { return r.Services(t.Context(), name) }
	for _, tt := range []struct {
		find func(string) ([]Location, error)
		name string
		want []string
		err  string
	}{
		{hosts, "10.1.2.3", []string{"10.1.2.3:1883  0 0"}, ""},
		{hosts, "::ffff:10.1.2.3", []string{"10.1.2.3:1883  0 0"}, ""},
		{hosts, "both.test.", []string{"10.0.0.1:1883 both.test 0 0", "10.0.0.2:1883 both.test 0 0", "[fd00::1]:1883 both.test 0 0"}, ""},
		{hosts, "gone.test.", nil, "no such host"},
		{services, "_mqtt._tcp.test.", []string{
			"10.0.0.1:1884 both.test 10 5", "10.0.0.2:1884 both.test 10 5", "[fd00::1]:1884 both.test 10 5", "10.0.0.9:1883 one.test 20 0",
		}, ""},
		{services, "_gone._tcp.test.", nil, "target gone.test. of _gone._tcp.test.: "},
		{services, "_denied._tcp.test.", nil, "not available"},
		{services, "_port._tcp.test.", nil, "port 0"},
		{services, "_none._tcp.test.", nil, "no such host"},
	} {
		got, err := tt.find(tt.name)
		if !slices.Equal(said(got), tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, said(got), err, tt.want, tt.err)
		}
	}
	if _, err := r.Hosts(t.Context(), "10.0.0.1", "65536"); err == nil {
		t.Error("port 65536 is taken")
	}
}

func TestResolveChanges(t *testing.T) {
	z := &zone{records: map[string][]dnsmessage.ResourceBody{"a.test.": {address("10.0.0.1")}}}
	r := serve(t, z)
	for _, want := range []string{"10.0.0.1", "10.0.0.2"} {
		z.mu.Lock()
		z.records["a.test."] = []dnsmessage.ResourceBody{address(want)}
		z.mu.Unlock()
		got, err := r.Hosts(t.Context(), "a.test.", "1")
		if err != nil || len(got) != 1 || got[0].Address.Addr().String() != want {
			t.Errorf("%v, %v; want %s", got, err, want)
		}
	}
	z.mu.Lock()
	z.code = dnsmessage.RCodeServerFailure
	z.mu.Unlock()
	var failure *net.DNSError
	if _, err := r.Hosts(t.Context(), "a.test.", "1"); !errors.As(err, &failure) || failure.IsNotFound {
		t.Errorf("SERVFAIL: %v", err)
	}
	z.mu.Lock()
	z.silent = true
	z.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Services(ctx, "_mqtt._tcp.test."); err == nil {
		t.Error("a silent server is an answer")
	}
}

func TestResolveIsBounded(t *testing.T) {
	var many []dnsmessage.ResourceBody
	for i := range maxLocations + 1 {
		many = append(many, address(fmt.Sprintf("10.0.0.%d", maxLocations-i)))
	}
	r := serve(t, &zone{records: map[string][]dnsmessage.ResourceBody{"many.test.": many}})
	got, err := r.Hosts(t.Context(), "many.test.", "1")
	if err == nil || len(got) != maxLocations || got[0].Address.String() != "10.0.0.0:1" {
		t.Errorf("%d locations, %v; want the first %d and an error", len(got), err, maxLocations)
	}
}

// TestTimeEndsAmongTargets: targets that there was no time to look up are not known to be
// gone.
func TestTimeEndsAmongTargets(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := serve(t, &zone{
		records: map[string][]dnsmessage.ResourceBody{
			"_mqtt._tcp.test.": {service(0, 0, 1883, "a.test."), service(0, 0, 1883, "b.test.")}, "a.test.": {address("10.0.0.1")},
		},
		asked: map[string]func(){"b.test.": cancel},
	})
	if list, err := r.Services(ctx, "_mqtt._tcp.test."); !errors.Is(err, context.Canceled) || len(list) > 0 {
		t.Errorf("%v, %v", said(list), err)
	}
}
