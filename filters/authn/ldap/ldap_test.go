package ldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

func method(t *testing.T, address string, change func(*Options)) *Authenticator {
	t.Helper()
	o := Options{
		Name: "staff", URL: "ldap://" + address, BindDN: "cn=us", Password: "ours",
		BaseDN: "ou=people", UserFilter: template(t, "(uid=${username})"), Connections: 2,
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// direct makes options of those that find a user by the DN.
func direct(t *testing.T) func(*Options) {
	return func(o *Options) {
		o.BindDN, o.BaseDN, o.UserFilter, o.UserDN = "", "", filters.Template{}, template(t, "uid=${username},ou=people")
	}
}

func alice(password string) filters.Credentials {
	return filters.Credentials{Username: "alice", HasUsername: true, Password: filters.Secret(password), HasPassword: true}
}

// outcome is an answer as a test has it: "ok", "not mine", "failure", or a code.
func outcome(err error) string {
	e, refused := errors.AsType[*packets.Error](err)
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, authn.ErrNotMine):
		return "not mine"
	case refused:
		return fmt.Sprintf("0x%02X", uint8(e.Code))
	}
	return "failure"
}

// What result codes of the directory mean for the client.
func TestCodes(t *testing.T) {
	for _, test := range []struct {
		code                 int64
		bind, search, direct string // of a bind as the user, of a search, of a search for the DN
	}{
		{ldap.LDAPResultSuccess, "ok", "ok", "ok"},
		{ldap.LDAPResultInvalidCredentials, "0x86", "failure", "failure"},
		{ldap.LDAPResultConstraintViolation, "0x86", "failure", "failure"},
		{ldap.LDAPResultInappropriateAuthentication, "0x86", "failure", "failure"},
		{ldap.LDAPResultInsufficientAccessRights, "0x86", "failure", "failure"},
		{ldap.LDAPResultUnwillingToPerform, "0x86", "failure", "failure"},
		{ldap.LDAPResultInvalidDNSyntax, "0x86", "failure", "0x86"},
		{ldap.LDAPResultNoSuchObject, "not mine", "failure", "0x87"},
		{ldap.LDAPResultSizeLimitExceeded, "failure", "0x87", "0x87"},
		{ldap.LDAPResultBusy, "failure", "failure", "failure"},
		{ldap.LDAPResultUnavailable, "failure", "failure", "failure"},
		{ldap.LDAPResultReferral, "failure", "failure", "failure"},
		{ldap.LDAPResultSaslBindInProgress, "failure", "failure", "failure"},
		{ldap.LDAPResultConfidentialityRequired, "failure", "failure", "failure"},
		{ldap.LDAPResultOther, "failure", "failure", "failure"},
		{9999, "failure", "failure", "failure"},
	} {
		d := serve(t)
		d.bind = func(dn, _ string) int64 {
			if dn == "cn=us" {
				return 0
			}
			return test.code
		}
		if _, err := method(t, d.address, nil).Authenticate(t.Context(), alice("right")); outcome(err) != test.bind {
			t.Errorf("bind %d: %v, want %s", test.code, err, test.bind)
		}
		d = serve(t)
		d.search[1] = result(ldap.ApplicationSearchResultDone, test.code)
		if _, err := method(t, d.address, nil).Authenticate(t.Context(), alice("right")); outcome(err) != test.search {
			t.Errorf("search %d: %v, want %s", test.code, err, test.search)
		}
		if _, err := method(t, d.address, direct(t)).Authenticate(t.Context(), alice("right")); outcome(err) != test.direct {
			t.Errorf("search for the DN %d: %v, want %s", test.code, err, test.direct)
		}
	}
}

// A refusal of our own login, whatever its code, is no answer about a user.
func TestServiceRefused(t *testing.T) {
	byDN := func(o *Options) {
		direct(t)(o)
		o.BindDN = "cn=us"
	}
	for _, code := range []int64{ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax} {
		for name, change := range map[string]func(*Options){"search": nil, "DN": byDN} {
			d := serve(t)
			d.bind = func(string, string) int64 { return code }
			a := method(t, d.address, change)
			if _, err := a.Authenticate(t.Context(), alice("right")); outcome(err) != "failure" {
				t.Errorf("%s, %d: got %v", name, code, err)
			}
			if err := a.Recheck(t.Context(), session("alice")); !errors.Is(err, authn.ErrUnavailable) {
				t.Errorf("%s, %d: Recheck: %v", name, code, err)
			}
		}
	}
}

