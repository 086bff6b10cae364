package proxy

import (
	"crypto/tls"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
)

// TestTicketKey: nodes of all versions come to this key. It was calculated with
// OpenSSL: openssl kdf -keylen 32 -kdfopt digest:SHA2-256 -kdfopt hexkey:… -kdfopt hexinfo:… HKDF.
func TestTicketKey(t *testing.T) {
	tickets := Tickets{Listener: "mqtts", Lifetime: 24 * time.Hour}
	got := tickets.key(filters.Secret(strings.Repeat("s", 32)), 40_000)
	if want := "e230aac3496dd767032b77d0921c7f9b4fd3ef52a743504b54602e8cd7dde13d"; hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

// TestTicketClocks has two nodes whose clocks differ: up to a period, each opens what
// the other makes.
func TestTicketClocks(t *testing.T) {
	tickets := Tickets{Secrets: []filters.Secret{[]byte("the first"), []byte("the second")}, Lifetime: 24 * time.Hour}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	keys := func(skew time.Duration) [][32]byte { return tickets.keys(tickets.period(now.Add(skew))) }
	for skew, opens := range map[time.Duration]bool{
		0: true, time.Minute: true, -time.Minute: true, 12 * time.Hour: true, -12 * time.Hour: true, 24 * time.Hour: false, -24 * time.Hour: false,
	} {
		if got := slices.Contains(keys(skew), keys(0)[0]); got != opens {
			t.Errorf("a clock that is off by %s: opened: %v", skew, got)
		}
	}
}

// TestClockSetBack: keys of a time that has not come are not kept until it comes.
func TestClockSetBack(t *testing.T) {
	tickets := Tickets{Secrets: []filters.Secret{[]byte("secret")}, Lifetime: time.Hour}
	k := tickets.ticketKeys(&tls.Config{})
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, now := range []time.Time{start, start.Add(time.Hour), start} {
		k.rotate(now)
		if want := tickets.period(now); k.current != want {
			t.Errorf("the keys are those of period %d, want %d", k.current, want)
		}
	}
}
