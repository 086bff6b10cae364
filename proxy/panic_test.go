package proxy_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestPanic has a bug in a filter: the session that meets it ends, others live.
func TestPanic(t *testing.T) {
	tests := []struct {
		name string
		meet func(client, broker *mqtttest.Peer, v packets.Version)
	}{
		{"on the way up", func(client, _ *mqtttest.Peer, v packets.Version) {
			client.Send(mqtttest.Publish(v, 0, 0, "panic/a", "x"))
		}},
		{"on the way down", func(_, broker *mqtttest.Peer, v packets.Version) {
			broker.Send(mqtttest.Publish(v, 0, 0, "panic/a", "x"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				h.panics = 1
				client, broker := h.session(v)
				other, otherBroker := h.session(v)
				tt.meet(client, broker, v)
				client.Expect("The client is told that something went wrong.", goodbye(v, packets.UnspecifiedError)...)
				client.ExpectClose("Its session ends.")
				broker.ExpectClose("The broker's side ends, and its Will is due.")
				client.Close()
				broker.Close()
				other.Send(mqtttest.Pingreq())
				otherBroker.Expect("Others live.", mqtttest.Pingreq())
				h.expectEnd("ended panic")
				if !slices.ContainsFunc(h.log.all(), contains("panic in a session", "a bug in a filter", "script_test.go")) {
					t.Errorf("the log does not tell where: %q", h.log.all())
				}
			})
		})
	}
}

// TestPanicBeforeSession meets the bug on the way to a session: nothing is
// left open.
func TestPanicBeforeSession(t *testing.T) {
	buggy := filters.Chain{opens(func(*filters.Session) { panic("a bug in Open") })}
	tests := []struct {
		name  string
		rig   func(h *house)
		dials int32
	}{
		{"in the judgement of the CONNECT", func(*house) {}, 0},
		{"when the filters up are opened", func(h *house) { h.policy.Up = buggy }, 0},
		{"when the filters down are opened", func(h *house) { h.policy.Down = buggy }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				h.panics = 1
				defer h.close()
				tt.rig(h)
				client := h.dial(packets.V5)
				if tt.dials == 0 {
					client.Send(mqtttest.Connect(packets.V5, "device", mqtttest.Will("panic/a", "x")))
				} else {
					client.Send(mqtttest.Connect(packets.V5, "device"))
					broker := h.answer(packets.V5)
					broker.Expect("The CONNECT arrives.", mqtttest.Connect(packets.V5, "device"))
					broker.Send(mqtttest.Connack(packets.V5, packets.Success))
					client.Expect("The CONNACK too.", mqtttest.Connack(packets.V5, packets.Success))
					broker.ExpectGone("The broker's side ends.")
				}
				client.ExpectGone("The connection ends.")
				synctest.Wait()
				if n := h.seen.sum("refused panic") + h.seen.sum("ended panic"); n != 1 {
					t.Errorf("%d panics counted, want 1", n)
				}
				if n := h.dials.Load(); n != tt.dials {
					t.Errorf("%d dials, want %d", n, tt.dials)
				}
			})
		})
	}
}

// TestPanicAtTheEnd meets a bug when all is over: nothing is kept, and nobody else
// dies of it.
func TestPanicAtTheEnd(t *testing.T) {
	for _, began := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, func(p *proxy.Policy) { p.Up = append(p.Up, closes(func() { panic("a bug in Close") })) })
			h.panics = 1
			defer h.close()
			if began {
				client, _ := h.session(packets.V5)
				client.Close()
			} else {
				client := h.dial(packets.V5)
				client.Send(mqtttest.Connect(packets.V5, "device", mqtttest.Will("denied/a", "x")))
			}
			h.wait()
			if n := h.seen.sum("refused panic") + h.seen.sum("ended panic"); n != 1 {
				t.Errorf("%d panics counted, want 1", n)
			}
		})
	}
}

// closes is a filter that lets everything go on, and is closed.
type closes func()

func (closes) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}

func (c closes) Close() { c() }
