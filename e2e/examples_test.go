package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/internal/pki"
)

// example is a configuration of configs/ for this machine: each pair of replace is
// a text of it, which must be there, and what stands in its place.
func example(t *testing.T, name string, replace ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "configs", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i+1 < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s does not hold %q", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

// at opens a connection to listener i, with a client certificate unless it is "".
func (p *proxy) at(t *testing.T, i int, certificate string) *client5 {
	t.Helper()
	config := p.tlsConfig()
	if certificate != "" {
		config = p.certified(t, certificate)
	}
	return dialed5(t, p.Addrs()[i].String(), config, nil)
}

// connected connects c, which must succeed.
func (c *client5) connected(t *testing.T, connect *paho.Connect) *client5 {
	t.Helper()
	if ack, err := c.Connect(waiting(t), connect); err != nil {
		t.Fatalf("CONNECT of %s: %v %+v", connect.ClientID, err, ack)
	}
	return c
}

// machine is the CONNECT of a client that has its name from its certificate.
func machine(id string) *paho.Connect {
	return &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 60}
}

// publishes publishes with QoS 1 and wants a reason code.
func (c *client5) publishes(t *testing.T, topic string, want byte) {
	t.Helper()
	if got := c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload(topic))}); got != want {
		t.Errorf("%s publishes to %s: %#x, want %#x", c.ClientID(), topic, got, want)
	}
}

// closedToday is a window that is not now, and stays so for three days.
func closedToday() string {
	return strings.ToLower(time.Now().AddDate(0, 0, 4).Weekday().String()[:3]) + " 00:00-24:00"
}

