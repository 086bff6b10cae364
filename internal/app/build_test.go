package app

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authn/password"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestReloadKeepsWhatCounts: what did not change keeps its state, the rest is
// made anew.
func TestReloadKeepsWhatCounts(t *testing.T) {
	const limits = "limits: {max_handshakes: 7, publish_rate: {rate: 5, burst: 5}}\n"
	path := write(t, policy+limits)
	sh := shared{gate: ratelimit.NewGate(ratelimit.Limits{}), pool: password.NewPool(runtime.GOMAXPROCS(0))}
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
	if got := cap(first.policies[0].Handshakes); got != 7 {
		t.Errorf("%d handshakes at once, want 7", got)
	}
	same := loaded(policy+limits+"log: {level: debug}\n", first)
	if same.handshakes != first.handshakes || same.quota != first.quota || same.broker != first.broker {
		t.Error("what did not change was made anew")
	}
	other := loaded(strings.NewReplacer("1883", "1884", "max_handshakes: 7", "max_handshakes: 0", "rate: 5,", "rate: 6,").Replace(policy+limits), first)
	if other.handshakes != nil || other.policies[0].Handshakes != nil {
		t.Error("handshakes are limited still")
	}
	if other.quota == first.quota || other.broker == first.broker {
		t.Error("what has changed was taken over")
	}
}
