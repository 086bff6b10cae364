package proxy_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// pumps counts the pumps, and those among them that rest.
func pumps() (all, resting int) {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if !strings.Contains(stack, "proxy.(*conn).runPump") {
			continue
		}
		all++
		if !strings.Contains(stack, "proxy.(*pump).move") {
			resting++
		}
	}
	return all, resting
}

// TestRests: pumps that have nothing to do for a while rest, and a session whose
// pumps rest goes on as if they did not.
func TestRests(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v, mqtttest.KeepAlive(60))
		up := mqtttest.Publish(v, 0, 0, "data/a", "up")
		down := mqtttest.Publish(v, 0, 0, "data/a", "down")
		for range 3 {
			for _, want := range []int{0, 2} {
				time.Sleep(time.Second)
				synctest.Wait()
				if all, resting := pumps(); all != 2 || resting != want {
					t.Fatalf("%d of %d pumps rest, want %d of 2", resting, all, want)
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
			}
			client.Send(up)
			broker.Expect("The way up is open.", up)
			broker.Send(down)
			client.Expect("The way down is open.", down)
		}
		took := ended(client, "Silence ends the session.", goodbye(v, packets.KeepAliveTimeout)...)
		if took < 91*time.Second || took > 92*time.Second {
			t.Errorf("after %v, want 91 s", took)
		}
		broker.ExpectGone("And the broker's side.")
		h.expectEnd("ended keep_alive_timeout")
	})
}

// TestRestEnds ends sessions whose pumps rest.
func TestRestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(h *house, client, broker *mqtttest.Peer)
		want string
	}{
		"client":  {func(_ *house, client, _ *mqtttest.Peer) { client.Conn.Close() }, "ended client_closed"},
		"broker":  {func(_ *house, _, broker *mqtttest.Peer) { broker.Conn.Close() }, "ended broker_closed"},
		"goodbye": {func(_ *house, client, _ *mqtttest.Peer) { client.Send(mqtttest.Disconnect(packets.V5, 0)) }, "ended client_disconnect"},
		"mistake": {func(_ *house, client, _ *mqtttest.Peer) { client.Send([]byte{0}) }, "ended protocol_error"},
		"operator": {func(h *house, _, _ *mqtttest.Peer) {
			h.server.Kick("test", func(proxy.ClientInfo) bool { return true })
		}, "ended kicked"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client, broker := h.session(packets.V5, mqtttest.KeepAlive(60))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if _, resting := pumps(); resting != 2 {
					t.Fatalf("%d pumps rest, want 2", resting)
				}
				test.end(h, client, broker)
				time.Sleep(5 * time.Second)
				h.expectEnd(test.want)
			})
		})
	}
}
