package e2e

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// A broker that goes takes its clients with it; while it is away clients are
// told so, and when it is back everything is as before.
func TestBrokerOutage(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"stopped": syscall.SIGTERM, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			p := startProxy(t, settings{broker: b.address()})
			checkReady := func(want int) {
				t.Helper()
				if code, body := p.get(t, "/readyz"); code != want {
					t.Errorf("/readyz: %d %s, want %d", code, body, want)
				}
			}
			checkReady(http.StatusOK)
			five, _ := p.connect5(t, connection("alice"))
			three, _ := p.connect3(t, v311, "bob")

			b.stop(t, signal)
			receive(t, "end of the MQTT 5.0 client", five.Done())
			receive(t, "end of the MQTT 3.1.1 client", three.lost)
			for range 2 {
				p.refused5(t, connection("alice"), 0x88)
				if _, _, code := p.dial3(t, v311, "bob"); code != 3 {
					t.Errorf("return code %d, want 3", code)
				}
			}
			checkReady(http.StatusServiceUnavailable)
			if code, _ := p.get(t, "/livez"); code != http.StatusOK {
				t.Errorf("/livez: %d: a broker that is down must not get the proxy restarted", code)
			}
			p.awaitMetric(t, refusals("backend_unavailable"), 4)

			b.restart(t)
			five, _ = p.connect5(t, connection("alice"))
			equal(t, "reason codes", five.subscribe(t, 1, "a"), []byte{1})
			if code := five.publish(t, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte(payload("back"))}); code != 0 {
				t.Errorf("reason code 0x%02X", code)
			}
			if _, body := five.next(t); body != payload("back") {
				t.Errorf("got %q", body)
			}
			checkReady(http.StatusOK)
		})
	}
}

// A client that has not ended its session when the proxy stops is told why,
// and its Will is published.
func TestProxyShutdown(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	monitor := b.monitor(t)
	c := connection("alice")
	c.WillMessage = &paho.WillMessage{Topic: "will", QoS: 1, Payload: []byte(payload("will"))}
	five, _ := p.connect5(t, c)
	three, _ := p.connect3(t, v311, "bob")
	p.stop(t)
	if d := receive(t, "DISCONNECT", five.goodbye); d.ReasonCode != 0x8B {
		t.Errorf("DISCONNECT with 0x%02X, want 0x8B (Server shutting down)", d.ReasonCode)
	}
	receive(t, "end of the MQTT 3.1.1 client", three.lost)
	monitor.await(t, line("will", 1, false, payload("will")))
}
