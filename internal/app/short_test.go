package app

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// shortConfig has rules that make PUBLISHes differ which look alike, and quotas
// that are used up now and then.
const shortConfig = `
listeners: [{name: plain, address: "127.0.0.1:0"}]
backends: [{name: plant, servers: [{address: "127.0.0.1:1"}]}]
authn: [{name: all, type: anonymous}]
admin: {address: ""}
limits:
  max_topic_levels: 4
  publish_rate: {rate: 50, burst: 20, action: %[1]s}
  publish_bytes: {rate: 2KiB, burst: 1KiB, action: %[1]s}
authz:
  rules:
    - {deny: [publish, receive], topics: [a/b/secret]}
    - {deny: [publish], topics: [a/+/c], retain: true}
    - {allow: [publish, subscribe], topics: ["a/#", "a/b/c/d/e"]}
    - {allow: [publish], topics: [small/#], max_payload: %[2]s}
`

func loadShort(t testing.TB, action, maxPayload string) *built {
	t.Helper()
	b, err := load(write(t, fmt.Sprintf(shortConfig, action, maxPayload)), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestShortWay judges the same packets by the short way and without it, in two
// sessions that differ in nothing: what becomes of them is the same, and so is
// what is left of the quotas.
func TestShortWay(t *testing.T) {
	for i, action := range []string{"drop", "delay", "disconnect", "drop"} {
		sized := i == 3 // no decision about one message is one about the next
		b := loadShort(t, action, []string{"0", "4B"}[i/3])
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 1))
			open := func(id string) (*filters.Session, filters.Chain, filters.Chain) {
				s := &filters.Session{Version: packets.V5, ClientID: id}
				return s, b.policies[0].Up.Open(s), b.policies[0].Down.Open(s)
			}
			long, longUp, longDown := open(fmt.Sprint("long", action, seed))
			short, shortUp, shortDown := open(fmt.Sprint("short", action, seed))
			now, passed := time.Now(), 0
			for i := range 200 {
				now = now.Add(time.Duration(random.IntN(30)) * time.Millisecond)
				topics := []string{"a/b/c", "a/b/c", "a/b/secret", "small/thing", "b", "a/1/2/3/4", "a/b/c/d/e", "$SYS/a"}
				raw := packets.AppendPublish(nil, packets.V5, byte(random.IntN(8)/7), []byte(topics[random.IntN(1+random.IntN(len(topics)))]), 0, nil, make([]byte, random.IntN(8)), 0)
				from, viaLong, viaShort := packets.Client, longUp.JudgeUp, shortUp
				judge := filters.Chain.JudgeUp
				if random.IntN(3) == 0 {
					from, viaLong, viaShort, judge = packets.Server, longDown.JudgeDown, shortDown, filters.Chain.JudgeDown
				}
				p, err := packets.Parse(raw, packets.V5, from)
				if err != nil {
					t.Fatal(err)
				}
				want := viaLong(now, long, p)
				got := filters.Pass()
				if n, all := viaShort.Passes(now, short, p); !all {
					got = judge(viaShort[n:], now, short, p)
				} else {
					passed++
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%s, seed %d, packet %d (% x): %+v, want %+v", action, seed, i, raw, got, want)
				}
				if !bytes.Equal(p.Raw, raw) {
					t.Fatal("the packet has changed")
				}
			}
			if sized && passed > 0 || !sized && passed < 10 {
				t.Errorf("%s, sized: %v, seed %d: %d packets went the short way", action, sized, seed, passed)
			}
		}
	}
}

// TestShortWayOfNobody has no filters, or one that knows no short way.
func TestShortWayOfNobody(t *testing.T) {
	s, p := &filters.Session{Version: packets.V5}, &packets.Packet{Type: packets.PUBLISH, Topic: []byte("a")}
	b := loadShort(t, "drop", "0")
	for name, c := range map[string]filters.Chain{"none": nil, "not opened": b.policies[0].Up} {
		if n, all := c.Passes(time.Now(), s, p); all || n != 0 && name == "none" {
			t.Errorf("%s: %d filters let it go on, all: %v", name, n, all)
		}
	}
}

// BenchmarkShortWay judges a PUBLISH like the one before, with and without the
// short way.
func BenchmarkShortWay(b *testing.B) {
	p, err := packets.Parse(packets.AppendPublish(nil, packets.V5, 0, []byte("a/b/c"), 0, nil, make([]byte, 64), 0), packets.V5, packets.Client)
	if err != nil {
		b.Fatal(err)
	}
	s, now := &filters.Session{Version: packets.V5, ClientID: "bench"}, time.Now()
	up := loadShort(b, "delay", "0").policies[0].Up.Open(s)
	up.JudgeUp(now, s, p)
	b.Run("short", func(b *testing.B) {
		for b.Loop() {
			up.Passes(now, s, p)
			now = now.Add(time.Second)
		}
	})
	b.Run("long", func(b *testing.B) {
		for b.Loop() {
			up.JudgeUp(now, s, p)
			now = now.Add(time.Second)
		}
	})
}
