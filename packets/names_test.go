package packets

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets/topics"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		CONNECT.String():    "CONNECT",
		AUTH.String():       "AUTH",
		Type(0).String():    "RESERVED",
		Type(16).String():   "type 16",
		V31.String():        "3.1",
		V311.String():       "3.1.1",
		V5.String():         "5.0",
		Version(6).String(): "level 6",
		Success.String():    "Success",
		WildcardSubscriptionsNotSupported.String(): "Wildcard Subscriptions not supported",
		ReasonCode(0x7f).String():                  "reason code 127",
		errQoS3.Error():                            "PUBLISH has QoS 3 [MQTT-3.3.1-4]",
		(&Error{Msg: "why"}).Error():               "why",
	} {
		if name != want {
			t.Errorf("%q, want %q", name, want)
		}
	}
}

// TestReasonNames shows that every Reason Code that a packet may carry has a
// name.
func TestReasonNames(t *testing.T) {
	for i := range reasonRules {
		for code := range 256 {
			rule, rc := &reasonRules[i], ReasonCode(code)
			if (rule.client.has(rc) || rule.server.has(rc)) && strings.HasPrefix(rc.String(), "reason code") {
				t.Errorf("%v: code %#x has no name", Type(i), code)
			}
		}
	}
}

// TestPlainName: what is found plain passes the checks that it spares, and all
// ASCII names that pass them and are long enough are found plain.
func TestPlainName(t *testing.T) {
	check := func(name []byte) {
		t.Helper()
		fine := checkUTF8(name) == nil && topics.ValidName(name)
		ascii := len(name) >= 8
		for _, c := range name {
			ascii = ascii && c < 0x80
		}
		if got := plainName(name); got != (fine && ascii) {
			t.Fatalf("%q: %v, fine: %v, ASCII: %v", name, got, fine, ascii)
		}
	}
	for n := range 40 {
		name := []byte(strings.Repeat("plant/1", 6)[:n])
		check(name)
		for i := range name {
			was := name[i]
			for c := range 256 {
				name[i] = byte(c)
				check(name)
			}
			name[i] = was
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		name := make([]byte, random.IntN(30))
		for i := range name {
			name[i] = byte(random.IntN(128) | random.IntN(20)/19<<7)
		}
		check(name)
	}
}

// BenchmarkPlainName has the checks that plainName spares beside it.
func BenchmarkPlainName(b *testing.B) {
	name := []byte("plant/line-1/bench/temperatu")
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			plainName(name)
		}
	})
	b.Run("checked", func(b *testing.B) {
		for b.Loop() {
			if checkUTF8(name) != nil || !topics.ValidName(name) {
				b.Fatal(name)
			}
		}
	})
}
