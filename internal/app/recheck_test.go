package app

import (
	"maps"
	"testing"

	"github.com/mqttward/mqttward/configs"
)

// TestOtherMethods: a name that means another method does not vouch for those whom
// the old one let in.
func TestOtherMethods(t *testing.T) {
	password := configs.Method{Name: "people", Type: configs.MethodPassword}
	token := configs.Method{Name: "people", Type: configs.MethodJWT}
	cert := configs.Method{Name: "cert", Type: configs.MethodCertificate}
	both := configs.Method{Name: "both", Type: configs.MethodAll, Of: []string{"people", "cert"}}
	less := configs.Method{Name: "both", Type: configs.MethodAll, Of: []string{"people"}}
	tests := []struct {
		name        string
		before, now []configs.Method
		want        map[string]bool
	}{
		{"the same", []configs.Method{password, cert, both}, []configs.Method{password, cert, both}, nil},
		{"another order", []configs.Method{password, cert}, []configs.Method{cert, password}, nil},
		{"a new one", []configs.Method{password}, []configs.Method{password, cert}, nil},
		{"another type", []configs.Method{password, cert}, []configs.Method{token, cert}, map[string]bool{"people": true}},
		{"another part", []configs.Method{password, cert, both}, []configs.Method{token, cert, both}, map[string]bool{"people": true, "both": true}},
		{"other parts", []configs.Method{password, cert, less}, []configs.Method{password, cert, both}, map[string]bool{"both": true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &builder{
				built: &built{config: &configs.Config{Authn: tt.now}},
				last:  &built{config: &configs.Config{Authn: tt.before}},
			}
			got := b.otherMethods()
			maps.DeleteFunc(got, func(_ string, other bool) bool { return !other })
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
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
