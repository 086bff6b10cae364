package app

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestReloadKeepsWhatCounts: what did not change keeps its state, the rest is
// made anew.
func TestReloadKeepsWhatCounts(t *testing.T) {
	const limits = "limits: {max_handshakes: 7, publish_rate: {rate: 5, burst: 5}}\n"
	policy := strings.Replace(policy, `1883"}]`, `1883"}], max_connections: 9`, 1)
	path := write(t, policy+limits)
	sh := newShared()
	loaded := func(text string, last *built) *built {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := load(path, nil, sh, last)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := loaded(policy+limits, nil)
	got := 0
	for first.policies[0].Handshakes.Try(ratelimit.Known) {
		got++
	}
	if got != 7 {
		t.Errorf("%d handshakes at once, want 7", got)
	}
	computing := 0
	for first.policies[0].Computing.Try(ratelimit.Known) {
		computing++
	}
	if computing != halfOfProcessors() {
		t.Errorf("%d handshakes compute at once, want %d", computing, halfOfProcessors())
	}
	same := loaded(policy+limits+"log: {level: debug}\n", first)
	if same.handshakes != first.handshakes || same.seats != first.seats || first.seats == nil || same.broker != first.broker {
		t.Error("what did not change was made anew")
	}
	other := loaded(strings.NewReplacer("1883", "1884", "max_connections: 9", "max_connections: 0", "max_handshakes: 7", "max_handshakes: 0").Replace(policy+limits), first)
	if other.handshakes != nil || other.policies[0].Handshakes != nil || other.policies[0].Seats != nil {
		t.Error("handshakes, or connections to the broker, are limited still")
	}
	if other.broker == first.broker {
		t.Error("what has changed was taken over")
	}
}

// TestSeatsOverReload: who is at the broker when its limit changes counts.
func TestSeatsOverReload(t *testing.T) {
	config := strings.Replace(policy, `1883"}]`, `1883"}], max_connections: 3`, 1)
	a, path := startApp(t, config)
	seats := a.current.Load().policies[0].Seats
	for range 3 {
		seats.Try(ratelimit.Known)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(config, "max_connections: 3", "max_connections: 2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	now := a.current.Load().policies[0].Seats
	for left := 3; left > 1; left-- {
		if now.Try(ratelimit.Known) {
			t.Fatalf("a connection to a broker that takes 2 and has %d", left)
		}
		seats.Give()
	}
	if !now.Try(ratelimit.Known) {
		t.Error("no connection to a broker that takes 2 and has one")
	}
}

// TestListenersHaveTheirMethods: what lets clients in on one listener does not
// on another.
func TestListenersHaveTheirMethods(t *testing.T) {
	text := strings.Replace(policy, "backends:", `  - {name: open, address: "127.0.0.1:0", authn: [anyone]}
  - {name: closed, address: "127.0.0.1:0", authn: [users]}
backends:`, 1)
	text = strings.Replace(text, "authz:", "  - {name: anyone, type: anonymous}\nauthz:", 1)
	b, err := load(write(t, text), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"anyone", "anyone", ""} { // the first has no list, and so all methods
		id, err := b.policies[i].Authn.Authenticate(t.Context(), filters.Credentials{})
		if id.Method != want || (err == nil) != (want != "") {
			t.Errorf("%s: a client without credentials is let in by %q, %v", b.config.Listeners[i].Name, id.Method, err)
		}
	}
}

// TestDigestOfPipe: what has taken a file's place does not stop the watch.
func TestDigestOfPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	digested := make(chan struct{})
	go func() {
		digest([]string{path}, false)
		close(digested)
	}()
	select {
	case <-digested:
	case <-time.After(10 * time.Second):
		t.Error("it waits for the other end")
	}
}
