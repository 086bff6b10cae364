package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestMemoryBudget: before memory runs out, strangers are told that the server is
// busy. Those who are known still get in, and sessions notice nothing. When memory is
// there again, so is everybody. The process is one of its own, with 32 MiB.
func TestMemoryBudget(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startService(t, settings{
		broker: b.address(), more: "broker_profile: legacy\nruntime: {memory_limit: 32MiB}",
		limits: "{connect_rate: 0, connect_rate_per_ip: 0, connect_rate_per_network: 0, max_connections_per_ip: 0, max_connections_per_network: 0, connect_timeout: 60s}",
	})
	client := subscribe(t, s.as("alice"), "-q", "1", "-t", "a")
	stranger := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, Config: s.tlsConfig()}
	var crowd []net.Conn
	say := func(bytes []byte) net.Conn {
		conn, err := stranger.DialContext(t.Context(), "tcp", s.address())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(bytes); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	connect := mqtttest.Connect(packets.V5, "stranger", mqtttest.Login("bob", password("bob")))
	busy := func() bool {
		conn := say(connect)
		defer conn.Close()
		connack := make([]byte, 4)
		if _, err := io.ReadFull(conn, connack); err != nil {
			t.Fatal(err)
		}
		return packets.ReasonCode(connack[3]) == packets.ServerBusy
	}
	const most = 4000
	for len(crowd) < most && (len(crowd)%100 > 0 || len(crowd) == 0 || !busy()) {
		conn := say(halfConnect)
		defer conn.Close()
		crowd = append(crowd, conn)
		if len(crowd)%100 == 0 {
			publish(t, s.as("alice"), "-q", "1", "-t", "a", "-m", payload("x"))
		}
	}
	m := s.metrics(t)
	t.Logf("%d connections and %v bytes of heap", len(crowd), m["go_memstats_heap_alloc_bytes"])
	if m[refusals("busy")] == 0 {
		t.Fatalf("%d connections are let in, with %v bytes of heap", len(crowd), m["go_memstats_heap_alloc_bytes"])
	}
	publish(t, s.as("alice"), "-q", "1", "-t", "a", "-m", payload("y"))
	client.await(t, line("a", 1, false, payload("y")))
	for _, conn := range crowd {
		_ = conn.Close()
	}
	eventually(t, "a stranger is let in again", func() bool { return !busy() })
}
