package proxy_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/memnet"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
)

// The limits of the listeners under test.
const (
	handshakeTimeout = 10 * time.Second
	connectTimeout   = 5 * time.Second
	packetTimeout    = 30 * time.Second
)

var versions = []packets.Version{packets.V31, packets.V311, packets.V5}

// lingering is more than the proxy waits for peers that do not close.
const lingering = 3 * time.Second

// house is a proxy with one listener and a broker that the test plays.
type house struct {
	t        testing.TB
	policy   *proxy.Policy
	server   *proxy.Server
	listener *proxy.Listener
	front    *memnet.Listener // clients connect here
	broker   *memnet.Listener // the proxy dials here
	dials    atomic.Int32
	slots    atomic.Int32 // admitted connections that are not released
	filters  atomic.Int32 // opened filters that are not closed
	opened   atomic.Int32 // all filters that were ever opened
	fault    atomic.Int32 // proxy.Fault of the visit that ended last
	unserved atomic.Int32 // visits that found no broker
	guests   guestbook
	asked    filters.Credentials // at the last login, if the test knows anybody
	panics   int                 // ERROR lines that the test expects
	expires  time.Time           // of all identities

	peers []net.Conn // to be closed in the end

	seen  *recorder
	log   *logbook
	audit *logbook
	serve sync.WaitGroup
}

// open runs a proxy; edit changes its policy before.
func open(t testing.TB, edit ...func(*proxy.Policy)) *house {
	h := &house{t: t, front: memnet.Listen(), broker: memnet.Listen(), seen: &recorder{counts: map[string]int{}}, log: &logbook{}, audit: &logbook{}}
	h.policy = h.newPolicy(edit...)
	h.server = proxy.NewServer(h.seen, slog.New(h.log), slog.New(h.audit))
	h.listener = h.server.NewListener(h.policy)
	h.serve.Go(func() { h.listener.Serve(h.front) })
	return h
}

// newPolicy is a policy whose filters go by the topic, see script.
func (h *house) newPolicy(edit ...func(*proxy.Policy)) *proxy.Policy {
	p := &proxy.Policy{
		Listener: "test",
		Admit: func(_ time.Time, addr netip.Addr) (proxy.Visit, string) {
			h.slots.Add(1)
			return &guest{guestbook: h.guests, h: h, addr: addr}, ""
		},
		Authn: h,
		Up:    filters.Chain{&opener{h: h, filter: script}},
		Down:  filters.Chain{&opener{h: h, filter: script}},
		Route: at(h.reach),
		Limits: proxy.Limits{
			HandshakeTimeout: handshakeTimeout, ConnectTimeout: connectTimeout, PacketTimeout: packetTimeout,
			MaxConnectSize: 8 << 10, MaxTopicAliases: 16,
		},
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

// Authenticate knows everybody whose password is not "wrong".
func (h *house) Authenticate(_ context.Context, c filters.Credentials) (filters.Identity, error) {
	if h.guests.known != nil {
		h.asked = c
	}
	if string(c.Password) == "wrong" {
		return filters.Identity{Method: "users"}, &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "wrong password"}
	}
	return filters.Identity{Username: c.Username, Method: "users", Expires: h.expires}, nil
}

// Begin knows the Authentication Method "test"; see dialogue.
func (h *house) Begin(c filters.Credentials) (filters.Dialogue, error) {
	if c.AuthMethod != "test" {
		return nil, &packets.Error{Code: packets.BadAuthenticationMethod, Msg: "unknown method"}
	}
	return &dialogue{}, nil
}

// at is a backend of one server, which is reached by dial.
func at(dial func(context.Context) (net.Conn, error), edit ...func(*backend.Options)) func(*filters.Session) *backend.Pool {
	o := backend.Options{
		Name: "broker", Servers: []backend.Spec{{Address: "127.0.0.1:1883"}},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	for _, e := range edit {
		e(&o)
	}
	pool := backend.New(o, nil)
	return func(*filters.Session) *backend.Pool { return pool }
}

// reach dials the broker, and counts.
func (h *house) reach(ctx context.Context) (net.Conn, error) {
	h.dials.Add(1)
	return h.broker.Dial(ctx)
}

// dial connects a client that has not said anything.
func (h *house) dial(v packets.Version) *mqtttest.Peer {
	h.t.Helper()
	conn, err := h.front.Dial(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.peers = append(h.peers, conn)
	return mqtttest.Client(h.t, conn, v)
}

// answer takes the connection that the proxy opens to the broker.
func (h *house) answer(v packets.Version) *mqtttest.Peer {
	h.t.Helper()
	conn, err := h.broker.Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	h.peers = append(h.peers, conn)
	return mqtttest.Broker(h.t, conn, v)
}

// session brings a client and the broker through CONNECT and CONNACK.
func (h *house) session(v packets.Version, edit ...func(*packets.Connect)) (client, broker *mqtttest.Peer) {
	h.t.Helper()
	var ps packets.Properties
	if v == packets.V5 {
		ps = mqtttest.Uint32(packets.MaximumPacketSize, 100) // no policy takes less, so that the CONNACK goes on as it came
	}
	return h.sessionWith(h.dial(v), v, mqtttest.Connack(v, packets.Success, ps), edit...)
}

func (h *house) sessionWith(client *mqtttest.Peer, v packets.Version, connack []byte, edit ...func(*packets.Connect)) (_, broker *mqtttest.Peer) {
	h.t.Helper()
	connect := mqtttest.Connect(v, "device", edit...)
	client.Send(connect)
	broker = h.answer(v)
	broker.Expect("The CONNECT goes on as it came.", connect)
	broker.Send(connack)
	client.Expect("The broker's CONNACK comes back.", connack)
	return client, broker
}

// close ends the proxy and checks what has to be true of every test: all is
// released, each admitted connection was counted once, nothing is an ERROR.
func (h *house) close() {
	h.t.Helper()
	h.front.Close()
	h.broker.Close()
	for _, c := range h.peers {
		c.Close()
	}
	if err := h.server.Shutdown(h.t.Context()); err != nil {
		h.t.Errorf("Shutdown: %v", err)
	}
	h.serve.Wait()
	if n := h.slots.Load(); n != 0 {
		h.t.Errorf("%d admissions were not released", n)
	}
	if n := h.filters.Load(); n != 0 {
		h.t.Errorf("filters: %d more opened than closed", n)
	}
	if n := len(h.log.at(slog.LevelError)); n != h.panics {
		h.t.Errorf("%d ERROR lines, want %d: %v", n, h.panics, h.log.at(slog.LevelError))
	}
	if opened, ends := h.seen.sum("opened "), h.seen.sum("refused ")+h.seen.sum("ended "); opened != ends || opened != h.seen.sum("closed") {
		h.t.Errorf("%d connections opened, %d ends counted: %v", opened, ends, h.seen)
	}
}

// wait waits until what has ended is over.
func (h *house) wait() {
	time.Sleep(lingering)
	synctest.Wait()
}

// expectEnd waits for the end of the only connection and checks how it was
// counted: "refused not_mqtt", "ended packet_timeout".
func (h *house) expectEnd(want string) {
	h.t.Helper()
	time.Sleep(lingering)
	synctest.Wait()
	if got := h.seen.ends(); !slices.Equal(got, []string{want}) {
		h.t.Errorf("the connection's end was counted as %q, want %q; audit: %v", got, want, h.audit.all())
	}
}
