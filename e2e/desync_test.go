package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// plain is a listener without TLS, for clients that count bytes.
const plain = `[{name: plain, address: "127.0.0.1:0"}]`

// stage is a proxy whose rules change while sessions run.
type stage struct {
	*proxy
	s settings
}

func newStage(t *testing.T, broker string, rules ...string) *stage {
	t.Helper()
	s := settings{broker: broker, listeners: plain, rules: rules}
	return &stage{startProxy(t, s), s}
}

// rules puts others in force.
func (s *stage) rules(t *testing.T, rules ...string) {
	t.Helper()
	s.s.rules = rules
	s.configure(t, s.s)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
}

const (
	readAll  = `{allow: [subscribe], topics: ["#"]}`
	writeAll = `{allow: [publish], topics: ["#"]}`
)

func pub(v packets.Version, flags byte, id uint16, topic string, ps ...byte) []byte {
	return packets.AppendPublish(nil, v, flags, []byte(topic), id, ps, []byte("x"), 0)
}

func ackOf(v packets.Version, kind packets.Type, id uint16, rc packets.ReasonCode) string {
	return hex.EncodeToString(packets.AppendAck(nil, v, kind, id, rc))
}

func sub(v packets.Version, id uint16, qos byte, filters ...string) []byte {
	var subs []packets.Subscription
	for _, f := range filters {
		subs = append(subs, packets.Subscription{Filter: []byte(f), Options: packets.SubscribeOptions(qos)})
	}
	return packets.AppendSubscribe(nil, v, id, nil, subs)
}

func subackOf(v packets.Version, id uint16, codes ...packets.ReasonCode) string {
	for i, rc := range codes {
		if v != v5 && rc > packets.UnspecifiedError {
			codes[i] = packets.UnspecifiedError
		}
	}
	return hex.EncodeToString(packets.AppendSuback(nil, v, id, nil, codes))
}

func unsub(v packets.Version, id uint16, filters ...string) []byte {
	var names [][]byte
	for _, f := range filters {
		names = append(names, []byte(f))
	}
	return packets.AppendUnsubscribe(nil, v, id, nil, names)
}

func willOn(topic string) func(*packets.Connect) {
	return func(c *packets.Connect) { c.Will = &packets.Will{Topic: []byte(topic), Payload: []byte("x")} }
}

// end publishes a last message around the proxy and returns the topics that the
// monitor has seen up to then.
func end(t *testing.T, b *broker, monitor *process) []string {
	t.Helper()
	publish(t, b.direct(), "-q", "2", "-t", "end", "-m", payload("end"))
	return messages(monitor.await(t, payload("end")))
}

// TestDesync is where proxies and brokers have been found to disagree about what
// is allowed: by what they think a packet says, and by what they think is still
// allowed.
func TestDesync(t *testing.T) {
	t.Parallel()
	for _, v := range []packets.Version{v3, v5} {
		each := func(name string, f func(t *testing.T, v packets.Version)) {
			t.Run(name+", "+v.String(), func(t *testing.T) {
				t.Parallel()
				f(t, v)
			})
		}
		each("1 second filter of a SUBSCRIBE is denied", secondFilter)
		each("2 revoke, then a QoS 1 message is sent again", resent)
		each("3 revoke between PUBLISH and PUBREL", beforePubrel)
		each("3 revoke, reconnect, and use the identifier for something else", reusedIdentifier)
		each("4 revoke, then the Will is due", revokedWill)
		each("5 revoke, then a durable subscription delivers", durableDelivery)
		each("6 revoke, then a retained message of the publisher is due", retainedOfRevoked)
		each("8 takeover by another user", takeover)
		each("11 shared subscription to a denied filter", sharedSecret)
		each("12 wildcard at the root and $", rootWildcard)
		each("13 denied SUBSCRIBE to what is held", deniedResubscribe)
		each("14 UNSUBSCRIBE of what was never sent on", halfUnsubscribe)
	}
	t.Run("7 alias bound before a revoke", aliasBeforeRevoke)
	t.Run("9 expiry during a session", expiryDuringSession)
	t.Run("10 certificate revoked during a session", revokedDuringSession)
}

func secondFilter(t *testing.T, v packets.Version) {
	b := record(t, nil)
	p := newStage(t, b.Addr().String(), `{allow: [subscribe], topics: ["open/#"]}`)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	c.send(sub(v, 1, 1, "open/a", "secret/b"))
	c.expect("one of two", subackOf(v, 1, 1, packets.NotAuthorized))
	if got := b.frames(t); got[len(got)-1] != hex.EncodeToString(sub(v, 1, 1, "open/a")) {
		t.Errorf("the broker got %s", got[len(got)-1])
	}
}

