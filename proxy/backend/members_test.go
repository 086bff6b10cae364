package backend

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// names returns the addresses of a pool's servers.
func names(p *Pool) string {
	var list []string
	for _, s := range p.Servers() {
		list = append(list, s.Name())
	}
	return strings.Join(list, " ")
}

func (z *zone) set(name string, records ...dnsmessage.ResourceBody) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name] = records
}

func looking(t *testing.T, z *zone, servers ...Spec) Options {
	return Options{Servers: servers, Resolver: serve(t, z), Resolve: time.Hour, Balance: LeastConnections}
}

// TestNamesBecomeServers: each address is a server, and what is known of one lasts as
// long as the name leads there, over failures and reloads too.
func TestNamesBecomeServers(t *testing.T) {
	z := &zone{records: map[string][]dnsmessage.ResourceBody{"b.test.": {address("10.0.0.1"), address("10.0.0.2")}}}
	o := looking(t, z, Spec{Address: "b.test.:1883", Weight: 3}, Spec{Address: "10.0.0.2:1883"}, Spec{Address: "10.0.0.9:1883"})
	p := New(o, nil)
	expect := func(want string) {
		t.Helper()
		if got := names(p); got != want {
			t.Errorf("servers %s, want %s", got, want)
		}
	}
	expect("10.0.0.2:1883 10.0.0.9:1883")
	if err := p.locate(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("10.0.0.1:1883 10.0.0.2:1883 10.0.0.9:1883")
	second := p.server("10.0.0.2:1883")
	if second.host != "b.test" || second.spec.Weight != 3 {
		t.Errorf("a server that has two names: %q, weight %d", second.host, second.spec.Weight)
	}
	second.Drain(true)
	z.set("b.test.", address("10.0.0.2"), address("10.0.0.3"))
	if err := p.locate(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("10.0.0.2:1883 10.0.0.3:1883 10.0.0.9:1883")
	z.mu.Lock()
	z.code = dnsmessage.RCodeServerFailure
	z.mu.Unlock()
	if err := p.locate(t.Context()); err == nil {
		t.Error("no error")
	}
	expect("10.0.0.2:1883 10.0.0.3:1883 10.0.0.9:1883")
	p = New(o, p)
	expect("10.0.0.2:1883 10.0.0.3:1883 10.0.0.9:1883")
	if !p.server("10.0.0.2:1883").Maintenance() || p.server("10.0.0.3:1883").Maintenance() {
		t.Error("what was known is not known any more")
	}
}

// TestServices: the lowest priority first, shares by weight; the name that the record
// has is verified.
func TestServices(t *testing.T) {
	z := &zone{records: map[string][]dnsmessage.ResourceBody{
		"_mqtt._tcp.test.": {service(20, 0, 1883, "c.test."), service(10, 5, 1884, "a.test."), service(10, 0, 1885, "b.test.")},
		"a.test.":          {address("10.0.0.1")}, "b.test.": {address("10.0.0.2")}, "c.test.": {address("10.0.0.3")},
	}}
	p := New(looking(t, z, Spec{SRV: "_mqtt._tcp.test.", Weight: 2}), nil)
	if err := p.locate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.order(time.Now(), "") {
		got = append(got, s.Name())
	}
	if want := []string{"10.0.0.1:1884", "10.0.0.2:1885", "10.0.0.3:1883"}; !slices.Equal(got, want) {
		t.Errorf("in the order %v, want %v", got, want)
	}
	if a, b := p.server("10.0.0.1:1884"), p.server("10.0.0.2:1885"); a.spec.Weight != 10 || b.spec.Weight != 2 || a.host != "a.test" {
		t.Errorf("weights %d and %d, host %q", a.spec.Weight, b.spec.Weight, a.host)
	}
}

// TestOpenWaitsForNames: who comes before names are looked up waits for that, and no
// longer, found or not.
func TestOpenWaitsForNames(t *testing.T) {
	n := &network{fails: map[string]error{"10.0.0.1:1883": nil}}
	for _, found := range []bool{true, false} {
		z := &zone{records: map[string][]dnsmessage.ResourceBody{}}
		if found {
			z.set("b.test.", address("10.0.0.1"))
		}
		w := &told{}
		o := looking(t, z, Spec{Address: "b.test.:1883"})
		o.Dial, o.Changed = n.dial, w.changed
		p := New(o, nil)
		done := make(chan error, 1)
		go func() {
			leg, err := p.Open(t.Context(), Client{})
			if err == nil {
				leg.Close()
			}
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("it does not wait: %v", err)
		default:
		}
		p.Start()
		if err := <-done; found && err != nil || !found && !errors.Is(err, ErrDown) {
			t.Errorf("found %v: %v", found, err)
		}
		_ = p.Close()
		if got := w.since(); found && len(got) != 0 || !found && !slices.Equal(got, []string{" down"}) {
			t.Errorf("found %v: told %q", found, got)
		}
	}
}

// TestCloseWhileNamesAreLookedUp: who waits for names does not wait any more.
func TestCloseWhileNamesAreLookedUp(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := New(Options{Servers: []Spec{{Address: "b.test.:1883"}}, Resolver: NewResolver(silent.LocalAddr().String()), Resolve: time.Hour}, nil)
	p.Start()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil { // the question
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := p.Open(t.Context(), Client{})
		done <- err
	}()
	_ = p.Close()
	if err := <-done; !errors.Is(err, ErrDown) {
		t.Errorf("%v", err)
	}
}

// TestUnresolved: without a resolver a name is a server, that each dial looks up.
func TestUnresolved(t *testing.T) {
	p := New(Options{Servers: []Spec{{Address: "localhost:1883"}}}, nil)
	if names(p) != "localhost:1883" || p.Servers()[0].host != "localhost" {
		t.Errorf("%s", names(p))
	}
	if err := p.Locate(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestServersThatComeBack: what is known of a server outlasts that its name does not lead
// there for a while, or that a configuration is without it, if it has sessions or an
// operator has spoken of it.
func TestServersThatComeBack(t *testing.T) {
	all := []dnsmessage.ResourceBody{address("10.0.0.1"), address("10.0.0.2"), address("10.0.0.3")}
	z := &zone{records: map[string][]dnsmessage.ResourceBody{"b.test.": all}}
	o := looking(t, z, Spec{Address: "b.test.:1883", MaxConnections: 1})
	o.Seats = func() Seats { return &seats{} }
	p := New(o, nil)
	find := func(records ...dnsmessage.ResourceBody) {
		t.Helper()
		z.set("b.test.", records...)
		if err := p.locate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	find(all...)
	p.server("10.0.0.1:1883").Drain(true)
	leg, err := p.server("10.0.0.2:1883").sit(0)
	if err != nil {
		t.Fatal(err)
	}
	third := p.server("10.0.0.3:1883").state
	find(all[2])
	other := o
	other.Servers = []Spec{{Address: "10.0.0.9:1883"}}
	p = New(o, New(other, p))
	find(all...)
	if !p.server("10.0.0.1:1883").Maintenance() {
		t.Error("a drain was forgotten")
	}
	if _, err := p.server("10.0.0.2:1883").sit(0); !errors.Is(err, ErrFull) || p.server("10.0.0.2:1883").Active() != 1 {
		t.Errorf("a session was forgotten: %v", err)
	}
	if p.server("10.0.0.3:1883").state == third {
		t.Error("a server is known for ever of which there is nothing to know")
	}
	leg.Leave()
}
