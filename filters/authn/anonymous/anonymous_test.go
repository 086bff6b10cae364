package anonymous_test

import (
	"crypto/x509"
	"errors"
	"reflect"
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
				if !reflect.DeepEqual(got, filters.Identity{}) || !errors.Is(err, authn.ErrNotMine) {
					t.Errorf("got %+v, %v; want ErrNotMine", got, err)
				}
				return
			}
			if !reflect.DeepEqual(got, filters.Identity{Method: "open"}) || err != nil {
				t.Errorf("got %+v, %v; want the anonymous identity", got, err)
			}
		})
	}
}

func TestRecheck(t *testing.T) {
	for _, tt := range []struct {
		identity filters.Identity
		want     string // of the error
	}{
		{filters.Identity{Method: "open"}, ""},
		{filters.Identity{Method: "users"}, authn.ErrNotMine.Error()},
		{filters.Identity{Method: "open", Username: "bob"}, "the method has become an anonymous one"},
	} {
		err := anonymous.New("open").Recheck(t.Context(), &filters.Session{Identity: tt.identity})
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%+v: %v, want %q", tt.identity, err, tt.want)
		}
	}
}
