package filters

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

var timeZero time.Time

func sessionOf(user, id string) *Session {
	return &Session{Version: packets.V5, ClientID: id, Identity: Identity{Username: user}}
}

// TestStoreOwner: a client identifier belongs to who used it first, for as long
// as the broker keeps the session.
func TestStoreOwner(t *testing.T) {
	store, now := NewStore(10), time.Unix(1000, 0)
	claim := func(say, user, owner string) *Session {
		t.Helper()
		s := sessionOf(user, "c")
		store.Claim(now, s)
		if s.Owner != owner {
			t.Fatalf("%s: the owner is %q, want %q", say, s.Owner, owner)
		}
		return s
	}
	refused := claim("alice's connection never becomes a session", "alice", "alice")
	store.End(now, refused, 0)
	bob := claim("so it is free", "bob", "bob")
	store.Begin(bob, false)
	eve := claim("bob is connected", "eve", "bob")
	store.End(now, eve, time.Hour)
	store.End(now, bob, time.Minute)
	eve = claim("bob's session waits for him", "eve", "bob")
	store.End(now, eve, time.Hour)
	again := claim("bob is back", "bob", "bob")
	store.Begin(again, true)
	other := claim("bob, from another place", "bob", "bob")
	store.Begin(other, true)
	store.End(now, again, time.Hour) // taken over
	store.End(now, other, time.Minute)
	now = now.Add(time.Minute + 1)
	eve = claim("bob's session has expired", "eve", "eve")
	store.Begin(eve, false)
	store.End(now, eve, 0)
	claim("eve's ended with her connection", "alice", "alice")
}

// TestStoreResume: the session goes on exactly if the broker says so.
func TestStoreResume(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, present := range []bool{true, false} {
		store := NewStore(10)
		first := sessionOf("bob", "c")
		store.Claim(now, first)
		store.Begin(first, false)
		chain := Chain{guard}
		chain.JudgeUp(now, first, parse(t, subscribe(packets.V5, 1, "a"), packets.V5, packets.Client))
		chain.JudgeDown(now, first, parse(t, suback(packets.V5, 1, 0), packets.V5, packets.Server))
		chain.JudgeUp(now, first, parse(t, publish(packets.V5, 2, 2, "a"), packets.V5, packets.Client))
		store.End(now, first, time.Hour)
		second := sessionOf("bob", "c")
		store.Claim(now, second)
		store.Begin(second, present)
		if _, ok := second.kept[2]; second.Subscribed("a") != present || ok != present {
			t.Errorf("session present %v: subscribed %v, flow %v", present, second.Subscribed("a"), ok)
		}
	}
}

// TestStoreOfServers: what is known of a session is known of the server that has it. An
// older one that another server has kept is not taken for it.
func TestStoreOfServers(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, server := range []string{"a:1", "b:1"} {
		store := NewStore(10)
		first, second := sessionOf("bob", "c"), sessionOf("bob", "c")
		first.Server, second.Server = "a:1", server
		store.Claim(now, first)
		store.Begin(first, false)
		store.End(now, first, time.Hour)
		store.Claim(now, second)
		store.Begin(second, true)
		if other := server != "a:1"; second.subscriptions.partial != other {
			t.Errorf("at %s: nobody knows what the server has kept: %v", server, second.subscriptions.partial)
		}
	}
}

// TestStoreBound: the sessions that have been away for longest are forgotten.
func TestStoreBound(t *testing.T) {
	store, now := NewStore(2), time.Unix(1000, 0)
	for _, id := range []string{"1", "2", "3"} {
		s := sessionOf("bob", id)
		store.Claim(now, s)
		store.Begin(s, false)
		store.End(now, s, time.Hour)
	}
	for id, owner := range map[string]string{"1": "eve", "2": "bob", "3": "bob"} {
		s := sessionOf("eve", id)
		store.Claim(now, s)
		if s.Owner != owner {
			t.Errorf("%s belongs to %s, want %s", id, s.Owner, owner)
		}
	}
	if n := store.away.Len(); n != 0 || len(store.sessions) != 3 {
		t.Errorf("%d away, %d in all", n, len(store.sessions))
	}
}

// TestStoreTenants: users of two tenants are two, also under one name.
func TestStoreTenants(t *testing.T) {
	store, now := NewStore(10), time.Unix(0, 0)
	first := &Session{ClientID: "device", Identity: Identity{Username: "bob", Tenant: "a"}}
	store.Claim(now, first)
	for _, id := range []Identity{{Username: "bob", Tenant: "b"}, {Username: "bob"}} {
		s := &Session{ClientID: "device", Identity: id}
		if store.Claim(now, s); s.Owner == s.Identity.Principal() {
			t.Errorf("%+v takes over the session of another tenant", id)
		}
		store.End(now, s, 0)
	}
	store.End(now, first, 0)
}
