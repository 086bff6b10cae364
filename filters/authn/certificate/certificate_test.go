package certificate_test

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/certificate"
	"github.com/mqttward/mqttward/packets"
)

func template(t *testing.T, s string) filters.Template {
	t.Helper()
	parsed, err := filters.ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func named(cn string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: cn}}
}

func TestAuthenticate(t *testing.T) {
	spiffe := &x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "plant", Path: "/line-a/plc"}}}
	tests := []struct {
		name        string
		username    string
		certificate *x509.Certificate
		want        string // empty: refused
	}{
		{"common name", "${cert.cn}", named("plc-7"), "plc-7"},
		{"within a text", "plc:${cert.cn}@${listener}/${ip}", named("7"), "plc:7@mqtts/192.0.2.1"},
		{"the same name for all", "plc", named("anything"), "plc"},
		{"SPIFFE id", "${cert.san.uri}", spiffe, "spiffe://plant/line-a/plc"},
		{"missing value", "${cert.san.dns}", named("plc-7"), ""},
		{"empty common name", "${cert.cn}", named(""), ""},
		{"wildcard", "${cert.cn}", named("+"), ""},
		{"multi-level wildcard", "${cert.cn}", named("line/#"), ""},
		{"NUL", "${cert.cn}", named("admin\x00"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method, err := certificate.New("plc", template(t, tt.username), certificate.Allow{}, certificate.NoGroups)
			if err != nil {
				t.Fatal(err)
			}
			got, err := method.Authenticate(t.Context(), filters.Credentials{
				Username:    "admin", // without effect
				HasUsername: true,
				Certificate: tt.certificate,
				RemoteAddr:  netip.MustParseAddr("::ffff:192.0.2.1"),
				Listener:    "mqtts",
			})
			if tt.want == "" {
				var refusal *packets.Error
				if !errors.As(err, &refusal) || refusal.Code != packets.NotAuthorized {
					t.Errorf("got %+v, %v; want NotAuthorized", got, err)
				}
				return
			}
			if want := (filters.Identity{Username: tt.want, Method: "plc"}); !reflect.DeepEqual(got, want) || err != nil {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestNoCertificateIsNotMine(t *testing.T) {
	method, err := certificate.New("plc", template(t, "plc"), certificate.Allow{}, certificate.NoGroups)
	if err != nil {
		t.Fatal(err)
	}
	got, err := method.Authenticate(t.Context(), filters.Credentials{Username: "plc", HasUsername: true})
	if !reflect.DeepEqual(got, filters.Identity{}) || !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("got %+v, %v; want ErrNotMine", got, err)
	}
}

func TestNewRefusesWhatTheClientChooses(t *testing.T) {
	for _, username := range []string{"${username}", "${cert.cn}-${clientid}"} {
		_, err := certificate.New("plc", template(t, username), certificate.Allow{}, certificate.NoGroups)
		if err == nil || !strings.Contains(err.Error(), "chosen by the client") {
			t.Errorf("New with %q: error %v, want a refusal", username, err)
		}
	}
}

// TestExpires: nobody outlives the certificate.
func TestExpires(t *testing.T) {
	method, err := certificate.New("plc", template(t, "${cert.cn}"), certificate.Allow{}, certificate.NoGroups)
	if err != nil {
		t.Fatal(err)
	}
	cert := named("plc-7")
	cert.NotAfter = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := method.Authenticate(t.Context(), filters.Credentials{Certificate: cert})
	if err != nil || !got.Expires.Equal(cert.NotAfter) {
		t.Errorf("expires %v, %v; want %v", got.Expires, err, cert.NotAfter)
	}
}

func TestRecheck(t *testing.T) {
	for _, tt := range []struct {
		name     string
		username string // as it is configured now
		session  *filters.Session
		ok       bool
		notMine  bool
	}{
		{"the same", "${cert.cn}@${ip}", &filters.Session{Certificate: named("plc-7"), Identity: filters.Identity{Username: "plc-7@192.0.2.1", Method: "plc"}}, true, false},
		{"another name now", "machine-${cert.cn}", &filters.Session{Certificate: named("plc-7"), Identity: filters.Identity{Username: "plc-7", Method: "plc"}}, false, false},
		{"no name now", "${cert.san.dns}", &filters.Session{Certificate: named("plc-7"), Identity: filters.Identity{Username: "plc-7", Method: "plc"}}, false, false},
		{"no certificate", "${cert.cn}", &filters.Session{Identity: filters.Identity{Username: "plc-7", Method: "plc"}}, false, false},
		{"another method's", "${cert.cn}", &filters.Session{Certificate: named("plc-7"), Identity: filters.Identity{Username: "plc-7", Method: "users"}}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, err := certificate.New("plc", template(t, tt.username), certificate.Allow{}, certificate.NoGroups)
			if err != nil {
				t.Fatal(err)
			}
			tt.session.RemoteAddr = netip.MustParseAddrPort("[::ffff:192.0.2.1]:1")
			err = method.Recheck(t.Context(), tt.session)
			if (err == nil) != tt.ok || errors.Is(err, authn.ErrNotMine) != tt.notMine {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLists: a certificate must be on one of the lists, in logins as in rechecks.
func TestLists(t *testing.T) {
	cert := named("plc-7")
	cert.Raw = []byte("a certificate")
	sum := sha256.Sum256(cert.Raw)
	own, other := fmt.Sprintf("%x", sum), strings.Repeat("0", 64)
	colons := strings.ToUpper(strings.TrimSuffix(regexp.MustCompile("..").ReplaceAllString(own, "$0:"), ":"))
	for _, tt := range []struct {
		name  string
		allow certificate.Allow
		ok    bool
	}{
		{"no lists", certificate.Allow{}, true},
		{"name", certificate.Allow{Users: []string{"plc-6", "plc-7"}}, true},
		{"glob", certificate.Allow{Users: []string{"plc-*"}}, true},
		{"other names", certificate.Allow{Users: []string{"plc", "hmi-*"}}, false},
		{"empty list", certificate.Allow{Users: []string{}}, false},
		{"fingerprint", certificate.Allow{Fingerprints: []string{other, own}}, true},
		{"as OpenSSL writes it", certificate.Allow{Fingerprints: []string{colons}}, true},
		{"other fingerprint", certificate.Allow{Fingerprints: []string{other}}, false},
		{"no fingerprints", certificate.Allow{Fingerprints: []string{}}, false},
		{"fingerprint is no glob", certificate.Allow{Fingerprints: []string{"*", own[:8] + "*"}}, false},
		{"name or fingerprint", certificate.Allow{Users: []string{"plc-7"}, Fingerprints: []string{other}}, true},
		{"fingerprint or name", certificate.Allow{Users: []string{"plc-8"}, Fingerprints: []string{own}}, true},
		{"neither", certificate.Allow{Users: []string{"plc-8"}, Fingerprints: []string{other}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, err := certificate.New("plc", template(t, "${cert.cn}"), tt.allow, certificate.NoGroups)
			if err != nil {
				t.Fatal(err)
			}
			_, err = method.Authenticate(t.Context(), filters.Credentials{Certificate: cert})
			var refusal *packets.Error
			if errors.As(err, &refusal); (err == nil) != tt.ok || err != nil && (refusal == nil || refusal.Code != packets.NotAuthorized) {
				t.Errorf("login: %v", err)
			}
			s := &filters.Session{Certificate: cert, Identity: filters.Identity{Username: "plc-7", Method: "plc"}}
			if err := method.Recheck(t.Context(), s); (err == nil) != tt.ok || errors.Is(err, authn.ErrNotMine) {
				t.Errorf("recheck: %v", err)
			}
		})
	}
}

// BenchmarkAuthenticate is the decision about a certificate that TLS has verified.
func BenchmarkAuthenticate(b *testing.B) {
	username, err := filters.ParseTemplate("${cert.cn}")
	if err != nil {
		b.Fatal(err)
	}
	method, err := certificate.New("plc", username, certificate.Allow{}, certificate.NoGroups)
	if err != nil {
		b.Fatal(err)
	}
	c := filters.Credentials{Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "plc-7"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := method.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
