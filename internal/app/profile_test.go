package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy/backend"
)

// TestProfileOfABrokerThatIsSilentNow: a reload while a broker cannot be asked takes no
// shield from it.
func TestProfileOfABrokerThatIsSilentNow(t *testing.T) {
	const v = packets.V311
	synctest.Test(t, func(t *testing.T) {
		silent := false
		dial := func(context.Context, string, string) (net.Conn, error) {
			if silent {
				return nil, errors.New("silent")
			}
			near, far := net.Pipe()
			go func() {
				_, _ = far.Read(make([]byte, 512))
				_, _ = far.Write(mqtttest.Connack(v, packets.Success))
				_, _ = far.Read(make([]byte, 512))
				_, _ = far.Write(mqtttest.Publish(v, 0, 0, "$SYS/broker/version", "mosquitto version 1.5.1"))
				_, _ = io.Copy(io.Discard, far)
			}()
			return near, nil
		}
		a := &App{shared: newShared(), logs: &Logs{Log: slog.New(slog.DiscardHandler)}}
		for _, silent = range []bool{false, true} {
			pool := backend.New(backend.Options{Name: "plant", Servers: []backend.Spec{{Address: "b:1"}}, Dial: dial}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				a.probe(ctx, &built{config: &configs.Config{}}, pool)
			}()
			synctest.Wait()
			if got := a.shared.brokers.of("plant").Profile().Name; got != "mosquitto-1.5" {
				t.Errorf("silent %v: profile %s", silent, got)
			}
			cancel()
			<-done
		}
	})
}
