package proxy_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
	"github.com/mqttward/mqttward/ratelimit"
)

// guestbook is what a test says to visits. The zero one lets everybody in.
type guestbook struct {
	known func(netip.Addr) bool
	claim func(username string, certificate string) *proxy.Refusal
	enter func(proxy.Newcomer) *proxy.Refusal
}

// guest is a visit.
type guest struct {
	guestbook
	h    *house
	addr netip.Addr
	gone bool
}

func (g *guest) Rank() int {
	if g.known != nil && g.known(g.addr) {
		return ratelimit.Known
	}
	return ratelimit.Stranger
}

func (g *guest) Claim(_ time.Time, username string, certificate string) *proxy.Refusal {
	if g.claim == nil {
		return nil
	}
	return g.claim(username, certificate)
}

func (g *guest) Enter(_ time.Time, n proxy.Newcomer) *proxy.Refusal {
	if g.enter == nil {
		return nil
	}
	return g.enter(n)
}

func (g *guest) Unserved() { g.h.unserved.Add(1) }

func (g *guest) Leave(_ time.Time, f proxy.Fault) {
	if g.gone {
		g.h.t.Error("a visit ends twice")
	}
	g.gone = true
	g.h.fault.Store(int32(f))
	g.h.slots.Add(-1)
}

// TestRefusedVisit: who is turned away is told so, at the claim before anybody asks
// whether it is true, and in neither case is the broker dialled.
func TestRefusedVisit(t *testing.T) {
	for _, v := range []packets.Version{packets.V31, packets.V311, packets.V5} {
		for _, at := range []string{"claim", "enter"} {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				banned := &proxy.Refusal{End: proxy.EndBanned, Code: packets.Banned}
				var asked []string
				h.guests.claim = func(username string, certificate string) *proxy.Refusal {
					asked = append(asked, "claim "+username)
					if at == "claim" {
						return banned
					}
					return nil
				}
				h.guests.enter = func(n proxy.Newcomer) *proxy.Refusal {
					asked = append(asked, "enter "+n.Username+" "+n.ClientID)
					return banned
				}
				client := h.dial(v)
				client.Send(mqtttest.Connect(v, "device", mqtttest.Login("alice", "secret")))
				client.Expect("It is refused.", packets.AppendConnack(nil, v, false, packets.Banned, nil))
				client.ExpectClose("And closed.")
				h.expectEnd("refused banned")
				want := []string{"claim alice"}
				if at == "enter" {
					want = append(want, "enter alice device")
				}
				if !slices.Equal(asked, want) || h.dials.Load() != 0 {
					t.Errorf("asked %q, want %q; %d dials", asked, want, h.dials.Load())
				}
				if known := h.seen.sum("authenticated"); (known == 1) != (at == "enter") {
					t.Errorf("%s: %d authenticated", at, known)
				}
				if f := h.fault.Load(); f != 0 {
					t.Errorf("who is refused has another fault: %d", f)
				}
			})
		}
	}
}

// TestTaken: a newcomer who takes a client identifier of its own over is said to, and
// one of somebody else has none.
func TestTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) { p.Sessions = filters.NewStore(10) })
		defer h.close()
		var came []proxy.Newcomer
		h.guests.enter = func(n proxy.Newcomer) *proxy.Refusal { came = append(came, n); return nil }
		for _, user := range []string{"alice", "alice", "mallory"} {
			h.session(packets.V311, mqtttest.Login(user, "secret"))
		}
		want := []proxy.Newcomer{
			{Username: "alice", ClientID: "device"},
			{Username: "alice", ClientID: "device", Taken: true},
			{Username: "mallory"},
		}
		if !slices.Equal(came, want) {
			t.Errorf("came %+v, want %+v", came, want)
		}
	})
}

// TestFaultOfSessions: what a client is blamed for once it is in.
func TestFaultOfSessions(t *testing.T) {
	for name, test := range map[string]struct {
		send  []byte
		fault proxy.Fault
	}{
		"goodbye":         {mqtttest.Disconnect(packets.V311, packets.Success), proxy.NoFault},
		"a second hello":  {mqtttest.Connect(packets.V311, "device"), proxy.FaultProtocol},
		"malformed":       {[]byte{0x36, 0}, proxy.FaultProtocol},
		"half and silent": {[]byte{0x30, 9, 0, 1}, proxy.NoFault},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			client, _ := h.session(packets.V311)
			client.Send(test.send)
			time.Sleep(packetTimeout + lingering)
			synctest.Wait()
			if f := h.fault.Load(); f != int32(test.fault) || h.slots.Load() != 0 {
				t.Errorf("%s: fault %d, want %d; %d visits", name, f, test.fault, h.slots.Load())
			}
			h.close()
		})
	}
}

func TestFaultOfGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client := h.dial(packets.V311)
		client.Send(mqtttest.Connect(packets.V311, "device", mqtttest.Login("alice", "wrong")))
		h.expectEnd("refused bad_credentials")
		if f := h.fault.Load(); f != int32(proxy.FaultCredentials) {
			t.Errorf("fault %d", f)
		}
	})
}

