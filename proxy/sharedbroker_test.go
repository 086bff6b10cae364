package proxy_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// sharedBroker is a small broker for all tenants. It knows nothing of them, but for
// what it checks: who is which user has to stay below that user's names.
type sharedBroker struct {
	t *testing.T

	mu       sync.Mutex
	sessions map[string]*brokerSession // by Client Identifier
	retained map[string]letter
	group    int // turns of the members of groups
}

// letter is a message.
type letter struct {
	topic, body, response string
	qos                   packets.QoS
	retain                bool
}

type brokerSession struct {
	user    string
	version packets.Version
	conn    net.Conn // nil: away
	keep    bool
	subs    map[string]packets.QoS
	will    *letter
	names   map[uint16]string // behind the Topic Aliases of the client
	told    map[uint16]string // and behind those of the broker
	aliases uint16
	held    map[uint16]letter // messages of QoS 2
	id      uint16
}

// serve is the broker until l is closed.
func (b *sharedBroker) serve(accept func() (net.Conn, error)) {
	var open sync.WaitGroup
	for {
		conn, err := accept()
		if err != nil {
			break
		}
		open.Go(func() { b.live(conn) })
	}
	open.Wait()
}

func (b *sharedBroker) live(conn net.Conn) {
	defer conn.Close()
	var s *brokerSession
	r := packets.NewReader(packets.Client)
	for {
		p, err := r.Next()
		if err == packets.ErrShort {
			r.Compact()
			if r.Fill(conn) != nil {
				break
			}
			continue
		}
		if err != nil {
			b.t.Errorf("the broker gets %v", err)
			break
		}
		b.mu.Lock()
		if p.Type == packets.CONNECT {
			s = b.connect(conn, p)
			r.Version = s.version
		} else {
			b.take(s, p)
		}
		b.mu.Unlock()
		r.Mark(0)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s == nil || s.conn != conn {
		return
	}
	s.conn = nil
	if s.will != nil {
		b.publish(*s.will)
	}
}

// inside checks that a name of user is below its prefix.
func (b *sharedBroker) inside(user, what, name string) {
	if !strings.HasPrefix(name, user+"/") {
		b.t.Errorf("%s: %s %q", user, what, name)
	}
}

func (b *sharedBroker) connect(conn net.Conn, p *packets.Packet) *brokerSession {
	c, err := p.Connect()
	if err != nil {
		b.t.Errorf("CONNECT: %v", err)
	}
	user, id := string(c.Username), string(c.ClientID)
	if !strings.HasPrefix(id, user+"-") {
		b.t.Errorf("%s: client identifier %q", user, id)
	}
	old := b.sessions[id]
	if old != nil && old.user != user {
		b.t.Errorf("%s takes the session of %s", user, old.user)
	}
	if old != nil && old.conn != nil {
		old.conn.Close()
	}
	s := &brokerSession{user: user, version: p.Version, conn: conn, keep: !c.CleanStart, subs: map[string]packets.QoS{}}
	s.names, s.told, s.held = map[uint16]string{}, map[uint16]string{}, map[uint16]letter{}
	s.aliases, _ = c.Props.Uint16(packets.TopicAliasMaximum)
	present := old != nil && old.keep && !c.CleanStart
	if present {
		s.subs = old.subs
	}
	if w := c.Will; w != nil {
		b.inside(user, "Will", string(w.Topic))
		s.will = &letter{topic: string(w.Topic), body: string(w.Payload), response: b.response(user, w.Props), qos: w.QoS, retain: w.Retain}
	}
	b.sessions[id] = s
	var ps packets.Properties
	if s.version == packets.V5 {
		ps = mqtttest.Uint16(packets.TopicAliasMaximum, 8)
	}
	b.send(s, packets.AppendConnack(nil, s.version, present, packets.Success, ps))
	return s
}

func (b *sharedBroker) response(user string, ps packets.Properties) string {
	v, ok := ps.Lookup(packets.ResponseTopic)
	if ok {
		b.inside(user, "Response Topic", string(v))
	}
	return string(v)
}

func (b *sharedBroker) take(s *brokerSession, p *packets.Packet) {
	ack := func(t packets.Type) { b.send(s, packets.AppendAck(nil, s.version, t, p.ID, packets.Success)) }
	switch p.Type {
	case packets.PUBLISH:
		m := letter{topic: string(p.Topic), body: string(p.Payload), response: b.response(s.user, p.Props), qos: p.QoS(), retain: p.Retain()}
		if n, ok := p.Props.Uint16(packets.TopicAlias); ok {
			if m.topic == "" {
				m.topic = s.names[n]
			}
			s.names[n] = m.topic
		}
		b.inside(s.user, "PUBLISH", m.topic)
		if strings.HasPrefix(m.topic, s.user+"/$") {
			b.t.Errorf("%s: PUBLISH to %q, which # would find", s.user, m.topic)
		}
		switch m.qos {
		case 0:
			b.publish(m)
		case 1:
			b.publish(m)
			ack(packets.PUBACK)
		default:
			s.held[p.ID] = m
			ack(packets.PUBREC)
		}
	case packets.PUBREL:
		if m, ok := s.held[p.ID]; ok {
			delete(s.held, p.ID)
			b.publish(m)
		}
		ack(packets.PUBCOMP)
	case packets.PUBREC:
		ack(packets.PUBREL)
	case packets.SUBSCRIBE:
		b.subscribe(s, p)
	case packets.UNSUBSCRIBE:
		var codes []packets.ReasonCode
		for filter := range p.Subscriptions() {
			b.inside(s.user, "UNSUBSCRIBE", inner(string(filter)))
			delete(s.subs, string(filter))
			codes = append(codes, packets.Success)
		}
		b.send(s, packets.AppendUnsuback(nil, s.version, p.ID, nil, codes))
	case packets.DISCONNECT:
		if p.Reason == packets.Success {
			s.will = nil
		}
	default:
	}
}

func (b *sharedBroker) subscribe(s *brokerSession, p *packets.Packet) {
	var codes []packets.ReasonCode
	var found []letter
	for text, options := range p.Subscriptions() {
		filter := string(text)
		b.inside(s.user, "SUBSCRIBE", inner(filter))
		s.subs[filter] = options.QoS()
		codes = append(codes, packets.ReasonCode(options.QoS()))
		if inner(filter) != filter {
			continue
		}
		for _, m := range b.retained {
			if matches(filter, m.topic) {
				m.qos = min(m.qos, options.QoS())
				found = append(found, m)
			}
		}
	}
	b.send(s, packets.AppendSuback(nil, s.version, p.ID, nil, codes))
	for _, m := range found {
		b.deliver(s, m)
	}
}

// publish delivers m once to who is subscribed to it, and once to each group.
func (b *sharedBroker) publish(m letter) {
	if m.retain {
		b.retained[m.topic] = m
	}
	m.retain = false
	groups := map[string][]*brokerSession{}
	for _, s := range b.sessions {
		if s.conn == nil {
			continue
		}
		most, subscribed := packets.QoS(0), false
		for filter, qos := range s.subs {
			switch topic := inner(filter); {
			case !matches(topic, m.topic):
			case topic != filter:
				groups[filter] = append(groups[filter], s)
			default:
				most, subscribed = max(most, qos), true
			}
		}
		if subscribed {
			copied := m
			copied.qos = min(m.qos, most)
			b.deliver(s, copied)
		}
	}
	for _, members := range groups {
		b.group++
		b.deliver(members[b.group%len(members)], m)
	}
}

// deliver names every topic by an alias that can be.
func (b *sharedBroker) deliver(s *brokerSession, m letter) {
	flags := byte(m.qos) << 1
	if m.retain {
		flags |= 1
	}
	if m.qos > 0 {
		s.id++
	}
	var ps packets.Properties
	topic := m.topic
	if s.version == packets.V5 && m.response != "" {
		ps = ps.With(packets.ResponseTopic, []byte(m.response))
	}
	if s.aliases > 0 {
		n := uint16(len(topic))%s.aliases + 1
		ps = append(ps, mqtttest.Uint16(packets.TopicAlias, n)...)
		if s.told[n] == topic {
			topic = ""
		}
		s.told[n] = m.topic
	}
	b.send(s, packets.AppendPublish(nil, s.version, flags, []byte(topic), s.id, ps, []byte(m.body), 0))
}

func (b *sharedBroker) send(s *brokerSession, packet []byte) {
	if s.conn != nil {
		_, _ = s.conn.Write(packet) // who has gone is found by its reader
	}
}

// inner is the filter in a Shared Subscription.
func inner(filter string) string {
	if rest, shared := strings.CutPrefix(filter, "$share/"); shared {
		_, rest, _ = strings.Cut(rest, "/")
		return rest
	}
	return filter
}

// matches is MQTT 5.0 section 4.7, level by level.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && strings.ContainsAny(filter[:1], "+#") { // [MQTT-4.7.2-1]
		return false
	}
	f, n := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i == len(n), level != "+" && level != n[i]:
			return false
		}
	}
	return len(f) == len(n)
}