func resent(t *testing.T, v packets.Version) {
	b := record(t, func(p *packets.Packet) []byte {
		if p.Type == packets.PUBLISH {
			return []byte{} // no PUBACK
		}
		return nil
	})
	p := newStage(t, b.Addr().String(), writeAll)
	c := p.raw(t)
	c.connect(v, "c", "alice", durable)
	c.send(pub(v, 2, 5, "w/a"))
	c.alive("it is on its way")
	c.Close()
	p.rules(t, readAll)
	c = p.raw(t)
	c.connect(v, "c", "alice", durable)
	c.send(pub(v, 2|8, 5, "w/a"))
	c.expect("acknowledged here", ackOf(v, packets.PUBACK, 5, packets.NotAuthorized))
	if got := b.frames(t); slices.Contains(got, hex.EncodeToString(pub(v, 2|8, 5, "w/a"))) {
		t.Error("the broker got it again")
	}
}

func beforePubrel(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), writeAll)
	monitor := b.monitor(t)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	c.send(pub(v, 4, 5, "w/a"))
	c.expect("the broker has it", ackOf(v, packets.PUBREC, 5, packets.Success))
	p.rules(t, readAll)
	c.send(packets.AppendAck(nil, v, packets.PUBREL, 5, packets.Success))
	c.expect("complete", ackOf(v, packets.PUBCOMP, 5, packets.Success))
	equal(t, "messages", end(t, b, monitor), []string{"end"})
	c.alive("the session goes on")
}

func reusedIdentifier(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), writeAll, readAll)
	monitor := b.monitor(t)
	c := p.raw(t)
	c.connect(v, "c", "alice", durable)
	c.send(pub(v, 4, 5, "w/a"))
	c.expect("the broker has it", ackOf(v, packets.PUBREC, 5, packets.Success))
	c.Close()
	p.awaitEvent(t, event{"msg": "session ended"})
	p.rules(t, readAll)
	c = p.raw(t)
	if !c.connect(v, "c", "alice", durable) {
		t.Error("the broker has no session")
	}
	c.send(sub(v, 5, 0, "other"))
	c.expect("granted", subackOf(v, 5, 0))
	c.send(packets.AppendAck(nil, v, packets.PUBREL, 5, packets.Success))
	c.expect("answered here", ackOf(v, packets.PUBCOMP, 5, packets.Success))
	equal(t, "messages", end(t, b, monitor), []string{"end"})
}

func revokedWill(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), writeAll)
	monitor := b.monitor(t)
	c := p.raw(t)
	c.connect(v, "c", "alice", willOn("w/will"))
	other := p.raw(t)
	other.connect(v, "d", "bob", willOn("d/will"))
	p.rules(t, `{users: [bob], allow: [publish], topics: ["#"]}`)
	c.Close()
	p.awaitEvent(t, event{"msg": "session ended", "client_id": "c"})
	p.awaitEvent(t, event{"msg": "will withdrawn", "client_id": "c"})
	other.Close()
	p.awaitEvent(t, event{"msg": "session ended", "client_id": "d"})
	monitor.await(t, "message d/will")
	equal(t, "messages", end(t, b, monitor), []string{"d/will", "end"})
}

// deliveries reads PUBLISHes up to the one to "data/end", acknowledges them and
// returns their topics.
func deliveries(c *raw, v packets.Version) (topics []string) {
	c.t.Helper()
	for {
		frame, err := hex.DecodeString(c.next())
		if err != nil {
			c.t.Fatalf("deliveries end: %v", topics)
		}
		p, err := packets.Parse(frame, v, packets.Server)
		if err != nil || p.Type != packets.PUBLISH {
			c.t.Fatalf("% x: %v", frame, err)
		}
		if p.QoS() == 1 {
			c.send(packets.AppendAck(nil, v, packets.PUBACK, p.ID, packets.Success))
		}
		if string(p.Topic) == "data/end" {
			return topics
		}
		topics = append(topics, string(p.Topic))
	}
}

