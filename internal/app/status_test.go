package app

import (
	"strings"
	"testing"
)

// TestStatusOfListeners: operators are told of a listener what they have written of it.
func TestStatusOfListeners(t *testing.T) {
	a, _ := startApp(t, strings.Replace(policy, "backends:", `  - {name: web, address: "127.0.0.1:0", transport: websocket}
backends:`, 1))
	for i, want := range []struct {
		name, transport string
		tls             bool
	}{{"plant", "tcp", true}, {"web", "websocket", false}} {
		if l := a.status().Listeners[i]; l.Name != want.name || l.Transport != want.transport || l.TLS != want.tls {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
}
