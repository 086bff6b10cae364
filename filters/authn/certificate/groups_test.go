package certificate_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn/certificate"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// issued is a real certificate, as it comes out of a handshake.
func issued(t *testing.T, units ...string) *x509.Certificate {
	t.Helper()
	ca, err := pki.NewCA("plant")
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := ca.Issue(pki.Options{CN: "plc-1", OU: units, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUnits(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = "g" + strconv.Itoa(i)
	}
	for _, test := range []struct {
		name  string
		units []string
		from  certificate.GroupsFrom
		want  []string
		bad   bool
	}{
		{"one", []string{"line-a"}, certificate.Units, []string{"line-a"}, false},
		{"all of them, each once", []string{"line-b", "edge", "line-b"}, certificate.Units, []string{"edge", "line-b"}, false},
		{"none", nil, certificate.Units, nil, false},
		{"not asked", []string{"line-a", "+"}, certificate.NoGroups, nil, false},
		{"a level", []string{"line-a", "a/b"}, certificate.Units, nil, true},
		{"a wildcard", []string{"+"}, certificate.Units, nil, true},
		{"a multi-level wildcard", []string{"a#"}, certificate.Units, nil, true},
		{"a control character", []string{"a\x01"}, certificate.Units, nil, true},
		{"an empty one", []string{"line-a", ""}, certificate.Units, nil, true},
		{"a hundred", many[:100], certificate.Units, slices.Sorted(slices.Values(many[:100])), false},
		{"more", many, certificate.Units, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			method, err := certificate.New("plc", template(t, "${cert.cn}"), certificate.Allow{}, test.from)
			if err != nil {
				t.Fatal(err)
			}
			cert := issued(t, test.units...)
			id, err := method.Authenticate(t.Context(), filters.Credentials{Certificate: cert})
			s := &filters.Session{Identity: filters.Identity{Username: "plc-1", Method: "plc", Groups: []string{"old"}}, Certificate: cert}
			again := method.Recheck(t.Context(), s)
			if test.bad {
				var refusal *packets.Error
				if !errors.As(err, &refusal) || refusal.Code != packets.NotAuthorized || again == nil {
					t.Errorf("got %+v, %v and %v, want it refused", id, err, again)
				}
				return
			}
			if err != nil || again != nil || id.Username != "plc-1" || !slices.Equal(id.Groups, test.want) {
				t.Errorf("got %+v, %v and %v", id, err, again)
			}
			if got := s.Proof().Groups; !slices.Equal(got, test.want) {
				t.Errorf("at a recheck %q", got)
			}
		})
	}
}
