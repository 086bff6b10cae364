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
	if same.handshakes != first.handshakes {
		t.Error("what did not change was made anew")
	}
	other := loaded(strings.Replace(policy+limits, "max_handshakes: 7", "max_handshakes: 0", 1), first)
	if other.handshakes != nil || other.policies[0].Handshakes != nil {
		t.Error("handshakes are limited still")
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
