package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/rewrite"
	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
	"github.com/mqttward/mqttward/proxy"
)

// namespaced is a policy that gives every user names of its own.
func namespaced(t testing.TB) func(*proxy.Policy) {
	t.Helper()
	n, topicErr, idErr := rewrite.NewNamespaces("${username}/", "${username}-")
	if topicErr != nil || idErr != nil {
		t.Fatal(topicErr, idErr)
	}
	o := strict.Options{Broker: &strict.Broker{}}
	o.Broker.Set(strict.Profile{}) // a sound broker, from which nothing is kept
	return func(p *proxy.Policy) {
		p.Namespace = n.Of
		p.Up = append(filters.Chain{n.Up(), strict.Up(o)}, p.Up...)
		p.Down = append(append(filters.Chain{strict.Down(o)}, p.Down...), n.Down())
	}
}

// TestTenants: whatever two tenants with the same client identifiers and topics do
// at one broker, nothing of one reaches the other, all that reaches the broker is
// below the prefix, and each gets what it would of a broker of its own.
func TestTenants(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			left := 1500
			synctest.Test(t, func(t *testing.T) {
				runTenants(t, func(n int) int { left--; return random.IntN(n) }, func() bool { return left > 0 })
			})
		})
	}
}

// FuzzTenants is TestTenants with the fuzzer's choices.
func FuzzTenants(f *testing.F) {
	for seed := range uint64(4) {
		random, data := rand.New(rand.NewPCG(seed, 1)), make([]byte, 400)
		for i := range data {
			data[i] = byte(random.IntN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 1000)]
		synctest.Test(t, func(t *testing.T) {
			runTenants(t, func(n int) int {
				if len(data) == 0 {
					return 0
				}
				choice := int(data[0]) % n
				data = data[1:]
				return choice
			}, func() bool { return len(data) > 0 })
		})
	})
}

// tenants is two tenants at work. pick chooses one of n.
type tenants struct {
	t      *testing.T
	h      *house
	broker *sharedBroker
	pick   func(n int) int
	online map[string]*tenantClient // by tenant and client identifier
	kept   map[string]map[string]bool
	count  int // of messages
}

func runTenants(t *testing.T, pick func(int) int, more func() bool) {
	t.Helper()
	h := open(t, namespaced(t), func(p *proxy.Policy) { p.Sessions = filters.NewStore(100) })
	b := &sharedBroker{t: t, sessions: map[string]*brokerSession{}, retained: map[string]letter{}}
	var serving sync.WaitGroup
	serving.Go(func() { b.serve(h.broker.Accept) })
	w := &tenants{t: t, h: h, broker: b, pick: pick, online: map[string]*tenantClient{}, kept: map[string]map[string]bool{}}
	for more() && !t.Failed() {
		w.step()
	}
	for _, c := range w.online {
		c.conn.Close()
	}
	h.wait()
	h.close()
	serving.Wait()
}

func (w *tenants) step() {
	user, id := []string{"a", "b"}[w.pick(2)], []string{"dev", "b-dev"}[w.pick(2)]
	c := w.online[user+" "+id]
	switch act := w.pick(12); {
	case act == 0 || c == nil:
		w.connect(user, id)
	case act == 1:
		delete(w.online, user+" "+id)
		if w.pick(2) == 0 {
			c.send(packets.AppendDisconnect(nil, c.version, packets.Success))
		}
		c.conn.Close()
		w.h.wait()
	case act < 5:
		w.subscribe(c)
	case act == 5:
		w.outsider()
	default:
		w.publish(c)
	}
	synctest.Wait()
}

// topic is a topic of a few that look like prefixes, and like the broker's own.
func (w *tenants) topic() string {
	levels := []string{"a", "b", "x", "", "$SYS", "$share", "ab"}
	var name []string
	for range 1 + w.pick(3) {
		name = append(name, levels[w.pick(len(levels))])
	}
	if name = append(name, "x"); w.pick(2) == 0 {
		name = name[:len(name)-1]
	}
	if t := strings.Join(name, "/"); t != "" {
		return t
	}
	return "x"
}

// filter is a topic with wildcards, shared or not.
func (w *tenants) filter() string {
	levels := strings.Split(w.topic(), "/")
	for i := range levels {
		if w.pick(3) == 0 {
			levels[i] = "+"
		}
	}
	if w.pick(3) == 0 {
		levels[len(levels)-1] = "#"
	}
	filter := strings.Join(levels, "/")
	if w.pick(4) == 0 {
		filter = "$share/g/" + filter
	}
	if !topics.ValidFilter(filter) {
		return "#"
	}
	return filter
}

