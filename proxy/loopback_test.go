package proxy_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestRealSockets runs the ends of connections over the kernel's sockets,
// whose resets are not memnet's.
func TestRealSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			h := open(t)
			defer h.close()
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "mqtt")
			}
			socket, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			h.serve.Go(func() { h.listener.Serve(socket) })
			defer socket.Close()
			dial := func(v packets.Version) *mqtttest.Peer {
				conn, err := net.Dial(network, socket.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				h.peers = append(h.peers, conn)
				return mqtttest.Client(t, conn, v)
			}

			refused := dial(packets.V311)
			refused.Send(mqtttest.Connect(packets.V311, "device", mqtttest.Login("alice", "wrong")), long(5000))
			refused.Expect("A refusal arrives, though not all was read.", mqtttest.Connack(packets.V311, packets.BadUserNameOrPassword))
			refused.ExpectClose("The end is orderly.")
			refused.Close()

			client := dial(packets.V5)
			_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
			large := stream(packets.V5, "data/large", 1<<20)
			go client.Conn.Write(large)
			broker.Expect("A large PUBLISH goes on.", large)
			client.Send(mqtttest.Publish(packets.V5, 0, 0, "kicked/a", "x"), long(5000))
			client.Expect("The last word arrives, though not all was read.", mqtttest.Disconnect(packets.V5, packets.AdministrativeAction))
			client.ExpectClose("The end is orderly.")
			client.Close()
			broker.ExpectClose("The broker's side ends.")
			broker.Close()

			client = dial(packets.V311)
			_, broker = h.sessionWith(client, packets.V311, mqtttest.Connack(packets.V311, packets.Success))
			if tcp, ok := client.Conn.(*net.TCPConn); ok {
				tcp.SetLinger(0) // a reset
			}
			client.Close()
			broker.Conn.SetReadDeadline(time.Now().Add(broker.Patience))
			if b, err := io.ReadAll(broker.Conn); len(b) > 0 || err != nil {
				t.Errorf("after a reset of the client the broker sees % x and %v, want the end of the stream", b, err)
			}
		})
	}
}
