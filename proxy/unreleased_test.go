package proxy_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// flowTimeout is the limit of these tests; it is kept to a quarter, and its clock
// begins up to a quarter late.
const flowTimeout = time.Minute

func timed(p *proxy.Policy) {
	checked(p)
	p.Limits.FlowTimeout = flowTimeout
}

func ackOf(v packets.Version, t packets.Type, id uint16) []byte {
	return mqtttest.Ack(v, t, id, packets.Success)
}

// halfOpen leaves a QoS 2 PUBLISH without PUBREL.
func halfOpen(client, broker *mqtttest.Peer, v packets.Version, id uint16) {
	p := mqtttest.Publish(v, 2, id, "data/a", "x")
	client.Send(p)
	broker.Expect("It goes on.", p)
	broker.Send(ackOf(v, packets.PUBREC, id))
	client.Expect("The broker has it.", ackOf(v, packets.PUBREC, id))
}

// TestFlowTimeout: a client that never sends the PUBREL loses its session, whatever
// else it does, and the broker its connection.
func TestFlowTimeout(t *testing.T) {
	for _, refused := range []bool{false, true} {
		each(t, func(t *testing.T, v packets.Version) {
			if refused && v == packets.V5 {
				return // the refusal ends the flow [MQTT-4.3.3-9]
			}
			h := open(t, timed)
			defer h.close()
			client, broker := h.session(v)
			denied := mqtttest.Publish(v, 2, 7, "denied/a", "x")
			again := func() {
				client.Send(denied)
				client.Expect("It is refused.", ackOf(v, packets.PUBREC, 7))
			}
			start := time.Now()
			if refused {
				again()
			} else {
				halfOpen(client, broker, v, 7)
			}
			for range 11 {
				time.Sleep(5 * time.Second)
				client.Send(mqtttest.Pingreq())
				broker.Expect("It lives.", mqtttest.Pingreq())
				if refused {
					again()
				}
			}
			ended(client, "The session ends.", goodbye(v, packets.QuotaExceeded)...)
			if took := time.Since(start); took < flowTimeout || took > flowTimeout*5/4 {
				t.Errorf("ended after %v, want %v or up to a quarter more", took, flowTimeout)
			}
			broker.ExpectClose("The broker lets go of it.")
			h.expectEnd("ended policy")
		})
	}
}

// TestFlowsInTime: flows that go on stay, one after the other and many at once, and
// so does a client whose broker is slow to answer.
func TestFlowsInTime(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, timed)
		defer h.close()
		client, broker := h.session(v)
		finish := func(id uint16) {
			client.Send(ackOf(v, packets.PUBREL, id))
			broker.Expect("It goes on.", ackOf(v, packets.PUBREL, id))
			broker.Send(ackOf(v, packets.PUBCOMP, id))
			client.Expect("It is complete.", ackOf(v, packets.PUBCOMP, id))
		}
		halfOpen(client, broker, v, 1)
		for id := range uint16(10) { // always one without PUBREL
			time.Sleep(flowTimeout / 2)
			halfOpen(client, broker, v, id+2)
			finish(id + 1)
		}
		finish(11)
		time.Sleep(time.Hour)
		p := mqtttest.Publish(v, 2, 99, "data/a", "x")
		client.Send(p)
		broker.Expect("It goes on.", p)
		time.Sleep(time.Hour)
		broker.Send(ackOf(v, packets.PUBREC, 99))
		client.Expect("The broker takes its time.", ackOf(v, packets.PUBREC, 99))
		finish(99)
	})
}

// TestFlowTimeoutWhileHeld: the time for which we do not read a client is not its
// own. Its PUBREL may have come.
func TestFlowTimeoutWhileHeld(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, timed)
		defer h.close()
		client, broker := h.session(v)
		broker.Patience = time.Hour
		for id := range uint16(3) {
			halfOpen(client, broker, v, id+1)
			var all [][]byte
			for range 5 {
				all = append(all, mqtttest.Publish(v, 0, 0, "slow/a", "x")) // a minute each
			}
			all = append(all, ackOf(v, packets.PUBREL, id+1))
			client.Send(all...)
			broker.Expect("All of it arrives.", all...)
			broker.Send(ackOf(v, packets.PUBCOMP, id+1))
			client.Expect("It is complete.", ackOf(v, packets.PUBCOMP, id+1))
		}
		halfOpen(client, broker, v, 9)
		ended(client, "It still ends.", goodbye(v, packets.QuotaExceeded)...)
	})
}

// TestFlowTimeoutBehindSlowBroker: nor is the time for which the broker does not take
// what comes before the PUBREL.
func TestFlowTimeoutBehindSlowBroker(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, timed)
		defer h.close()
		client, broker := h.session(v)
		halfOpen(client, broker, v, 1)
		fill := concat(more(v, "data/fill")...)
		go client.Conn.Write(concat(fill, fill, fill, fill, ackOf(v, packets.PUBREL, 1)))
		broker.Conn.SetReadDeadline(time.Time{})
		for left := 4 * len(fill); left > 0; {
			time.Sleep(packetTimeout / 2)
			n, err := io.ReadFull(broker.Conn, make([]byte, min(left, 32<<10)))
			if left -= n; err != nil {
				t.Fatalf("%d bytes are missing: %v", left, err)
			}
		}
		broker.Expect("It was on its way.", ackOf(v, packets.PUBREL, 1))
	})
}

// TestFlowTimeoutOverReconnect: of an earlier connection nothing is late. The client
// may have lost what it knew.
func TestFlowTimeoutOverReconnect(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, timed, func(p *proxy.Policy) { p.Sessions = filters.NewStore(10) })
			defer h.close()
			client, broker := h.sessionWith(h.dial(v), v, connackOf(v), persistent)
			halfOpen(client, broker, v, 1)
			client.Close()
			h.wait()
			client, broker = h.sessionWith(h.dial(v), v, present(v), persistent)
			time.Sleep(time.Hour)
			client.Send(mqtttest.Pingreq())
			broker.Expect("It lives.", mqtttest.Pingreq())
			halfOpen(client, broker, v, 2)
			ended(client, "One of now is.", goodbye(v, packets.QuotaExceeded)...)
		})
	}
}
