package e2e

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Two tenants with the same client identifiers and the same topics share a broker
// and nothing else. The broker knows their names with the prefix, and so do the
// rules; they do not.
func TestTenantsOfPasswordFiles(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address(), authn: `
  - {name: acme, type: password, file: users.passwd, tenant: acme}
  - {name: zeta, type: password, file: owners.passwd, tenant: zeta}`}
	s.listeners = `
  - {name: acme, address: "127.0.0.1:0", authn: [acme], tls: {certificates: [{cert: server.crt, key: server.key}]}}
  - {name: zeta, address: "127.0.0.1:0", authn: [zeta], tls: {certificates: [{cert: server.crt, key: server.key}]}}`
	s.rules = []string{`{deny: [publish], topics: ["${tenant}/secret/#"]}`, `{allow: [publish, subscribe], topics: ["${tenant}/#"]}`}
	s.more = "rewrite: {topic_prefix: \"${tenant}/\", client_id_prefix: \"${tenant}-\"}\nbroker_profile: legacy"
	dir := proxyFolder(t, s)
	write(t, dir+"/owners.passwd", usersFile())
	acme := startProxyIn(t, dir)
	zeta := &proxy{App: acme.App, dir: dir, listener: 1}

	monitor := b.monitor(t)
	connect := func(p *proxy, will string) *client5 {
		t.Helper()
		c := connection("alice")
		if will != "" {
			c.WillMessage = &paho.WillMessage{Topic: will, Payload: []byte("gone")}
		}
		client, _ := p.connect5(t, c)
		return client
	}
	a, z := connect(acme, "status/alice"), connect(zeta, "")
	equal(t, "reason codes", a.subscribe(t, 1, "#", "$share/g/jobs/#", "$SYS/#"), []byte{1, 1, 1})
	equal(t, "reason codes", z.subscribe(t, 1, "#", "+/alice", "$share/g/jobs/#"), []byte{1, 1, 1})
	old, _ := zeta.connect3(t, v311, "bob")
	equal(t, "return codes", old.subscribe(t, "#"), []byte{1})

	alias := uint16(1)
	for _, m := range []*paho.Publish{
		{Topic: "data/1", Properties: &paho.PublishProperties{TopicAlias: &alias, ResponseTopic: "answers/alice"}},
		{Properties: &paho.PublishProperties{TopicAlias: &alias}},
		{Topic: "kept", Retain: true},
		{Topic: "jobs/1"},
	} {
		m.QoS, m.Payload = 1, []byte("acme's")
		if code := a.publish(t, m); code != 0 {
			t.Errorf("%s: 0x%02X", m.Topic, code)
		}
	}
	if code := a.publish(t, &paho.Publish{Topic: "secret/x", QoS: 1, Payload: []byte("x")}); code != 0x87 {
		t.Errorf("a rule about the broker's name is not asked: 0x%02X", code)
	}
	for _, topic := range []string{"$SYS/x", "$CONTROL/dynamic-security/v1"} {
		if code := a.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("x")}); code < 0x80 {
			t.Errorf("%s: 0x%02X", topic, code)
		}
	}
	for _, want := range []string{"data/1", "data/1", "kept", "jobs/1", "jobs/1"} {
		m := receive(t, "message", a.inbox)
		if m.Topic != want {
			t.Errorf("acme gets %s, want %s", m.Topic, want)
		}
		if m.Properties != nil && m.Properties.ResponseTopic != "" && m.Properties.ResponseTopic != "answers/alice" {
			t.Errorf("with the Response Topic %s", m.Properties.ResponseTopic)
		}
	}
	monitor.await(t, "acme/data/1")
	late := connect(acme, "status/alice") // takes over from the first of the tenant, not of the other
	equal(t, "reason codes", late.subscribe(t, 1, "kept"), []byte{1})
	if topic, _ := late.next(t); topic != "kept" {
		t.Errorf("acme gets %s of what is retained", topic)
	}
	// What the broker's own clients publish outside of the prefix is not seen either.
	publish(t, b.direct(), "-V", "5", "-q", "1", "-t", "data/1", "-m", payload("outside"))
	publish(t, b.direct(), "-V", "5", "-q", "1", "-t", "acmetoo/data", "-m", payload("outside"))
	if code := z.publish(t, &paho.Publish{Topic: "last", QoS: 1, Payload: []byte("zeta's")}); code != 0 {
		t.Fatalf("0x%02X", code)
	}
	if topic, _ := z.next(t); topic != "last" {
		t.Errorf("zeta gets %s", topic)
	}
	if m := receive[mqtt.Message](t, "message", old.inbox); m.Topic() != "last" {
		t.Errorf("zeta gets %s", m.Topic())
	}
	if r := acme.verb(t, "kick", "--client-id", "alice", "--tenant", "zeta"); r.code != 0 || r.stdout != "1 kicked\n" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	acme.awaitEvent(t, event{"msg": "session ended", "client_id": "alice", "tenant": "zeta", "end": "kicked"})
	for _, c := range acme.clients(t) {
		if c.Tenant == "zeta" && c.ClientID == "alice" {
			t.Errorf("it is there: %+v", c)
		}
	}
	if n := acme.metrics(t)[`mqttward_sessions_ended_total{reason="kicked"}`]; n != 1 {
		t.Errorf("%v counted as kicked, want 1", n)
	}
	for _, id := range []string{"acme-alice", "zeta-alice", "zeta-bob"} {
		b.out.await(t, " as "+id+" (", 1)
	}
}

// Who has no tenant has no topics, and does not get in.
func TestNoTenantOfPasswordFile(t *testing.T) {
	t.Parallel()
	s := settings{broker: startBroker(t).address()}
	s.more = "rewrite: {topic_prefix: \"${tenant}/\"}\nbroker_profile: legacy"
	p := startProxy(t, s)
	p.refused5(t, connection("alice"), 0x87)
	e := p.awaitEvent(t, event{"msg": "connection refused", "username": "alice"})
	if text, _ := e["error"].(string); text != "rewrite.topic_prefix: the client has no usable value for ${tenant}" {
		t.Errorf("the audit log says %q", text)
	}
}