func durableDelivery(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), readAll)
	c := p.raw(t)
	c.connect(v, "c", "alice", durable)
	c.send(sub(v, 1, 1, "data/#"))
	c.expect("granted", subackOf(v, 1, 1))
	c.Close()
	p.awaitEvent(t, event{"msg": "session ended"})
	tell := func(topics ...string) {
		for _, topic := range topics {
			publish(t, b.direct(), "-q", "1", "-t", topic, "-m", "x")
		}
	}
	tell("data/secret", "data/open", "data/secret", "data/end")
	p.rules(t, `{deny: [receive], topics: ["data/secret"]}`, readAll)
	for _, want := range [][]string{{"data/open"}, nil} {
		c = p.raw(t)
		if !c.connect(v, "c", "alice", durable) {
			t.Error("the broker has no session")
		}
		equal(t, "messages", deliveries(c, v), want)
		c.alive("the session goes on")
		c.Close()
		tell("data/end") // what was not acknowledged would come before it
	}
}

func retainedOfRevoked(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), writeAll, readAll)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	c.send(pub(v, 2|1, 1, "data/command"))
	if got := c.next(); !strings.HasPrefix(got, "40") { // nobody has subscribed
		t.Fatalf("got %s for a PUBACK", got)
	}
	publish(t, b.direct(), "-q", "1", "-r", "-t", "data/end", "-m", "x")
	for _, step := range []struct {
		rules []string
		want  []string
	}{
		{[]string{writeAll, readAll}, []string{"data/command"}},
		{[]string{readAll}, nil},
	} {
		p.rules(t, step.rules...)
		reader := p.raw(t)
		reader.connect(v, "reader", "bob")
		reader.send(sub(v, 1, 0, "data/command"))
		reader.expect("granted", subackOf(v, 1, 0))
		reader.send(sub(v, 2, 0, "data/end"))
		var topics []string
		for got := reader.next(); ; got = reader.next() {
			if strings.HasPrefix(got, "90") {
				continue
			}
			frame, _ := hex.DecodeString(got)
			m, err := packets.Parse(frame, v, packets.Server)
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if string(m.Topic) == "data/end" {
				break
			}
			topics = append(topics, string(m.Topic))
		}
		equal(t, "messages", topics, step.want)
		reader.Close()
	}
}

func takeover(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), writeAll, readAll)
	victim := p.raw(t)
	victim.connect(v, "gateway", "alice", durable)
	victim.send(sub(v, 1, 1, "data/#"))
	victim.expect("granted", subackOf(v, 1, 1))
	for _, edit := range []func(*packets.Connect){durable, func(*packets.Connect) {}} {
		thief := p.raw(t)
		thief.send(rawConnect(v, "gateway", "bob", edit))
		refused := "20020002"
		if v == v5 {
			refused = "2003008500"
		}
		thief.expect("the identifier is alice's", refused, "close")
		victim.alive("the victim stays")
	}
	victim.Close()
	p.awaitEvent(t, event{"msg": "session ended", "username": "alice"})
	publish(t, b.direct(), "-q", "1", "-t", "data/1", "-m", "x")
	publish(t, b.direct(), "-q", "1", "-t", "data/end", "-m", "x")
	thief := p.raw(t)
	thief.send(rawConnect(v, "gateway", "bob"))
	if got := thief.next(); got == "20020000" || strings.HasPrefix(got, "20") && got[6:8] == "00" && v == v5 {
		t.Errorf("bob has alice's session: %s", got)
	}
	victim = p.raw(t)
	if !victim.connect(v, "gateway", "alice", durable) {
		t.Error("alice's session is gone")
	}
	equal(t, "messages", deliveries(victim, v), []string{"data/1"})
}

func sharedSecret(t *testing.T, v packets.Version) {
	b := record(t, nil)
	p := newStage(t, b.Addr().String(), `{allow: [subscribe], topics: ["+/g/#"]}`, `{deny: [subscribe], topics: ["secret/#"]}`, readAll)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	c.send(sub(v, 1, 0, "$share/g/secret/#"))
	c.expect("denied", subackOf(v, 1, packets.NotAuthorized))
	c.send(sub(v, 2, 0, "$share/g/+/plans"))
	c.expect("denied, since it holds what is denied", subackOf(v, 2, packets.NotAuthorized))
	c.send(sub(v, 3, 0, "$share/g/open/#"))
	c.expect("granted", subackOf(v, 3, 0))
	if got := b.frames(t); len(got) != 2 {
		t.Errorf("the broker got %v", got)
	}
}