// The lines of the factory see nothing of each other; orders come from the foremen
// of the line while there is a shift; edge nodes have the Will that they must have.
func TestFactoryExample(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	lineA, lineB := newCA("line A"), newCA("line B")
	local := []string{
		"10.20.1.1:8883", "127.0.0.1:0", "10.20.2.1:8883", "127.0.0.1:0", "10.10.0.5:8883", "127.0.0.1:0", "10.10.0.5:9883", "127.0.0.1:0",
		"10.20.1.0/24", "127.0.0.0/8", "10.20.2.0/24", "127.0.0.0/8", "10.10.0.0/16", "127.0.0.0/8", "10.10.4.0/24", "127.0.0.0/8",
		"unix:/run/mosquitto/mqtt.sock", b.address(), "audit: stderr ", "audit: audit.log ",
		"limits:\n", "broker_profile: legacy\nlimits:\n  connect_timeout: 60s\n",
	}
	shift := func(times string) string {
		return example(t, "factory-dmz.yaml", append(local, "mon-fri 06:00-22:00", times)...)
	}
	dir := proxyFolder(t, settings{})
	write(t, filepath.Join(dir, "mqttward.yaml"), shift("00:00-24:00"))
	issue(t, authority(), dir, "gateway", pki.Options{CN: "localhost", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	for name, ca := range map[string]*pki.CA{"line-a": lineA, "line-b": lineB} {
		write(t, filepath.Join(dir, name+"-ca.crt"), string(ca.PEM()))
		issue(t, ca, dir, name+"-plc", pki.Options{CN: "plc-1", OU: []string{"machines"}, Client: true})
		issue(t, ca, dir, name+"-robot", pki.Options{CN: "robot-4", OU: []string{"machines"}, Client: true})
		issue(t, ca, dir, name+"-gw", pki.Options{CN: "gw-" + name, OU: []string{"edge"}, Client: true})
	}
	write(t, filepath.Join(dir, "line-a.crl"), string(newCRL(t, lineA)))
	write(t, filepath.Join(dir, "people.passwd"), peopleFile(t, "anna", "carl", "historian", "scada"))
	write(t, filepath.Join(dir, "people.groups"), "foremen-a: anna\nforemen-b: carl\n")
	write(t, filepath.Join(dir, "admin.token"), strings.Repeat("x", 40))
	p := startProxyIn(t, dir)
	const a, bLine, office = 0, 1, 2

	if _, err := p.at(t, bLine, "line-a-plc").Connect(waiting(t), machine("plc-1")); err == nil {
		t.Error("line B lets in a certificate of line A")
	}
	watcher := connection("historian")
	watcher.ClientID = "historian-1"
	historian := p.at(t, office, "").connected(t, watcher)
	equal(t, "subscriptions of the historian", historian.subscribe(t, 1, "line-a/#", "line-b/#", "spBv1.0/#", "#"), []byte{1, 1, 1, notAuthorized})

	plcB := p.at(t, bLine, "line-b-plc").connected(t, machine("plc-1"))
	equal(t, "subscriptions of line B", plcB.subscribe(t, 1, "line-b/+/state", "line-a/+/state", "+/+/state", "$share/g/line-a/#"),
		[]byte{1, notAuthorized, notAuthorized, notAuthorized})
	robot := p.at(t, a, "line-a-robot").connected(t, machine("robot-4"))
	equal(t, "subscriptions of line A", robot.subscribe(t, 1, "line-a/+/state", "line-a/robot-4/orders"), []byte{1, 1})
	robot.publishes(t, "line-a/robot-4/state", 0)
	robot.publishes(t, "line-a/plc-1/state", notAuthorized)
	robot.publishes(t, "line-b/robot-4/state", notAuthorized)
	historian.receives(t, "line-a/robot-4/state")
	robot.receives(t, "line-a/robot-4/state")
	historian.publishes(t, "line-a/robot-4/orders", notAuthorized)
	plcB.publishes(t, "line-b/plc-1/state", 0)
	historian.receives(t, "line-b/plc-1/state")
	plcB.receives(t, "line-b/plc-1/state") // and not what line A has said before

	anna := p.at(t, office, "").connected(t, connection("anna"))
	anna.publishes(t, "line-a/robot-4/orders", 0)
	robot.receives(t, "line-a/robot-4/orders")
	historian.receives(t, "line-a/robot-4/orders")
	anna.publishes(t, "line-b/plc-1/orders", notAuthorized)
	carl := p.at(t, office, "").connected(t, connection("carl"))
	carl.publishes(t, "line-a/robot-4/orders", notAuthorized)
	write(t, filepath.Join(dir, "mqttward.yaml"), shift(closedToday()))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	anna.publishes(t, "line-a/robot-4/orders", notAuthorized)

	node := machine("gw-line-a")
	if _, err := p.at(t, a, "line-a-gw").Connect(waiting(t), node); err == nil {
		t.Error("an edge node without a Will is let in")
	}
	node.WillMessage = &paho.WillMessage{Topic: "spBv1.0/line-a/NDEATH/gw-line-a", QoS: 1, Payload: []byte(payload("death"))}
	edge := p.at(t, a, "line-a-gw").connected(t, node)
	edge.quickly(t, "spBv1.0/line-b/NBIRTH/gw-line-a") // dropped
	edge.quickly(t, "spBv1.0/line-a/NBIRTH/gw-line-a")
	historian.receives(t, "spBv1.0/line-a/NBIRTH/gw-line-a")
	equal(t, "subscriptions of the edge node", edge.subscribe(t, 1, "spBv1.0/line-a/NCMD/gw-line-a"), []byte{1})
	scada := p.at(t, office, "").connected(t, withWill("scada", "spBv1.0/STATE/scada", 1, true))
	scada.quickly(t, "spBv1.0/line-a/NCMD/gw-line-a")
	edge.receives(t, "spBv1.0/line-a/NCMD/gw-line-a")
	historian.receives(t, "spBv1.0/line-a/NCMD/gw-line-a")
	_ = edge.conn.NetConn().Close()
	historian.receives(t, "spBv1.0/line-a/NDEATH/gw-line-a")
}

// peopleFile is a password file of mosquitto_passwd.
func peopleFile(t *testing.T, names ...string) string {
	t.Helper()
	var text strings.Builder
	for _, name := range names {
		text.WriteString(name + ":" + password(name) + "\n")
	}
	return hashed(filepath.Join(t.TempDir(), "people"), text.String())
}

// No customer of the cloud sees a thing of another: devices, apps, and questions
// with answers. Support looks, when it is at work.
func TestCloudExample(t *testing.T) {
	t.Parallel()
	b, id := startBroker(t), startProvider(t)
	local := []string{
		"0.0.0.0:8883", "127.0.0.1:0", "10.1.0.5:8883", "127.0.0.1:0", "10.1.0.0/24", "127.0.0.0/8", "127.0.0.1:1883", b.address(),
		"https://id.example", id.url, "format: json", "format: json\n  audit: audit.log\nadmin: {address: \"127.0.0.1:0\"}",
		"limits:\n", "broker_profile: legacy\nlimits:\n  connect_timeout: 60s\n",
	}
	hours := func(times string) string {
		return example(t, "consumer-cloud.yaml", append(local, `"mon-fri 08:00-18:00", "sat 09:00-13:00"`, `"`+times+`"`)...)
	}
	dir := proxyFolder(t, settings{})
	write(t, filepath.Join(dir, "mqttward.yaml"), hours("00:00-24:00"))
	write(t, filepath.Join(dir, "staff.passwd"), peopleFile(t, "dora"))
	write(t, filepath.Join(dir, "staff.groups"), "support: dora\n")
	p := startProxyIn(t, dir)
	bring := func(customer, sub, role string) *paho.Connect {
		return withToken(customer+":"+sub, id.token(t, claims{"sub": sub, "customer": customer, "roles": []string{role}}))
	}
	const public, desk = 0, 1

	lock := p.at(t, public, "").connected(t, bring("acme", "lock-1", "device"))
	phone := p.at(t, public, "").connected(t, bring("acme", "phone", "app"))
	tablet := p.at(t, public, "").connected(t, bring("acme", "tablet", "app"))
	twin := p.at(t, public, "").connected(t, bring("zeta", "lock-1", "device")) // of the same name
	spy := p.at(t, public, "").connected(t, bring("zeta", "phone", "app"))
	for what, connect := range map[string]*paho.Connect{
		"another's client identifier": withToken("acme:lock-1", id.token(t, claims{"sub": "lock-1", "customer": "zeta", "roles": []string{"device"}})),
		"no customer":                 withToken("x", id.token(t, claims{"sub": "phone", "roles": []string{"app"}})),
		"a customer of all":           withToken("+:phone", id.token(t, claims{"sub": "phone", "customer": "+", "roles": []string{"app"}})),
	} {
		if _, err := p.at(t, public, "").Connect(waiting(t), connect); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	lost := bring("acme", "lamp-9", "device")
	lost.WillMessage = &paho.WillMessage{Topic: "zeta/devices/lamp-9/state/online", QoS: 1}
	if _, err := p.at(t, public, "").Connect(waiting(t), lost); err == nil {
		t.Error("a Will for another customer is accepted")
	}

	equal(t, "subscriptions of lock-1", lock.subscribe(t, 1, "acme/devices/lock-1/command/#", "acme/requests/lock-1", "acme/devices/+/state/#"), []byte{1, 1, notAuthorized})
	equal(t, "subscriptions of its twin", twin.subscribe(t, 1, "zeta/devices/lock-1/command/#", "acme/devices/lock-1/command/#"), []byte{1, notAuthorized})
	equal(t, "subscriptions of the phone", phone.subscribe(t, 1, "acme/devices/+/state/#", "acme/responses/acme:phone/#", "+/devices/+/state/#", "acme/responses/acme:tablet/#"),
		[]byte{1, 1, notAuthorized, notAuthorized})
	equal(t, "subscriptions of the spy", spy.subscribe(t, 1, "zeta/devices/+/state/#", "acme/devices/+/state/#", "#", "$share/g/acme/#"),
		[]byte{1, notAuthorized, notAuthorized, notAuthorized})

	look := connection("dora")
	look.ClientID = "desk:dora"
	support := p.at(t, desk, "").connected(t, look)
	equal(t, "subscriptions of support", support.subscribe(t, 1, "+/devices/+/state/#", "+/devices/+/command/#"), []byte{1, notAuthorized})

	lock.publishes(t, "acme/devices/lock-1/state/open", 0)
	lock.publishes(t, "zeta/devices/lock-1/state/open", notAuthorized)
	phone.receives(t, "acme/devices/lock-1/state/open")
	support.receives(t, "acme/devices/lock-1/state/open")
	phone.publishes(t, "acme/devices/lock-1/command/open", 0)
	lock.receives(t, "acme/devices/lock-1/command/open")
	for _, c := range []*client5{spy, twin, support} {
		c.publishes(t, "acme/devices/lock-1/command/open", notAuthorized)
	}
	twin.publishes(t, "zeta/devices/lock-1/state/open", 0)
	spy.receives(t, "zeta/devices/lock-1/state/open") // and nothing of acme before it
	support.receives(t, "zeta/devices/lock-1/state/open")

	ask := func(c *client5, response string) byte {
		return c.publish(t, &paho.Publish{Topic: "acme/requests/lock-1", QoS: 1, Properties: &paho.PublishProperties{ResponseTopic: response}})
	}
	if code := ask(phone, "acme/responses/acme:phone/7"); code != 0 {
		t.Errorf("a question: %#x", code)
	}
	lock.receives(t, "acme/requests/lock-1")
	lock.publishes(t, "acme/responses/acme:phone/7", 0)
	phone.receives(t, "acme/responses/acme:phone/7")
	for _, c := range []*client5{tablet, spy} {
		if code := ask(c, "acme/responses/acme:phone/7"); code != notAuthorized {
			t.Errorf("a question whose answer goes to somebody else: %#x", code)
		}
	}

	write(t, filepath.Join(dir, "mqttward.yaml"), hours(closedToday()))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	equal(t, "subscriptions of support after work", support.subscribe(t, 1, "acme/devices/+/state/#"), []byte{notAuthorized})
	lock.publishes(t, "acme/devices/lock-1/state/shut", 0)
	phone.receives(t, "acme/devices/lock-1/state/shut")
	write(t, filepath.Join(dir, "mqttward.yaml"), hours("00:00-24:00"))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	lock.publishes(t, "acme/devices/lock-1/state/locked", 0)
	phone.receives(t, "acme/devices/lock-1/state/locked")
	equal(t, "subscriptions of support at work again", support.subscribe(t, 1, "acme/devices/+/state/locked"), []byte{1})
	lock.publishes(t, "acme/devices/lock-1/state/locked", 0)
	support.receives(t, "acme/devices/lock-1/state/locked") // the one after work never came
}
