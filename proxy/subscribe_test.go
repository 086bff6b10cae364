package proxy_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestSubscribe sends SUBSCRIBEs of which some filters are refused, and puts
// the broker's answers together with the refusals.
func TestSubscribe(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		refused := packets.NotAuthorized
		switch v {
		case packets.V311:
			refused = packets.UnspecifiedError
		case packets.V31:
			refused = packets.GrantedQoS1 // which has no refusal: it is granted and nothing delivered
		}

		client.Send(mqtttest.Subscribe(v, 1, "a", "b/#"))
		broker.Expect("What is allowed goes on as it came.", mqtttest.Subscribe(v, 1, "a", "b/#"))
		broker.Send(mqtttest.Suback(v, 1, 1, 0))
		client.Expect("The answer too.", mqtttest.Suback(v, 1, 1, 0))

		client.Send(mqtttest.Subscribe(v, 2, "denied/a", "denied/b"), mqtttest.Pingreq())
		client.Expect("What is refused altogether is answered here.", mqtttest.Suback(v, 2, refused, refused))
		broker.Expect("The broker hears nothing of it.", mqtttest.Pingreq())

		client.Send(mqtttest.Subscribe(v, 3, "a", "denied/a", "b", "denied/b"), mqtttest.Subscribe(v, 4, "denied/a", "c"))
		broker.Expect("The allowed filters go on under the same ids.", mqtttest.Subscribe(v, 3, "a", "b"), mqtttest.Subscribe(v, 4, "c"))
		failed := packets.UnspecifiedError // the broker's own refusal
		if v == packets.V31 {
			failed = packets.GrantedQoS2
		}
		broker.Send(mqtttest.Suback(v, 4, failed), mqtttest.Suback(v, 3, 0, 1))
		client.Expect("The answers are merged in the order of the filters, whichever comes first.",
			mqtttest.Suback(v, 4, refused, failed), mqtttest.Suback(v, 3, 0, refused, 1, refused))

		client.Send(mqtttest.Subscribe(v, 3, "a"))
		broker.Expect("The id may be used again.", mqtttest.Subscribe(v, 3, "a"))
		broker.Send(mqtttest.Suback(v, 3, 1))
		client.Expect("Without the old refusals.", mqtttest.Suback(v, 3, 1))

		if n := h.seen.count("decided subscribe allowed"); n != 6 {
			t.Errorf("%d filters allowed, want 6", n)
		}
		if n := h.seen.count("decided subscribe denied"); n != 5 {
			t.Errorf("%d filters denied, want 5", n)
		}
		if !slices.ContainsFunc(h.audit.all(), contains("subscribe denied", "filter=denied/b", "client_id=device")) {
			t.Errorf("audit: %q", h.audit.all())
		}
	})
}

// TestSubackThatDoesNotFit ends the session: what it would grant is unknown.
func TestSubackThatDoesNotFit(t *testing.T) {
	for _, codes := range [][]packets.ReasonCode{{0}, {0, 0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			client, broker := h.session(packets.V5)
			client.Send(mqtttest.Subscribe(packets.V5, 1, "a", "denied/a", "b"))
			broker.Expect("Two filters go on.", mqtttest.Subscribe(packets.V5, 1, "a", "b"))
			broker.Send(mqtttest.Suback(packets.V5, 1, codes...))
			client.Expect("The session ends.", mqtttest.Disconnect(packets.V5, packets.ProtocolError))
			client.ExpectClose("It ends without a SUBACK.")
		})
	}
}

// TestSubscribeIDInUse refuses a second SUBSCRIBE under the id of one whose
// answer is not known yet.
func TestSubscribeIDInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(packets.V5)
		client.Send(mqtttest.Subscribe(packets.V5, 1, "a", "denied/a"), mqtttest.Subscribe(packets.V5, 1, "b"))
		broker.Expect("The first goes on.", mqtttest.Subscribe(packets.V5, 1, "a"))
		broker.ExpectClose("The second does not.")
		client.Expect("The session ends.", mqtttest.Disconnect(packets.V5, packets.ProtocolError))
		client.ExpectClose("It ends.")
	})
}

// TestSubscribeWithManyRefused: one packet makes few lines, whatever is in it.
func TestSubscribeWithManyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v, many = packets.V5, 100
		h := open(t)
		defer h.close()
		client, _ := h.session(v)
		refused := make([]string, many)
		codes := make([]packets.ReasonCode, many)
		for i := range many {
			refused[i], codes[i] = "denied/"+strconv.Itoa(i), packets.NotAuthorized
		}
		client.Send(mqtttest.Subscribe(v, 1, refused...))
		client.Expect("Each filter has its answer.", mqtttest.Suback(v, 1, codes...))
		lines := slices.DeleteFunc(h.audit.all(), func(line string) bool { return !strings.Contains(line, "subscribe denied") })
		if len(lines) != 17 || !strings.Contains(lines[16], "more=84") {
			t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
		}
		if n := h.seen.count("decided subscribe denied"); n != many {
			t.Errorf("%d filters denied, want %d", n, many)
		}
	})
}
