package authz

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net/netip"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// certificate is one with this common name, or none if it is empty.
func certificate(t *testing.T, cn string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSubjects(t *testing.T) {
	plc, nameless := certificate(t, "plc-7"), certificate(t, "")
	sum := sha256.Sum256(plc.Raw)
	fingerprint := hex.EncodeToString(sum[:])
	openssl := strings.ToUpper(fingerprint[:2])
	for i := 2; i < len(fingerprint); i += 2 {
		openssl += ":" + strings.ToUpper(fingerprint[i:i+2])
	}
	client := func(edit func(*filters.Session)) *filters.Session {
		s := user("bob")
		s.ClientID, s.Listener = "bob-1", "mqtts"
		s.RemoteAddr = netip.MustParseAddrPort("10.1.2.3:4000")
		edit(s)
		return s
	}
	at := func(addr string) *filters.Session {
		return client(func(s *filters.Session) { s.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 4000) })
	}
	with := func(c *x509.Certificate) *filters.Session {
		return client(func(s *filters.Session) { s.Certificate = c })
	}
	bob, nobody := client(func(*filters.Session) {}), new(filters.Session)
	users := func(list ...string) Rule { return Rule{Subjects: Subjects{Users: Globs(list)}} }
	certs := func(list ...string) Rule { return Rule{Subjects: Subjects{Certs: Globs(list)}} }
	ips := func(list ...string) Rule { return Rule{Subjects: Subjects{IPs: prefixes(list...)}} }
	tests := []struct {
		name    string
		rule    Rule
		session *filters.Session
		want    bool
	}{
		{"everybody", Rule{}, bob, true},
		{"everybody, without anything", Rule{}, nobody, true},

		{"user", users("bob"), bob, true},
		{"user among others", users("eve", "bob"), bob, true},
		{"another user", users("eve"), bob, false},
		{"user in another case", users("Bob"), bob, false},
		{"part of a user", users("bo"), bob, false},
		{"more than a user", users("bobby"), bob, false},
		{"all users", users("*"), bob, true},
		{"anonymous is no user", users("*"), nobody, false},
		{"nor any number of stars", users("**"), nobody, false},
		{"glob", users("b*b"), bob, true},
		{"another glob", users("b*y"), bob, false},

		{"client id", Rule{Subjects: Subjects{ClientIDs: Globs([]string{"bob-*"})}}, bob, true},
		{"another client id", Rule{Subjects: Subjects{ClientIDs: Globs([]string{"eve-*"})}}, bob, false},
		{"no client id", Rule{Subjects: Subjects{ClientIDs: Globs([]string{"*"})}}, user("bob"), false},
		{"listener", Rule{Subjects: Subjects{Listeners: Globs([]string{"mqtts"})}}, bob, true},
		{"another listener", Rule{Subjects: Subjects{Listeners: Globs([]string{"mqtt"})}}, bob, false},
		{"no listener", Rule{Subjects: Subjects{Listeners: Globs([]string{"*"})}}, user("bob"), false},

		{"common name", certs("plc-7"), with(plc), true},
		{"glob of common names", certs("plc-*"), with(plc), true},
		{"another common name", certs("plc-8"), with(plc), false},
		{"fingerprint", certs(fingerprint), with(plc), true},
		{"fingerprint as openssl prints it", certs(openssl), with(plc), true},
		{"fingerprint of another", certs(fingerprint), with(nameless), false},
		{"fingerprint is no glob", certs(fingerprint[:1]+"*", "*"+fingerprint[1:]), with(plc), false},
		{"part of a fingerprint", certs(fingerprint[:62]), with(plc), false},
		{"any certificate", certs("*"), with(plc), true},
		{"any certificate, without a common name", certs("*"), with(nameless), true},
		{"no common name", certs("**"), with(nameless), false},
		{"no certificate", certs("*"), bob, false},
		{"no certificate, but a user of that name", certs("bob"), bob, false},

		{"network", ips("192.0.2.0/24", "10.0.0.0/8"), bob, true},
		{"another network", ips("10.2.0.0/16"), bob, false},
		{"one address", ips("10.1.2.3/32"), bob, true},
		{"mapped address", ips("10.0.0.0/8"), at("::ffff:10.1.2.3"), true},
		{"mapped address of another network", ips("10.0.0.0/8"), at("::ffff:11.1.2.3"), false},
		{"IPv6", ips("2001:db8::/32"), at("2001:db8::1"), true},
		{"another network of IPv6", ips("2001:db8::/32"), at("2001:db9::1"), false},
		{"all of IPv6 is not IPv4", ips("::/0"), bob, false},
		{"all of IPv4 is not IPv6", ips("0.0.0.0/0"), at("2001:db8::1"), false},
		{"address with a zone", ips("fe80::/10"), at("fe80::1%eth0"), true},
		{"no address", ips("0.0.0.0/0", "::/0"), nobody, false},

		{"all hold", Rule{Subjects: Subjects{Users: Globs([]string{"bob"}), ClientIDs: Globs([]string{"bob-1"}), Listeners: Globs([]string{"mqtts"}), Certs: Globs([]string{"plc-7"}), IPs: prefixes("10.0.0.0/8")}}, with(plc), true},
		{"all but the user", Rule{Subjects: Subjects{Users: Globs([]string{"eve"}), ClientIDs: Globs([]string{"bob-1"}), Listeners: Globs([]string{"mqtts"})}}, bob, false},
		{"all but the client id", Rule{Subjects: Subjects{Users: Globs([]string{"bob"}), ClientIDs: Globs([]string{"x"}), Listeners: Globs([]string{"mqtts"})}}, bob, false},
		{"all but the listener", Rule{Subjects: Subjects{Users: Globs([]string{"bob"}), ClientIDs: Globs([]string{"bob-1"}), Listeners: Globs([]string{"x"})}}, bob, false},
		{"all but the certificate", Rule{Subjects: Subjects{Users: Globs([]string{"bob"}), Certs: Globs([]string{"plc-7"})}}, bob, false},
		{"all but the address", Rule{Subjects: Subjects{Users: Globs([]string{"bob"}), IPs: prefixes("11.0.0.0/8")}}, bob, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.rule
			r.Publish, r.Subscribe, r.Topics = true, true, ParseTopics("a")
			v := compiled(t, r).View(tt.session)
			if got := v.Publish(noon, Message{Topic: []byte("a")}).Allowed; got != tt.want {
				t.Errorf("an allowing rule applies: %v", got)
			}
			r.Deny = true
			v = compiled(t, r, allow("#")).View(tt.session)
			if got := !v.Subscribe(noon, []byte("a"), 0).Allowed; got != tt.want {
				t.Errorf("a denying rule applies: %v", got)
			}
		})
	}
}
