package proxy_test

import (
	"context"
	"crypto/tls"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// drain begins a drain of all and returns what is closed when it is over.
func (h *house) drain(d proxy.Drain) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.server.Drain(h.t.Context(), d)
	}()
	synctest.Wait()
	return done
}

func isOver(done <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// TestDrainInHandshake: who was on the way when the drain began is let in, and is
// drained like everybody.
func TestDrainInHandshake(t *testing.T) {
	phases := map[string]func(h *house, v packets.Version, client *mqtttest.Peer){
		"before the CONNECT": func(h *house, v packets.Version, client *mqtttest.Peer) {
			client.Send(mqtttest.Connect(v, "device"))
		},
		"in the CONNECT": func(h *house, v packets.Version, client *mqtttest.Peer) {
			client.Send(mqtttest.Connect(v, "device")[7:])
		},
	}
	begun := map[string]int{"in the CONNECT": 7} // how much has come before the drain
	for name, rest := range phases {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				client := h.dial(v)
				if n := begun[name]; n > 0 {
					client.Send(mqtttest.Connect(v, "device")[:n])
				}
				synctest.Wait()
				done := h.drain(proxy.Drain{PerSecond: 1})
				if isOver(done) {
					t.Fatal("the drain is over, and somebody is on the way")
				}
				rest(h, v, client)
				broker := h.answer(v)
				broker.Expect("It is let in.", mqtttest.Connect(v, "device"))
				if isOver(done) {
					t.Fatal("the drain is over before the CONNACK")
				}
				broker.Send(mqtttest.Connack(v, packets.Success))
				client.Expect("Its CONNECT is answered.", mqtttest.Connack(v, packets.Success))
				client.Expect("It is drained.", goodbye(v, packets.ServerShuttingDown)...)
				client.ExpectClose("The end.")
				if !isOver(done) {
					t.Error("the drain goes on, and nobody is left")
				}
				client.Close()
				broker.Close()
				h.expectEnd("ended drained")
			})
		})
	}
}

// TestDrainInTLS: so is who was in the TLS handshake.
func TestDrainInTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id))
		defer h.close()
		client := h.dial(packets.V5)
		synctest.Wait()
		done := h.drain(proxy.Drain{})
		if isOver(done) {
			t.Fatal("the drain is over, and somebody is on the way")
		}
		client.Conn = tls.Client(client.Conn, id.client())
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		client.Expect("It is drained.", mqtttest.Disconnect(packets.V5, packets.ServerShuttingDown))
		if !isOver(done) {
			t.Error("the drain goes on, and nobody is left")
		}
		client.Close()
		broker.Close()
		h.expectEnd("ended drained")
	})
}

// TestDrainOfNobody: who never says anything is waited for as long as it has for
// its CONNECT, and who is refused no longer.
func TestDrainOfNobody(t *testing.T) {
	for name, tt := range map[string]struct {
		says []byte
		took time.Duration
	}{
		"silent":  {nil, connectTimeout},
		"refused": {mqtttest.Connect(packets.V5, "device", mqtttest.Login("eve", "wrong")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client := h.dial(packets.V5)
				synctest.Wait()
				start, done := time.Now(), h.drain(proxy.Drain{PerSecond: 1})
				if tt.says != nil {
					client.Send(tt.says)
				}
				go expectEnd(t, client, "The connection ends.")
				<-done
				if took := time.Since(start); took < tt.took || took > tt.took+lingering {
					t.Errorf("Drain took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// TestDrainInHandshakeGivesUp when its context ends.
func TestDrainInHandshakeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		h.dial(packets.V5)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		h.server.Drain(ctx, proxy.Drain{})
		if took := time.Since(start); took != time.Second {
			t.Errorf("Drain took %v", took)
		}
	})
}

// TestShutdownAfterDrain tells those who are left, and those who are not let in any
// more, what the drain has told the others.
func TestShutdownAfterDrain(t *testing.T) {
	const reference = "other.example"
	ps := mqtttest.Text(packets.ServerReference, reference)
	refused := mqtttest.Connack(packets.V5, packets.UseAnotherServer, ps)
	for name, tt := range map[string]struct {
		version packets.Version
		edit    []func(*packets.Connect)
		moved   bool
		want    []byte
	}{
		"another server": {packets.V5, nil, false, refused},
		"moved":          {packets.V5, nil, true, mqtttest.Connack(packets.V5, packets.ServerMoved, ps)},
		"it fits":        {packets.V5, []func(*packets.Connect){mqtttest.Props(mqtttest.Uint32(packets.MaximumPacketSize, uint32(len(refused))))}, false, refused},
		"it does not":    {packets.V5, []func(*packets.Connect){mqtttest.Props(mqtttest.Uint32(packets.MaximumPacketSize, uint32(len(refused)-1)))}, false, mqtttest.Connack(packets.V5, packets.UseAnotherServer)},
		"MQTT 3.1.1":     {packets.V311, nil, false, mqtttest.Connack(packets.V311, packets.ServerUnavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				left, leftBroker := h.login(packets.V5, "bob")
				go closeAfter(leftBroker)
				client := h.dial(tt.version)
				client.Send(mqtttest.Connect(tt.version, "device", tt.edit...))
				go closeAfter(h.answer(tt.version)) // and no CONNACK
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				h.server.Drain(ctx, proxy.Drain{PerSecond: 1, Reference: reference, Moved: tt.moved})
				if n := len(h.seen.ends()); n != 0 {
					t.Errorf("there was no time, and %d ends", n)
				}
				go h.server.Shutdown(t.Context())
				client.Expect("It is not let in any more.", tt.want)
				code := packets.UseAnotherServer
				if tt.moved {
					code = packets.ServerMoved
				}
				left.Expect("Who is left goes there too.", packets.AppendDisconnectWith(nil, code, ps))
				client.Close()
				left.Close()
				h.wait()
				if got, want := h.seen.ends(), []string{"ended shutdown", "refused shutdown"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
					t.Errorf("ends %q, want %q", got, want)
				}
			})
		})
	}
}