func rootWildcard(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), `{allow: [publish, subscribe], topics: ["#", "+/#", "+/broker/version"]}`)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	for i, filter := range []string{"$SYS/#", "$SYS/broker/version", "$SYS/+/version"} {
		c.send(sub(v, uint16(i+1), 0, filter))
		c.expect(filter, subackOf(v, uint16(i+1), packets.NotAuthorized))
	}
	c.send(pub(v, 2, 9, "$SYS/broker/version"))
	c.expect("nor written", ackOf(v, packets.PUBACK, 9, packets.NotAuthorized))
	c.send(sub(v, 5, 0, "+/broker/version"))
	c.expect("a wildcard is granted", subackOf(v, 5, 0))
	c.alive("and brings nothing of $SYS")
}

func deniedResubscribe(t *testing.T, v packets.Version) {
	b := record(t, nil)
	p := newStage(t, b.Addr().String(), readAll)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	c.send(sub(v, 1, 1, "secret/a", "open/a"))
	c.expect("granted", subackOf(v, 1, 1, 1))
	p.rules(t, `{allow: [subscribe], topics: ["open/#"]}`)
	gone := hex.EncodeToString(unsub(v, 65535, "secret/a"))
	eventually(t, "UNSUBSCRIBE at the broker", func() bool { return slices.Contains(b.frames(t), gone) })
	c.send(sub(v, 2, 1, "secret/a", "open/a"))
	want := subackOf(v, 2, packets.NotAuthorized, 1)
	if v == v5 { // which is told of what it has lost
		lost := packets.Properties("\x26\x00\x15mqttward-unsubscribed\x00\x08secret/a")
		want = hex.EncodeToString(packets.AppendSuback(nil, v, 2, lost, []packets.ReasonCode{packets.NotAuthorized, 1}))
	}
	c.expect("denied, and granted again", want)
	c.alive("nothing else comes")
	told := slices.DeleteFunc(b.frames(t), func(frame string) bool { return frame != gone })
	if len(told) != 1 {
		t.Errorf("the broker has been told %d times", len(told))
	}
}

func halfUnsubscribe(t *testing.T, v packets.Version) {
	b := startBroker(t)
	p := newStage(t, b.address(), `{allow: [subscribe], topics: ["open/#"]}`)
	c := p.raw(t)
	c.connect(v, "c", "alice")
	c.send(sub(v, 1, 1, "open/a", "secret/b"))
	c.expect("one of two", subackOf(v, 1, 1, packets.NotAuthorized))
	c.send(unsub(v, 2, "secret/b", "open/a", strings.Repeat("deep/", 50)))
	want := packets.AppendUnsuback(nil, v, 2, nil, []packets.ReasonCode{packets.NoSubscriptionExisted, packets.Success, packets.TopicFilterInvalid})
	c.expect("one answer, in order", hex.EncodeToString(want))
	c.alive("and no other")
}

func aliasBeforeRevoke(t *testing.T) {
	t.Parallel()
	b := record(t, nil)
	p := newStage(t, b.Addr().String(), writeAll)
	c := p.raw(t)
	c.connect(v5, "c", "alice")
	alias := []byte{byte(packets.TopicAlias), 0, 1}
	c.send(pub(v5, 2, 1, "w/a", alias...), pub(v5, 2, 2, "", alias...))
	c.expect("allowed", ackOf(v5, packets.PUBACK, 1, 0), ackOf(v5, packets.PUBACK, 2, 0))
	before := len(b.frames(t))
	p.rules(t, `{allow: [publish], topics: ["other"]}`)
	c.send(pub(v5, 2, 3, "", alias...))
	c.expect("denied by its name", ackOf(v5, packets.PUBACK, 3, packets.NotAuthorized))
	if got := b.frames(t); len(got) != before {
		t.Errorf("the broker got %v", got[before:])
	}
}

// machines is a stage with client certificates.
func machines(t *testing.T, broker string, ca *pki.CA, crl []byte) *stage {
	t.Helper()
	s := settings{
		broker:    broker,
		listeners: tlsListener(", client_auth: required, client_ca: client-ca.crt, crl: [clients.crl]"),
		authn:     "[{name: plc, type: certificate}]",
		rules:     []string{writeAll},
	}
	dir := proxyFolder(t, s)
	write(t, filepath.Join(dir, "client-ca.crt"), string(ca.PEM()))
	write(t, filepath.Join(dir, "clients.crl"), string(crl))
	return &stage{startProxyIn(t, dir), s}
}

