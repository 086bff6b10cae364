package certificate_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/netip"
	"net/url"
	"reflect"
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
			method, err := certificate.New("plc", template(t, tt.username))
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
	method, err := certificate.New("plc", template(t, "plc"))
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
		_, err := certificate.New("plc", template(t, username))
		if err == nil || !strings.Contains(err.Error(), "chosen by the client") {
			t.Errorf("New with %q: error %v, want a refusal", username, err)
		}
	}
}

// TestExpires: nobody outlives the certificate.
func TestExpires(t *testing.T) {
	method, err := certificate.New("plc", template(t, "${cert.cn}"))
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
			method, err := certificate.New("plc", template(t, tt.username))
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
