package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// A differential test asks a real Mosquitto and the rules made of its own files
// the same questions, and compares the answers.

// reference is a Mosquitto that judges at one address, and lets everybody do
// everything at another.
type reference struct {
	*process
	judged, free string
}

// startReference starts a Mosquitto. security is the lines of the listener that
// judges.
func startReference(t *testing.T, security string) *reference {
	t.Helper()
	for range 10 {
		judged, free := freePort(t), freePort(t)
		config := filepath.Join(t.TempDir(), "mosquitto.conf")
		write(t, config, fmt.Sprintf(`per_listener_settings true
listener %s 127.0.0.1
allow_anonymous true
%s
listener %s 127.0.0.1
allow_anonymous true
persistence false
sys_interval 0
max_inflight_messages 0
set_tcp_nodelay true
log_dest stderr
log_timestamp false
user root
`, judged, security, free))
		r := &reference{launch(t, newTranscript(), "mosquitto", "-c", config), "127.0.0.1:" + judged, "127.0.0.1:" + free}
		text, ok := r.out.wait(r.done, func(text string) bool { return strings.Contains(text, " running\n") })
		if ok {
			return r
		}
		if !strings.Contains(text, "Address already in use") {
			t.Fatalf("mosquitto does not run:\n%s", text)
		}
	}
	t.Fatal("no ports for mosquitto")
	return nil
}

// end stops the Mosquitto at once, so that not all of them run until the test
// ends.
func (r *reference) end() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// account is a client's names. An empty user name is none.
type account struct{ username, clientID string }

func (l account) session() *filters.Session {
	return &filters.Session{Version: packets.V5, ClientID: l.clientID, Identity: filters.Identity{Username: l.username}}
}

// connect opens a session of MQTT 5.0.
func (l account) connect(t *testing.T, address string, edit ...func(*packets.Connect)) *raw {
	t.Helper()
	c, reason := l.tryConnect(t, address, edit...)
	if reason != packets.Success {
		t.Fatalf("%+v is refused by %#x", l, reason)
	}
	return c
}

// tryConnect returns the Reason Code of the CONNACK, too.
func (l account) tryConnect(t *testing.T, address string, edit ...func(*packets.Connect)) (*raw, packets.ReasonCode) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, conn)
	if l.username != "" {
		edit = append(edit, mqtttest.Login(l.username, everybodys))
	}
	c.send(mqtttest.Connect(packets.V5, l.clientID, edit...))
	p := c.packet()
	if p.Type != packets.CONNACK {
		t.Fatalf("%+v gets %s", l, p.Type)
	}
	return c, p.Reason
}

// everybodys is the password of all.
const everybodys = "differential"

