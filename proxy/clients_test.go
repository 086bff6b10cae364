package proxy_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// login opens a session as a user, and waits until it is one: the CONNACK comes
// before that.
func (h *house) login(v packets.Version, user string, edit ...func(*packets.Connect)) (client, broker *mqtttest.Peer) {
	h.t.Helper()
	client, broker = h.session(v, append(edit, mqtttest.Login(user, "x"))...)
	synctest.Wait()
	return client, broker
}

func named(user string) func(proxy.ClientInfo) bool {
	return func(c proxy.ClientInfo) bool { return c.Username == user }
}

// TestKicked: the session ends at once, its Will is due, nobody else notices, and
// the client may come back.
func TestKicked(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		gone, goneBroker := h.login(v, "eve", mqtttest.Will("data/a", "x"))
		stays, staysBroker := h.login(v, "bob")
		start := time.Now()
		if n := h.server.Kick("the test", named("eve")); n != 1 {
			t.Errorf("%d kicked, want 1", n)
		}
		if v == packets.V5 {
			gone.Expect("It is told why.", mqtttest.Disconnect(v, packets.AdministrativeAction))
		}
		gone.ExpectClose("The end.")
		goneBroker.ExpectClose("No DISCONNECT before it: the Will is due [MQTT-3.1.2-8].")
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it took %v", waited)
		}
		stays.Send(mqtttest.Pingreq())
		staysBroker.Expect("The other goes on.", mqtttest.Pingreq())
		gone.Close()
		h.expectEnd("ended kicked")
		if !slices.ContainsFunc(h.audit.all(), func(line string) bool {
			return strings.HasPrefix(line, "session ended ") && strings.Contains(line, "username=eve") &&
				strings.HasSuffix(line, "end=kicked reason=Administrative action error=kicked by the test")
		}) {
			t.Errorf("not in the audit log: %v", h.audit.all())
		}
		h.login(v, "eve")
	})
}

// TestKickSlow: a client that does not read and a broker that does not close
// cannot put off the end, and who is about to end is kicked once.
func TestKickSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		defer h.close()
		_, broker := h.login(v, "eve")
		go broker.Send(mqtttest.Publish(v, 0, 0, "data/a", strings.Repeat("x", 1<<20)))
		synctest.Wait()
		for i, want := range []int{1, 0} {
			if n := h.server.Kick("the test", named("eve")); n != want {
				t.Errorf("call %d: %d kicked, want %d", i, n, want)
			}
		}
		if list := h.server.Clients(); len(list) != 0 {
			t.Errorf("listed still: %v", list)
		}
		h.expectEnd("ended kicked")
	})
}

// TestClients: who runs is listed, with what is known of it; who is not let in
// yet, or not any more, is not.
func TestClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		h.expires = time.Now().Add(time.Hour)
		began := time.Now()
		bob, _ := h.login(packets.V311, "bob")
		time.Sleep(time.Minute)
		h.login(packets.V5, "alice")
		waiting := h.dial(packets.V5)
		waiting.Send(mqtttest.Connect(packets.V5, "waiting", mqtttest.Login("eve", "x")))
		h.answer(packets.V5) // which has not sent its CONNACK
		want := []proxy.ClientInfo{
			{Session: 1, ClientID: "device", BrokerID: "device", Username: "bob", Method: "users", Listener: "test", Backend: "broker", Server: "127.0.0.1:1883", Version: packets.V311, Since: began, Expires: h.expires},
			{Session: 2, ClientID: "device", BrokerID: "device", Username: "alice", Method: "users", Listener: "test", Backend: "broker", Server: "127.0.0.1:1883", Version: packets.V5, Since: began.Add(time.Minute), Expires: h.expires},
		}
		got := h.server.Clients()
		for i := range got {
			got[i].Remote = want[0].Remote
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if n := h.server.Kick("the test", named("eve")); n != 0 {
			t.Errorf("%d kicked, and none of them has a session", n)
		}
		bob.Close()
		h.wait()
		if got = h.server.Clients(); len(got) != 1 || got[0].Username != "alice" {
			t.Errorf("without bob: %+v", got)
		}
	})
}
