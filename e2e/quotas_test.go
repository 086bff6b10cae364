package e2e

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/internal/mqtttest"
)

// within checks that no more than rate and burst allow has come since start. The time
// may be any: a slow machine lets more pass.
func within(t *testing.T, what string, n int, start time.Time, rate, burst float64) {
	t.Helper()
	if most := rate*time.Since(start).Seconds() + burst; float64(n) > most {
		t.Errorf("%d %s reached the broker, %.0f are allowed", n, what, most)
	}
}

// A group that floods is held back at its quota, however many clients it has, and
// loses nothing. Another group does not notice.
func TestGroupQuota(t *testing.T) {
	t.Parallel()
	const rate, burst, each = 100, 20, 120
	b := startBroker(t)
	s := settings{
		broker: b.address(),
		authn:  "[{name: users, type: password, file: users.passwd, groups_file: groups.txt}]",
		more:   "broker_profile: legacy\nquotas: [{name: red, groups: [red], per: all, messages: {rate: 100, burst: 20}}]",
	}
	dir := proxyFolder(t, s)
	write(t, dir+"/groups.txt", "red: alice\nblue: bob\n")
	p := startProxyIn(t, dir)
	subscriber := subscribe(t, b.direct(), "-t", "#")
	count := func(prefix string) (n int) {
		return strings.Count(subscriber.out.String(), "message "+prefix)
	}
	flooders := make([]*client5, 2)
	for i := range flooders {
		c := connection("alice")
		c.ClientID += strconv.Itoa(i)
		flooders[i], _ = p.connect5(t, c)
	}
	start := time.Now()
	for i, c := range flooders {
		go func() {
			for range each {
				_, _ = c.Publish(t.Context(), &paho.Publish{Topic: "red/" + strconv.Itoa(i), Payload: []byte(payload("x"))})
			}
		}()
	}
	bob, _ := p.connect5(t, connection("bob"))
	for range each {
		bob.publishes(t, "blue", 0)
	}
	within(t, "messages of the flood", count("red/"), start, rate, burst)
	eventually(t, "all messages of the other group", func() bool { return count("blue") == each })
	eventually(t, "all messages of the flood", func() bool {
		n := count("red/")
		within(t, "messages of the flood", n, start, rate, burst)
		return n == len(flooders)*each
	})
	if m := p.metrics(t); m[`mqttward_decisions_total{action="publish",outcome="delayed"}`] == 0 {
		t.Error("no delay was counted")
	}
}

// PINGREQs are packets: a flood of them is held back, and each gets its answer.
func TestPacketRate(t *testing.T) {
	t.Parallel()
	const rate, burst, pings = 50, 10, 110
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), listeners: plain, limits: "{packet_rate: {rate: 50, burst: 10}}"})
	c := p.raw(t)
	c.connect(v3, "flooder", "alice")
	start := time.Now()
	c.send(bytes.Repeat(mqtttest.Pingreq(), pings))
	for range pings {
		within(t, "PINGREQs", strings.Count(b.out.String(), "Received PINGREQ from flooder"), start, rate, burst)
		if frame, err := readFrame(c.in); err != nil || frame[0] != 0xd0 {
			t.Fatalf("% x, %v, want a PINGRESP", frame, err)
		}
	}
	if n := p.metrics(t)[`mqttward_decisions_total{action="packet",outcome="delayed"}`]; n < pings/2 {
		t.Errorf("%v delays counted", n)
	}
}

// A user has no more retained messages at the broker than the quota says, and may
// change those.
func TestRetainedQuota(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(),
		rules:  []string{`{deny: [publish], topics: ["state/denied"]}`, `{allow: [publish, subscribe], topics: ["#"]}`},
		more:   "broker_profile: legacy\nquotas: [{name: state, topics: [\"state/#\"], retained_messages: 3, action: drop}]",
	})
	alice, _ := p.connect5(t, connection("alice"))
	bob, _ := p.connect5(t, connection("bob"))
	for _, step := range []struct {
		who         *client5
		topic, body string
		want        byte
	}{
		{alice, "state/denied", "x", notAuthorized},
		{alice, "state/denied", "x", notAuthorized},
		{alice, "state/1", "x", 0},
		{alice, "state/2", "x", 0},
		{alice, "other", "x", 0},
		{alice, "state/3", "x", 0},
		{alice, "state/4", "x", 0x97},
		{alice, "state/5", "x", 0x97},
		{alice, "state/2", "y", 0},
		{bob, "state/6", "x", 0},
		{bob, "state/3", "z", 0},
		{alice, "state/7", "x", 0},
		{alice, "state/1", "", 0},
		{alice, "state/8", "x", 0},
		{alice, "state/9", "x", 0x97},
	} {
		var body []byte
		if step.body != "" {
			body = []byte(payload(step.body))
		}
		if got := step.who.publish(t, &paho.Publish{Topic: step.topic, QoS: 1, Retain: true, Payload: body}); got != step.want {
			t.Errorf("%s to %s: %#x, want %#x", step.who.ClientID(), step.topic, got, step.want)
		}
	}
	subscriber := subscribe(t, b.direct(), "-t", "state/#", "-t", "done")
	publish(t, b.direct(), "-t", "done", "-m", payload("x"))
	got := messages(subscriber.await(t, "message done"))
	slices.Sort(got)
	if want := []string{"done", "state/2", "state/3", "state/6", "state/7", "state/8"}; !slices.Equal(got, want) {
		t.Errorf("at the broker: %q, want %q", got, want)
	}
}