// TestWhoIsClaimed: a user name counts where it is what will be found true or not, and a
// certificate is told from others.
func TestWhoIsClaimed(t *testing.T) {
	for _, test := range []struct {
		connect []byte
		user    string
	}{
		{mqtttest.Connect(packets.V5, "device", mqtttest.Login("alice", "wrong")), "alice"},
		{mqtttest.Connect(packets.V5, "device", mqtttest.Login("alice", "wrong"), method("test", "bob")), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			ca := newCA(t, "clients")
			pair := issue(t, ca, pki.Options{CN: "plc", Client: true})
			id := newIdentity(t, "broker.example")
			h := open(t, withTLS(id, func(o *proxy.TLSOptions) { o.ClientCAs, o.ClientAuth = pool(ca), tls.RequireAndVerifyClientCert }))
			defer h.close()
			var user, certificate string
			h.guests.claim = func(u, c string) *proxy.Refusal {
				user, certificate = u, c
				return &proxy.Refusal{End: proxy.EndBanned, Code: packets.Banned}
			}
			client := h.dial(packets.V5)
			client.Conn = tls.Client(client.Conn, id.client(pair))
			client.Send(test.connect)
			h.expectEnd("refused banned")
			sum := sha256.Sum256(pair.Certificate[0])
			if user != test.user || certificate != hex.EncodeToString(sum[:]) {
				t.Errorf("claimed %q, want %q; certificate %q", user, test.user, certificate)
			}
		})
	}
}

// TestSeats: when the broker takes no more, that is the end of the login.
func TestSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		h.policy.Route = at(h.reach, func(o *backend.Options) {
			o.Servers[0].MaxConnections = 1
			o.Seats = func() backend.Seats { return ratelimit.NewTurns(1) }
		})
		defer h.close()
		client, broker := h.session(packets.V5)
		late := h.dial(packets.V5)
		late.Send(mqtttest.Connect(packets.V5, "other"))
		late.Expect("The broker has no seat.", mqtttest.Connack(packets.V5, packets.ServerBusy))
		late.ExpectClose("And it ends.")
		if n := h.dials.Load(); n != 1 {
			t.Errorf("%d dials", n)
		}
		client.Send(mqtttest.Disconnect(packets.V5, packets.Success))
		broker.Expect("One goes.", mqtttest.Disconnect(packets.V5, packets.Success))
		broker.Close()
		h.wait()
		if n := h.unserved.Load(); n != 1 {
			t.Errorf("%d visits had no broker, want 1", n)
		}
		h.session(packets.V5)
	})
}

// TestWaitingForThePeerTakesNoProcessor: a handshake whose ClientHello was answered
// keeps nobody from theirs.
func TestWaitingForThePeerTakesNoProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		computing := ratelimit.NewTurns(1)
		h := open(t, withTLS(id), func(p *proxy.Policy) { p.Computing = computing })
		defer h.close()
		stuck := h.dial(packets.V5)
		stuck.Send(clientHello(t))
		synctest.Wait()
		client := h.dial(packets.V5)
		client.Conn = tls.Client(client.Conn, id.client())
		h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		if !computing.Try(ratelimit.Known) {
			t.Error("a place was not given back")
		}
		late := h.dial(packets.V5)
		late.Send(clientHello(t))
		time.Sleep(handshakeTimeout)
		expectEnd(t, late, "Who finds no processor in time is closed.")
		expectEnd(t, stuck, "Who does not go on is closed.")
		synctest.Wait()
		if computing.Try(ratelimit.Known) {
			t.Error("a place was given back that was not taken")
		}
	})
}

// TestKnownLogin: who is asked about a client is told whether it is known.
func TestKnownLogin(t *testing.T) {
	for _, known := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			h.guests.known = func(netip.Addr) bool { return known }
			h.session(packets.V311)
			if (h.asked.Rank == ratelimit.Known) != known {
				t.Errorf("known %v, told %d", known, h.asked.Rank)
			}
		})
	}
}

// TestKnownGoFirst where handshakes wait: of three, one is answered.
func TestKnownGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := ratelimit.NewTurns(1)
		slots.Try(ratelimit.Stranger)
		h := open(t, withTLS(newIdentity(t, "broker.example")), func(p *proxy.Policy) { p.Handshakes = slots })
		defer h.close()
		h.guests.known = func(addr netip.Addr) bool { return addr.String() == "192.0.2.1" }
		var waiting []net.Conn
		for _, ip := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			conn, err := h.front.DialFrom(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1})
			if err != nil {
				t.Fatal(err)
			}
			h.peers, waiting = append(h.peers, conn), append(waiting, conn)
			if _, err := conn.Write(clientHello(t)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		slots.Give()
		synctest.Wait()
		for i, conn := range waiting {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if n, _ := conn.Read(make([]byte, 100)); (n > 0) != (i == 0) {
				t.Errorf("client %d of 3, of which the first is known, is answered with %d bytes", i+1, n)
			}
		}
	})
}

// TestIdleHandshakesMakeRoom: who leaves a handshake half done loses the slot to who
// comes after a while, and is blamed for nothing.
func TestIdleHandshakesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id), func(p *proxy.Policy) { p.Handshakes = ratelimit.NewTurns(1) })
		defer h.close()
		idle := h.dial(packets.V5)
		idle.Send(clientHello(t))
		time.Sleep(2 * time.Second)
		start := time.Now()
		client := h.dial(packets.V5)
		client.Conn = tls.Client(client.Conn, id.client())
		h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the next waited %v", waited)
		}
		expectEnd(t, idle, "It is closed.")
		synctest.Wait()
		if n := h.seen.count("refused tls_handshake"); n != 1 || h.fault.Load() != int32(proxy.NoFault) {
			t.Errorf("%d refused, fault %d", n, h.fault.Load())
		}
	})
}