func TestEntries(t *testing.T) {
	mine, done := entry("uid=alice,ou=people", "UID", "al", "alice"), result(ldap.ApplicationSearchResultDone, 0)
	for name, test := range map[string]struct {
		search []*ber.Packet
		want   string
	}{
		"one":           {[]*ber.Packet{mine, done}, "ok"},
		"with referral": {[]*ber.Packet{referral(), mine, referral(), done}, "ok"},
		"only referral": {[]*ber.Packet{referral(), done}, "not mine"},
		"none":          {[]*ber.Packet{done}, "not mine"},
		"two":           {[]*ber.Packet{mine, mine, done}, "0x87"},
		"many":          {[]*ber.Packet{mine, mine, mine, mine, mine, done}, "0x87"},
		"no name":       {[]*ber.Packet{entry("", "uid", "alice"), done}, "failure"},
		"another case":  {[]*ber.Packet{entry("uid=Alice", "uid", "Alice"), done}, "0x86"},
		"another":       {[]*ber.Packet{entry("uid=bob", "uid", "bob"), done}, "0x86"},
		"not readable":  {[]*ber.Packet{entry("uid=alice", "cn", "alice"), done}, "0x86"},
		"too large":     {[]*ber.Packet{entry("uid=alice", "uid", strings.Repeat("x", 2*maxAnswer)), done}, "failure"},
	} {
		t.Run(name, func(t *testing.T) {
			d := serve(t)
			d.set(false, test.search...)
			id, err := method(t, d.address, nil).Authenticate(t.Context(), alice("right"))
			if outcome(err) != test.want || err == nil && (id.Username != "alice" || id.Method != "staff") {
				t.Errorf("%+v, %v; want %s", id, err, test.want)
			}
		})
	}
}

// What could be nobody's is not asked about.
func TestNotAsked(t *testing.T) {
	d := serve(t)
	a := method(t, d.address, nil)
	missing := alice("right")
	missing.Password, missing.HasPassword = nil, false
	for _, test := range []struct {
		c    filters.Credentials
		want string
	}{
		{alice(""), "0x86"},
		{alice("\x00"), "0x86"},
		{alice("right\x00"), "0x86"},
		{missing, "0x86"},
		{filters.Credentials{Password: filters.Secret("right"), HasPassword: true}, "not mine"},
		{filters.Credentials{HasUsername: true, Password: filters.Secret("right"), HasPassword: true}, "not mine"},
		{filters.Credentials{HasUsername: true, Username: strings.Repeat("a", maxName+1), Password: filters.Secret("right"), HasPassword: true}, "not mine"},
		{filters.Credentials{HasUsername: true, Username: "a\x00", Password: filters.Secret("right"), HasPassword: true}, "not mine"},
	} {
		if _, err := a.Authenticate(t.Context(), test.c); outcome(err) != test.want {
			t.Errorf("%.20q: %v, want %s", test.c.Username, err, test.want)
		}
	}
	if conns := d.asked(); len(conns) > 0 {
		t.Errorf("asked %q", conns)
	}
}

// Connections are used again, those of searches never to bind as a user, and one
// that broke is not.
func TestConnections(t *testing.T) {
	d := serve(t)
	a := method(t, d.address, nil)
	for _, password := range []string{"right", "wrong", "right"} {
		want := map[string]string{"right": "ok", "wrong": "0x86"}[password]
		if _, err := a.Authenticate(t.Context(), alice(password)); outcome(err) != want {
			t.Errorf("%s: %v", password, err)
		}
	}
	const dn = "uid=alice,ou=people"
	if got, want := fmt.Sprint(d.asked()), "[[cn=us search search search] ["+dn+" "+dn+" "+dn+"]]"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	d.set(true)
	if _, err := a.Authenticate(t.Context(), alice("right")); outcome(err) != "failure" {
		t.Errorf("after hanging up: %v", err)
	}
	d.set(false, entry(dn, "uid", "alice"), result(ldap.ApplicationSearchResultDone, 0))
	if _, err := a.Authenticate(t.Context(), alice("right")); err != nil {
		t.Errorf("after a connection broke: %v", err)
	}
	if got := fmt.Sprint(d.asked()[2:]); got != "[[cn=us search]]" {
		t.Errorf("asked %s on new connections", got)
	}
	_ = a.Close()
	if _, err := a.Authenticate(t.Context(), alice("right")); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if n := len(a.service.idle) + len(a.users.idle); n > 0 {
		t.Errorf("%d connections are kept after Close", n)
	}
}

// No more are kept than are wanted.
func TestIdleBound(t *testing.T) {
	d := serve(t)
	a := method(t, d.address, func(o *Options) { o.Connections = 1 })
	err := a.users.use(t.Context(), func(*ldap.Conn) error {
		return a.users.use(t.Context(), func(*ldap.Conn) error { return nil })
	})
	if n := len(a.users.idle); n != 1 || err != nil {
		t.Errorf("%d kept, %v", n, err)
	}
}

