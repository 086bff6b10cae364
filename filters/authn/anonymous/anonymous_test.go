package anonymous_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/anonymous"
)

func TestAuthenticate(t *testing.T) {
	tests := []struct {
		name   string
		c      filters.Credentials
		accept bool
	}{
		{"nothing", filters.Credentials{ClientID: "c"}, true},
		{"certificate", filters.Credentials{Certificate: &x509.Certificate{}}, true},
		{"user name", filters.Credentials{Username: "bob", HasUsername: true}, false},
		{"empty user name", filters.Credentials{HasUsername: true}, false},
		{"password alone, as MQTT 5.0 allows", filters.Credentials{Password: filters.Secret("x"), HasPassword: true}, false},
		{"empty password", filters.Credentials{HasPassword: true}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := anonymous.New("open").Authenticate(t.Context(), tt.c)
			if !tt.accept {
				if got != (filters.Identity{}) || !errors.Is(err, authn.ErrNotMine) {
					t.Errorf("got %+v, %v; want ErrNotMine", got, err)
				}
				return
			}
			if got != (filters.Identity{Method: "open"}) || err != nil {
				t.Errorf("got %+v, %v; want the anonymous identity", got, err)
			}
		})
	}
}