// letter is a message of user that says in its body what it is.
func (w *tenants) letter(user string) letter {
	w.count++
	m := letter{topic: w.topic(), qos: packets.QoS(w.pick(3)), retain: w.pick(4) == 0}
	if w.pick(3) == 0 {
		m.response = w.topic()
	}
	m.body = fmt.Sprintf("%s|%d|%s|%s", user, w.count, m.topic, m.response)
	return m
}

func (m *letter) properties() packets.Properties {
	if m.response == "" {
		return nil
	}
	return mqtttest.Text(packets.ResponseTopic, m.response)
}

func (w *tenants) connect(user, id string) {
	v := versions[w.pick(3)]
	key, clean := user+" "+id, w.pick(2) == 0
	connect := packets.Connect{Level: byte(v), CleanStart: clean, ClientID: []byte(id), HasUsername: true, Username: []byte(user)}
	if v == packets.V5 {
		connect.Props = append(mqtttest.Uint32(packets.SessionExpiryInterval, 1_000_000), mqtttest.Uint16(packets.TopicAliasMaximum, 3)...)
	}
	refused := false
	if w.pick(2) == 0 {
		m := w.letter(user)
		connect.Will = &packets.Will{Topic: []byte(m.topic), QoS: m.qos, Retain: m.retain, Payload: []byte(m.body)}
		if v == packets.V5 {
			connect.Will.Props = m.properties()
		}
		refused = m.topic[0] == '$'
	}
	conn, err := w.h.front.Dial(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	c := &tenantClient{t: w.t, user: user, version: v, conn: conn, subs: map[string]bool{}, names: map[uint16]string{}, told: map[uint16]string{}, got: map[string]int{}}
	go c.listen()
	c.send(packets.AppendConnect(nil, v, &connect))
	w.h.wait()
	if c.accepted == refused {
		w.t.Errorf("%s, Will %+v: accepted %v", key, connect.Will, c.accepted)
	}
	if refused {
		return
	}
	if kept := w.kept[key]; kept != nil && !clean {
		c.subs = kept
	}
	delete(w.kept, key)
	if !clean {
		w.kept[key] = c.subs
	}
	w.online[key] = c
}

func (w *tenants) subscribe(c *tenantClient) {
	c.id++
	var subs []packets.Subscription
	var names [][]byte
	leave := w.pick(3) == 0
	for range 1 + w.pick(3) {
		filter := w.filter()
		if leave && len(c.subs) > 0 && w.pick(2) == 0 {
			held := make([]string, 0, len(c.subs))
			for f := range c.subs {
				held = append(held, f)
			}
			slices.Sort(held)
			filter = held[w.pick(len(held))]
		}
		if c.subs[filter] = true; leave {
			delete(c.subs, filter)
		}
		subs = append(subs, packets.Subscription{Filter: []byte(filter), Options: packets.SubscribeOptions(w.pick(3))})
		names = append(names, []byte(filter))
	}
	if leave {
		c.send(packets.AppendUnsubscribe(nil, c.version, c.id, nil, names))
	} else {
		c.send(packets.AppendSubscribe(nil, c.version, c.id, nil, subs))
	}
	synctest.Wait()
	if c.answers != len(subs) && (!leave || c.version == packets.V5) {
		w.t.Errorf("%d codes for %d filters", c.answers, len(subs))
	}
}

// publish publishes as c, and looks who gets it.
func (w *tenants) publish(c *tenantClient) {
	m := w.letter(c.user)
	c.id++
	flags, topic, ps := byte(m.qos)<<1, m.topic, packets.Properties(nil)
	if m.retain {
		flags |= 1
	}
	if c.version == packets.V5 {
		ps = m.properties()
		if w.pick(2) == 0 {
			n := uint16(1 + w.pick(3))
			ps = append(ps, mqtttest.Uint16(packets.TopicAlias, n)...)
			if c.told[n] == topic {
				topic = ""
			}
			c.told[n] = m.topic
		}
	} else {
		m.response = ""
	}
	c.send(packets.AppendPublish(nil, c.version, flags, []byte(topic), c.id, ps, []byte(m.body), 0))
	synctest.Wait()
	members := 0
	for _, other := range w.online {
		plain, shared := other.wants(m.topic)
		if other.user != c.user || m.topic[0] == '$' {
			plain, shared = false, 0
		}
		members += shared
		got := other.got[m.body]
		if plain && got == 0 || !plain && shared == 0 && got > 0 {
			w.t.Errorf("%s publishes %+v: one of %s with %v gets it %d times", c.user, m, other.user, other.subs, got)
		}
	}
	total := 0
	for _, other := range w.online {
		total += other.got[m.body]
	}
	if members > 0 && total == 0 {
		w.t.Errorf("%s publishes %+v: nobody of the groups gets it", c.user, m)
	}
}

// outsider publishes at the broker itself.
func (w *tenants) outsider() {
	m := w.letter("nobody")
	m.topic, m.response = []string{"a/", "b/", "ab/", "", "a", "$SYS/"}[w.pick(6)]+m.topic, []string{"a/", "b/", ""}[w.pick(3)]+m.response
	if user, own, _ := strings.Cut(m.topic, "/"); (user == "a" || user == "b") && own != "" {
		response, _ := strings.CutPrefix(m.response, user+"/")
		if response == m.response {
			response = ""
		}
		m.body = fmt.Sprintf("%s|%d|%s|%s", user, w.count, own, response)
	}
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	w.broker.publish(m)
}

// tenantClient is a client that takes all that comes.
type tenantClient struct {
	t       *testing.T
	user    string
	version packets.Version
	conn    net.Conn
	subs    map[string]bool
	told    map[uint16]string // behind the client's Topic Aliases
	names   map[uint16]string // behind those of the broker
	id      uint16

	accepted bool
	answers  int            // codes of the last SUBACK or UNSUBACK
	got      map[string]int // messages by their bodies
}

func (c *tenantClient) send(b []byte) {
	c.conn.SetWriteDeadline(time.Now().Add(packetTimeout))
	_, _ = c.conn.Write(b) // one that was taken over finds out when it reads
}

// wants reports whether a subscription matches topic, and how many shared ones do.
func (c *tenantClient) wants(topic string) (plain bool, shared int) {
	for filter := range c.subs {
		switch in := inner(filter); {
		case !matches(in, topic):
		case in == filter:
			plain = true
		default:
			shared++
		}
	}
	return plain, shared
}

func (c *tenantClient) listen() {
	defer c.conn.Close()
	r := packets.NewReader(packets.Server)
	r.Version = c.version
	for {
		p, err := r.Next()
		if err == packets.ErrShort {
			r.Compact()
			if r.Fill(c.conn) != nil {
				return
			}
			continue
		}
		if err != nil {
			c.t.Errorf("%s gets %v", c.user, err)
			return
		}
		c.take(p)
		r.Mark(0)
	}
}

func (c *tenantClient) take(p *packets.Packet) {
	ack := func(t packets.Type) { c.send(packets.AppendAck(nil, c.version, t, p.ID, packets.Success)) }
	switch p.Type {
	case packets.CONNACK:
		c.accepted = p.Reason == packets.Success
	case packets.PUBLISH:
		c.receive(p)
		switch p.QoS() {
		case 1:
			ack(packets.PUBACK)
		case 2:
			ack(packets.PUBREC)
		default:
		}
	case packets.PUBREC:
		if p.Reason < packets.UnspecifiedError {
			ack(packets.PUBREL)
		}
	case packets.PUBREL:
		ack(packets.PUBCOMP)
	case packets.SUBACK, packets.UNSUBACK:
		c.answers = len(p.Payload)
	default:
	}
}

// receive checks that a message is one of the tenant, by the names that it has there.
func (c *tenantClient) receive(p *packets.Packet) {
	topic := string(p.Topic)
	if n, ok := p.Props.Uint16(packets.TopicAlias); ok {
		if topic == "" {
			topic = c.names[n]
		}
		c.names[n] = topic
	}
	response, _ := p.Props.Lookup(packets.ResponseTopic)
	parts := strings.Split(string(p.Payload), "|")
	if parts[0] != c.user || parts[2] != topic || c.version == packets.V5 && len(response) > 0 && string(response) != parts[3] || topic[0] == '$' {
		c.t.Errorf("one of %s gets %q at %q with the Response Topic %q", c.user, p.Payload, topic, response)
	}
	c.got[string(p.Payload)]++
}
