package app

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/proxy/backend"
)

// TestReadyBesideABackendThatIsStuck: a broker that does not answer leaves time to ask
// that of another backend, which serves.
func TestReadyBesideABackendThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := func(dial func(context.Context, string, string) (net.Conn, error)) *backend.Pool {
			return backend.New(backend.Options{Servers: []backend.Spec{{Address: "b:1"}}, Dial: dial}, nil)
		}
		stuck := pool(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		serves := pool(func(ctx context.Context, _, _ string) (net.Conn, error) {
			near, _ := net.Pipe()
			return near, ctx.Err()
		})
		a := &App{}
		a.current.Store(&built{pools: []*backend.Pool{stuck, serves}})
		if err := a.ready(); err != nil {
			t.Error(err)
		}
		a.current.Store(&built{pools: []*backend.Pool{stuck}})
		if a.ready() == nil {
			t.Error("ready with a broker that does not answer")
		}
	})
}

// TestDrainingTakesNothingNew: who is drained is not ready, and opens no listeners again.
func TestDrainingTakesNothingNew(t *testing.T) {
	a, _ := startApp(t, withToken)
	if _, err := a.Drain("the test", admin.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := a.ready(); err == nil || err.Error() != "draining" {
		t.Errorf("ready: %v", err)
	}
	if err := a.Reload(); err == nil || err.Error() != "shutting down" {
		t.Errorf("reloaded: %v", err)
	}
}