// certified is a raw client with a certificate.
func (s *stage) certified(t *testing.T, config *tls.Config) *raw {
	t.Helper()
	conn, err := tls.Dial("tcp", s.address(), config)
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, conn)
}

func (s *stage) machineConfig(t *testing.T, ca *pki.CA, notAfter time.Time) (*tls.Config, *big.Int) {
	t.Helper()
	certPEM, keyPEM, err := ca.Issue(pki.Options{CN: "plc-7", Client: true, NotAfter: notAfter})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	config := s.tlsConfig()
	config.Certificates = []tls.Certificate{pair}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return config, cert.SerialNumber
}

func newCRL(t *testing.T, ca *pki.CA, serials ...*big.Int) []byte {
	t.Helper()
	crl, err := ca.CRL(time.Now().Add(time.Hour), serials...)
	if err != nil {
		t.Fatal(err)
	}
	return crl
}

func expiryDuringSession(t *testing.T) {
	t.Parallel()
	ca := newCA("machines")
	b := startBroker(t)
	p := machines(t, b.address(), ca, newCRL(t, ca))
	monitor := b.monitor(t)
	config, _ := p.machineConfig(t, ca, time.Now().Add(3*time.Second))
	c := p.certified(t, config)
	c.connect(v5, "c", "", willOn("w/will"))
	c.expect("the certificate has expired", "e00187", "close")
	monitor.await(t, "message w/will")
	p.awaitEvent(t, event{"msg": "session ended", "end": "identity_expired"})
}

func revokedDuringSession(t *testing.T) {
	t.Parallel()
	ca := newCA("machines")
	b := startBroker(t)
	p := machines(t, b.address(), ca, newCRL(t, ca))
	config, serial := p.machineConfig(t, ca, time.Time{})
	c := p.certified(t, config)
	c.connect(v5, "c", "")
	c.alive("nothing is revoked; and the client has its session ticket")
	again, err := tls.Dial("tcp", p.address(), config)
	if err != nil {
		t.Fatal(err)
	}
	if !again.ConnectionState().DidResume {
		t.Error("the client does not resume its TLS session, so nothing is shown below")
	}
	newRaw(t, again).connect(v5, "e", "") // and takes a new ticket
	other, _ := p.machineConfig(t, ca, time.Time{})
	spared := p.certified(t, other)
	spared.connect(v5, "d", "")
	write(t, p.file("clients.crl"), string(newCRL(t, ca, serial)))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.expect("the certificate is revoked", "e00187", "close")
	p.awaitEvent(t, event{"msg": "session ended", "end": "identity_revoked"})
	spared.alive("another is not")
	conn, err := tls.Dial("tcp", p.address(), config)
	if err == nil { // TLS 1.3 tells with the first read
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "bad certificate") && !isRemote(err) {
		t.Errorf("a resumed session with a revoked certificate: %v", err)
	}
}

func isRemote(err error) bool {
	op, ok := err.(*net.OpError)
	return ok && op.Op == "remote error"
}

// TestRelaxedCheck: a device that breaks a rule is let through knowingly, and only
// as far as that goes.
func TestRelaxedCheck(t *testing.T) {
	t.Parallel()
	b := record(t, nil)
	p := startProxy(t, settings{
		broker: b.Addr().String(), listeners: plain, rules: []string{readAll},
		more: "broker_profile: none\nstrict: {log: [C3], off: [C12]}",
	})
	c := p.raw(t)
	c.connect(v3, "c", "alice")
	odd := sub(v3, 1, 0, "a")
	odd[0] = 0x80
	c.send(odd)
	p.awaitEvent(t, event{"msg": "check failed", "check": "C3", "outcome": "let_through", "packet": "SUBSCRIBE"})
	b.send(t, packets.AppendSuback(nil, v3, 1, nil, []packets.ReasonCode{0})) // this broker takes it
	c.expect("answered", subackOf(v3, 1, 0))
	c.send(packets.AppendAck(nil, v3, packets.PUBACK, 9, packets.Success))
	c.alive("an acknowledgement of nothing goes on, and nobody hears of it")
	if got, want := b.frames(t)[1:], []string{hex.EncodeToString(odd), "40020009", "c000"}; !slices.Equal(got, want) {
		t.Errorf("the broker got %v, want %v", got, want)
	}
	c.send([]byte{0xd0, 0})
	c.expect("other checks are enforced", "close")
	p.awaitMetric(t, `mqttward_checks_total{check="C11",outcome="refused"}`, 1)
}
