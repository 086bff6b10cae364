package app

import (
	"context"
	"testing"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// TestKinds: a name that means another method does not vouch for those whom the old
// one let in, however many reloads there were since.
func TestKinds(t *testing.T) {
	password := configs.Method{Name: "people", Type: configs.MethodPassword}
	token := configs.Method{Name: "people", Type: configs.MethodJWT}
	cert := configs.Method{Name: "cert", Type: configs.MethodCertificate}
	moved := configs.Method{Name: "people", Type: configs.MethodPassword, Tenant: "acme"}
	both := configs.Method{Name: "both", Type: configs.MethodAll, Of: []string{"people", "cert"}}
	less := configs.Method{Name: "both", Type: configs.MethodAll, Of: []string{"people"}}
	tests := []struct {
		name        string
		method      string
		before, now []configs.Method
		another     bool
	}{
		{"the same", "both", []configs.Method{password, cert, both}, []configs.Method{password, cert, both}, false},
		{"another order", "people", []configs.Method{password, cert}, []configs.Method{cert, password}, false},
		{"another type", "people", []configs.Method{password, cert}, []configs.Method{token, cert}, true},
		{"another tenant", "people", []configs.Method{password, cert}, []configs.Method{moved, cert}, true},
		{"a part of another tenant", "both", []configs.Method{password, cert, both}, []configs.Method{moved, cert, both}, true},
		{"another part", "both", []configs.Method{password, cert, both}, []configs.Method{token, cert, both}, true},
		{"other parts", "both", []configs.Method{password, cert, less}, []configs.Method{password, cert, both}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			yes := authn.Chain{willing{tt.method}}
			before := vouched{yes, kinds(&configs.Config{Authn: tt.before}), nil}
			now := vouched{yes, kinds(&configs.Config{Authn: tt.now}), nil}
			id, err := before.Authenticate(t.Context(), filters.Credentials{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := before.Begin(filters.Credentials{})
			if err != nil {
				t.Fatal(err)
			}
			_, same, err := d.Next(t.Context(), nil)
			if err != nil || same.Kind != id.Kind {
				t.Errorf("a dialogue gives %+v, %v, want %+v", same, err, id)
			}
			s := &filters.Session{Identity: id}
			if err := now.recheck(t.Context(), nil, s, nil); (err != nil) != tt.another {
				t.Errorf("got %v", err)
			}
		})
	}
}

// willing is a method that accepts everybody, always.
type willing struct{ name string }

func (w willing) Authenticate(context.Context, filters.Credentials) (filters.Identity, error) {
	return filters.Identity{Username: "bob", Method: w.name}, nil
}

func (w willing) Recheck(context.Context, *filters.Session) error { return nil }

func (w willing) Begin(filters.Credentials) (filters.Dialogue, error) { return w, nil }

func (w willing) Next(context.Context, filters.Secret) ([]byte, *filters.Identity, error) {
	return nil, &filters.Identity{Username: "bob", Method: w.name}, nil
}

func TestSecretNames(t *testing.T) {
	b := &builder{built: &built{config: &configs.Config{Authn: []configs.Method{
		{Name: "people", Type: configs.MethodPassword},
		{Name: "tokens", Type: configs.MethodJWT, In: "username"},
		{Name: "remote", Type: configs.MethodHTTP, Contract: "go-auth-jwt"},
		{Name: "usual", Type: configs.MethodJWT, In: "password"},
		{Name: "both", Type: configs.MethodAll, Of: []string{"people", "tokens"}},
	}}}}
	for name, want := range map[string]bool{"people": false, "tokens": true, "remote": true, "usual": false, "both": true} {
		if got := b.secretNames([]string{name}); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
