package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestMemoryBudget: before memory runs out, who comes is told that the server is busy,
// and sessions notice nothing. When memory is there again, so is everybody. The process
// is one of its own, with 64 MiB.
func TestMemoryBudget(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startService(t, settings{
		broker: b.address(), more: "broker_profile: legacy\nruntime: {memory_limit: 64MiB}",
		limits: "{connect_rate: 0, connect_rate_per_ip: 0, connect_rate_per_network: 0, max_connections_per_ip: 0, max_connections_per_network: 0, connect_timeout: 60s}",
	})
	client := subscribe(t, s.as("alice"), "-q", "1", "-t", "a")
	stranger := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, Config: s.tlsConfig()}
	var crowd []net.Conn
	say := func(bytes []byte) net.Conn { // nil: it was closed, since memory is shorter still
		conn, err := stranger.DialContext(t.Context(), "tcp", s.address())
		if err != nil {
			return nil
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = conn.Write(bytes)
		return conn
	}
	connect := mqtttest.Connect(packets.V5, "stranger", mqtttest.Login("bob", password("bob")))
	busy := func() bool {
		conn := say(connect)
		if conn == nil {
			return true
		}
		defer conn.Close()
		connack := make([]byte, 4)
		_, err := io.ReadFull(conn, connack)
		return err != nil || packets.ReasonCode(connack[3]) == packets.ServerBusy
	}
	most := append([]byte{0x10, 0x80, 0x3f}, make([]byte, 6<<10)...) // of a CONNECT
	copy(most[3:], halfConnect[2:])
	for i := 0; i < 4000 && (i%10 > 0 || !busy()); i++ {
		if conn := say(most); conn != nil {
			crowd = append(crowd, conn)
		}
	}
	eventually(t, "somebody is refused for want of memory", func() bool { return s.metrics(t)[refusals("busy")]+s.metrics(t)[refusals("memory")] > 0 })
	publish(t, b.direct(), "-q", "1", "-t", "a", "-m", payload("x"))
	client.await(t, line("a", 1, false, payload("x")))
	for _, conn := range crowd {
		_ = conn.Close()
	}
	eventually(t, "a stranger is let in again", func() bool { return !busy() })
}