// A connection is not used again after a context that ended, or if it died while
// nobody used it.
func TestDeadConnections(t *testing.T) {
	d := serve(t)
	a := method(t, d.address, nil)
	ctx, cancel := context.WithCancel(t.Context())
	err := a.users.use(ctx, func(*ldap.Conn) error {
		cancel()
		return nil
	})
	if n := len(a.users.idle); n != 0 || err != nil {
		t.Errorf("%d kept, %v", n, err)
	}
	if _, err := a.Authenticate(t.Context(), alice("right")); err != nil {
		t.Fatal(err)
	}
	c := a.service.idle[0]
	c.wire.Close()
	for deadline := time.Now().Add(30 * time.Second); !c.IsClosing(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the end of a connection is not noticed")
		}
	}
	if _, err := a.Authenticate(t.Context(), alice("right")); err != nil {
		t.Error(err)
	}
}

// A server that accepts and says nothing holds nobody beyond the context.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, change := range map[string]func(*Options){
		"service":  nil,
		"direct":   direct(t),
		"StartTLS": func(o *Options) { o.StartTLS = true },
		"ldaps":    func(o *Options) { o.URL = strings.Replace(o.URL, "ldap:", "ldaps:", 1) },
	} {
		a := method(t, l.Addr().String(), change)
		done := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := a.Authenticate(ctx, alice("right"))
			done <- err
		}()
		select {
		case err := <-done:
			if outcome(err) != "failure" || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: still waiting", name)
		}
	}
}

// Without TLS where it is wanted, no password is sent, and the client is not to
// blame.
func TestStartTLSRefused(t *testing.T) {
	for _, code := range []int64{ldap.LDAPResultProtocolError, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultUnwillingToPerform} {
		d := serve(t) // it takes the request for a search
		d.set(false, result(ldap.ApplicationExtendedResponse, code))
		a := method(t, d.address, func(o *Options) {
			direct(t)(o)
			o.StartTLS = true
		})
		if _, err := a.Authenticate(t.Context(), alice("right")); outcome(err) != "failure" {
			t.Errorf("%d: got %v", code, err)
		}
		if got := fmt.Sprint(d.asked()); got != "[[search]]" {
			t.Errorf("%d: asked %s", code, got)
		}
	}
}

func session(username string) *filters.Session {
	return &filters.Session{Identity: filters.Identity{Username: username, Method: "staff", Groups: []string{"old"}}}
}

func TestRecheck(t *testing.T) {
	d := serve(t)
	a := method(t, d.address, func(o *Options) { o.GroupAttribute = "uid" })
	s := session("alice")
	if err := a.Recheck(t.Context(), s); err != nil || fmt.Sprint(s.Proof().Groups) != "[alice]" {
		t.Errorf("%v, groups %q", err, s.Proof().Groups)
	}
	other := session("alice")
	other.Identity.Method = "other"
	if err := a.Recheck(t.Context(), other); !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("of another method: %v", err)
	}
	for name, search := range map[string][]*ber.Packet{
		"gone":    {result(ldap.ApplicationSearchResultDone, 0)},
		"renamed": {entry("uid=x", "uid", "x"), result(ldap.ApplicationSearchResultDone, 0)},
	} {
		d.set(false, search...)
		if err := a.Recheck(t.Context(), s); err == nil || errors.Is(err, authn.ErrUnavailable) || errors.Is(err, authn.ErrNotMine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.set(false, result(ldap.ApplicationSearchResultDone, ldap.LDAPResultBusy))
	if err := a.Recheck(t.Context(), s); !errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("of a directory that is busy: %v", err)
	}
	if err := method(t, "127.0.0.1:1", direct(t)).Recheck(t.Context(), s); err != nil {
		t.Errorf("without a look: %v", err)
	}
}

func TestNew(t *testing.T) {
	good := Options{URL: "ldap://h", BaseDN: "dc=x", UserFilter: template(t, "(uid=${username})")}
	for want, change := range map[string]func(*Options){
		"url: wants":         func(o *Options) { o.URL = "http://h" },
		"base_dn: wants":     func(o *Options) { o.BaseDN = "people" },
		"bind_dn: wants":     func(o *Options) { o.BindDN = "us" },
		"user_filter: wants": func(o *Options) { o.UserFilter = template(t, "(uid=*)") },
		"user_dn: wants":     func(o *Options) { o.UserDN = template(t, "uid=x") },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