// packet reads a packet of MQTT 5.0 from a broker.
func (c *raw) packet() *packets.Packet {
	c.t.Helper()
	frame, err := readFrame(c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := packets.Parse(frame, packets.V5, packets.Server)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// publishAll sends a message to each of the topics, which is the number of the
// topic, and returns for which it is told that it was right.
func (c *raw) publishAll(topics []string) (allowed []bool) {
	c.t.Helper()
	var all []byte
	for i, topic := range topics {
		all = append(all, mqtttest.Publish(packets.V5, 1, uint16(i+1), topic, fmt.Sprint(i))...)
	}
	c.send(all)
	for i, topic := range topics {
		p := c.packet()
		if p.Type != packets.PUBACK || int(p.ID) != i+1 {
			c.t.Fatalf("publish to %q is answered by %s %d", topic, p.Type, p.ID)
		}
		allowed = append(allowed, p.Reason != packets.NotAuthorized)
	}
	return allowed
}

// subscribeAll returns for which of the filters a subscription is granted.
func (c *raw) subscribeAll(topicFilters []string) (allowed []bool) {
	c.t.Helper()
	c.send(sub(packets.V5, 1, 0, topicFilters...))
	p := c.packet()
	for p.Type == packets.PUBLISH {
		p = c.packet()
	}
	if p.Type != packets.SUBACK || len(p.Payload) != len(topicFilters) {
		c.t.Fatalf("subscribe is answered by %s % x", p.Type, p.Payload)
	}
	for _, code := range p.Payload {
		allowed = append(allowed, code < 0x80)
	}
	return allowed
}

// received returns which of the numbered messages have come. Those that are on
// their way come before the answer to a ping.
func (c *raw) received(count int) []bool {
	c.t.Helper()
	got := make([]bool, count)
	c.send(mqtttest.Pingreq())
	for {
		switch p := c.packet(); p.Type {
		case packets.PINGRESP:
			return got
		case packets.PUBLISH:
			var i int
			if _, err := fmt.Sscan(string(p.Payload), &i); err != nil {
				c.t.Fatal(err)
			}
			got[i] = true
		default:
			c.t.Fatalf("%s came", p.Type)
		}
	}
}

// questions are what one file is asked, by each of the accounts.
type questions struct {
	accounts  []account
	publish   []string
	subscribe []string
	receive   []string  // published at the free address
	readers   []account // who are asked that: they may subscribe to everything
}

// roots are subscriptions to everything.
var roots = []string{"#", "$x/#", "$SYS/#"}

// question is one of them, with the answer of the broker.
type question struct {
	account
	action, topic string
	allowed       bool
}

// ask returns the broker's answers.
func (r *reference) ask(t *testing.T, q questions) (answers []question) {
	t.Helper()
	add := func(l account, action string, topics []string, allowed []bool) {
		for i := range topics {
			answers = append(answers, question{l, action, topics[i], allowed[i]})
		}
	}
	for _, l := range q.accounts {
		c := l.connect(t, r.judged)
		add(l, "publish", q.publish, c.publishAll(q.publish))
		add(l, "subscribe", q.subscribe, c.subscribeAll(q.subscribe))
		c.Close()
	}
	if len(q.receive) == 0 {
		return answers
	}
	var readers []*raw
	for _, l := range q.readers {
		c := l.connect(t, r.judged)
		if slices.Contains(c.subscribeAll(roots), false) {
			t.Fatalf("%+v cannot subscribe to everything", l)
		}
		readers = append(readers, c)
	}
	publisher := account{"", "publisher"}.connect(t, r.free)
	if slices.Contains(publisher.publishAll(q.receive), false) {
		t.Fatal("the free address is not free")
	}
	for i, l := range q.readers {
		add(l, "receive", q.receive, readers[i].received(len(q.receive)))
		readers[i].Close()
	}
	publisher.Close()
	return answers
}

// decide is the answer of rules.
func (q question) decide(v *authz.View) authz.Decision {
	now, topic := time.Time{}, []byte(q.topic)
	switch q.action {
	case "publish":
		return v.Publish(now, authz.Message{Topic: topic, QoS: 1})
	case "receive":
		return v.Receive(now, authz.Message{Topic: topic})
	default:
		return v.Subscribe(now, topic, 0)
	}
}

// compare asks policy what the broker was asked. A difference has to be one of
// exceptions, which gives a reason; how often each was needed is counted.
func compare(t *testing.T, file string, policy *authz.Policy, answers []question, exception func(question, authz.Decision) string, used map[string]int) {
	t.Helper()
	views := make(map[account]*authz.View)
	for _, q := range answers {
		if views[q.account] == nil {
			views[q.account] = policy.View(q.session())
		}
		d := q.decide(views[q.account])
		if d.Allowed == q.allowed {
			used["equal"]++
			if d.Allowed {
				used["allowed "+q.action]++
			} else {
				used["denied "+q.action]++
			}
			continue
		}
		reason := exception(q, d)
		used[reason]++
		if reason == "" {
			t.Errorf("user %q, client %q, %s %q: Mosquitto %v, the rules %v (%s)", q.username, q.clientID, q.action, q.topic, q.allowed, d.Allowed, d.Rule)
		}
	}
	if t.Failed() {
		t.Fatalf("with the file\n%s", file)
	}
}

// dice makes files and questions.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 1883))} }

func (d dice) of(list ...string) string { return list[d.IntN(len(list))] }

// topic returns one with levels of a client's names, or of other kinds.
func (d dice) topic(levels ...string) string {
	all := make([]string, 1+d.IntN(4))
	for i := range all {
		all[i] = d.of(levels...)
	}
	switch d.IntN(8) {
	case 0:
		all[0] = "$x"
	case 1:
		return d.of("$SYS/", "$SYSTEM/", "$SYS/broker/", "$SYS/broker/connection/") + strings.Join(all, "/")
	case 2:
		return "$SYS/broker/connection/" + all[0] + "/state"
	}
	if text := strings.Join(all, "/"); text != "" {
		return text
	}
	return "a"
}

// filter returns a Topic Filter.
func (d dice) filter(levels ...string) string {
	text := d.topic(append(levels, "+")...)
	if d.IntN(3) == 0 {
		return text[:strings.LastIndex(text, "/")+1] + "#"
	}
	return text
}

// times makes some of what one makes.
func times(n int, one func() string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = one()
	}
	return all
}
