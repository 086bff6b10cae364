package e2e

import (
	"crypto/tls"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/internal/pki"
)

// A session has the groups of its user's file as they are now, without a new
// login. A file that is wrong changes nothing.
func TestGroupsFile(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{
		broker: b.address(),
		authn:  "[{name: users, type: password, file: users.passwd, groups_file: groups.txt}]",
		rules:  []string{`{groups: [staff], allow: [publish], topics: ["staff/${username}"]}`},
	}
	dir := proxyFolder(t, s)
	write(t, dir+"/groups.txt", "others: alice bob\n")
	p := startProxyIn(t, dir)
	alice, _ := p.connect5(t, connection("alice"))
	bob, _ := p.connect5(t, connection("bob"))
	may := func(who string, c *client5, want byte) {
		t.Helper()
		eventually(t, "right of "+who, func() bool {
			return c.publish(t, &paho.Publish{Topic: "staff/" + who, QoS: 1, Payload: []byte(payload("x"))}) == want
		})
	}
	may("alice", alice, notAuthorized)
	for _, step := range []struct {
		groups     string
		wrong      bool
		alice, bob byte
	}{
		{"others: bob\n# the first\nstaff: alice\n", false, 0, notAuthorized},
		{"staff bob\n", true, 0, notAuthorized},
		{"staff: alice\nstaff: bob\n", false, 0, 0},
		{"staff: bob\n", false, notAuthorized, 0},
	} {
		write(t, p.file("groups.txt"), step.groups)
		if err := p.Reload(); (err != nil) != step.wrong {
			t.Fatalf("%q: %v", step.groups, err)
		}
		may("alice", alice, step.alice)
		may("bob", bob, step.bob)
	}
	s.authn = ""
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	may("bob", bob, notAuthorized)
}

// The units of a client certificate are its groups.
func TestCertificateUnits(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{
		broker:    b.address(),
		listeners: tlsListener(", client_ca: ca.crt, client_auth: required"),
		authn:     "[{name: machines, type: certificate, groups_from: ou}]",
		rules:     []string{`{groups: ["line-*"], allow: [publish], topics: ["${group}/${username}"]}`},
	})
	for name, o := range map[string]pki.Options{
		"a": {CN: "plc-1", OU: []string{"line-a"}}, "two": {CN: "plc-2", OU: []string{"line-a", "x", "line-b"}},
		"none": {CN: "plc-3"}, "bad": {CN: "plc-4", OU: []string{"line-a", "line-b/#"}},
	} {
		o.Client = true
		issue(t, authority(), p.dir, name, o)
	}
	for _, test := range []struct {
		certificate, topic string
		code               byte
	}{
		{"a", "line-a/plc-1", 0},
		{"a", "line-b/plc-1", notAuthorized},
		{"a", "line-a/plc-2", notAuthorized},
		{"two", "line-a/plc-2", 0},
		{"two", "line-b/plc-2", 0},
		{"two", "x/plc-2", notAuthorized},
		{"none", "line-a/plc-3", notAuthorized},
	} {
		c, _ := p.connectCertified(t, test.certificate, connection(test.certificate))
		if got := c.publish(t, &paho.Publish{Topic: test.topic, QoS: 1}); got != test.code {
			t.Errorf("%s publishes to %s: %#x, want %#x", test.certificate, test.topic, got, test.code)
		}
		_ = c.Disconnect(&paho.Disconnect{})
	}
	if r := tryPublish(t, append(p.anyone(), "--cert", p.file("bad.crt"), "--key", p.file("bad.key")), "-t", "line-a/plc-4", "-m", "x"); r.code == 0 {
		t.Error("a certificate with a wildcard for a unit is accepted")
	}
	p.awaitMetric(t, refusals("bad_credentials"), 1)
}

// notAuthorized is a reason code of MQTT 5.0.
const notAuthorized = 0x87

// connectCertified is connect5 with a client certificate of the proxy's folder.
func (p *proxy) connectCertified(t *testing.T, certificate string, connect *paho.Connect) (*client5, *paho.Connack) {
	t.Helper()
	c := dialed5(t, p.address(), p.certified(t, certificate), nil)
	ack, err := c.Connect(waiting(t), connect)
	if err != nil {
		t.Fatalf("CONNECT with %s: %v %+v", certificate, err, ack)
	}
	return c, ack
}

// certified is tlsConfig with a client certificate of the proxy's folder.
func (p *proxy) certified(t *testing.T, certificate string) *tls.Config {
	t.Helper()
	config := p.tlsConfig()
	pair, err := tls.LoadX509KeyPair(p.file(certificate+".crt"), p.file(certificate+".key"))
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config
}
