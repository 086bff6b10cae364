package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/mqttward/mqttward/internal/pki"
)

// commuter publishes numbers at QoS 1 and 2 by turns, and gets them at the same QoS.
type commuter struct {
	id      string
	publish func(number int) error
	next    atomic.Int64 // number to come
	wrong   atomic.Value // what came instead
	sent    int          // after the end
}

func (c *commuter) qos(number int) byte { return byte(1 + number%2) }

// receive wants each number once, in order.
func (c *commuter) receive(body string) {
	if want := payload(strconv.FormatInt(c.next.Load(), 10)); body != want {
		c.wrong.CompareAndSwap(nil, fmt.Sprintf("got %s, want %s", body, want))
	}
	c.next.Add(1)
}

// newCommuter connects with one library or the other.
func (p *proxy) newCommuter(t *testing.T, i int) *commuter {
	t.Helper()
	c := &commuter{id: fmt.Sprintf("commuter-%d", i)}
	topic := "commute/" + c.id
	if i%2 == 0 {
		client, _ := p.connect3(t, v311, "alice", func(o *mqtt.ClientOptions) {
			o.SetClientID(c.id).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.receive(string(m.Payload())) })
		})
		if err := done3(client.Subscribe(topic, 2, nil)); err != nil {
			t.Fatal(err)
		}
		c.publish = func(n int) error { return done3(client.Publish(topic, c.qos(n), false, payload(strconv.Itoa(n)))) }
		return c
	}
	client := p.come(t, c.id)
	client.AddOnPublishReceived(func(m paho.PublishReceived) (bool, error) {
		c.receive(string(m.Packet.Payload))
		return true, nil
	})
	client.subscribe(t, 2, topic)
	c.publish = func(n int) error {
		_, err := client.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: c.qos(n), Payload: []byte(payload(strconv.Itoa(n)))})
		return err
	}
	return c
}

// hundred is the configuration of a reload, which differs from the one before in all
// that can be changed: rules, limits, weights, servers, backends, listeners.
func hundred(i int, brokers []*broker) settings {
	servers := fmt.Sprintf("{address: %q, weight: %d}, {address: %q, weight: %d}",
		brokers[0].address(), 1+i%3, brokers[1].address(), 3-i%3)
	if i%2 == 1 {
		servers += fmt.Sprintf(", {address: %q}", brokers[2].address())
	}
	s := settings{
		backends:  fmt.Sprintf("{name: broker, servers: [%s], balance: %s}", servers, []string{"client_id", "least_connections", "round_robin"}[i%3]),
		listeners: strings.TrimSuffix(tlsListener(", client_auth: none"), "}]") + ", backend: broker}",
		rules: []string{
			fmt.Sprintf(`{name: rule of reload %d, deny: [publish], topics: ["%d"]}`, i, i),
			`{allow: [publish, subscribe], topics: ["#"]}`,
		},
		limits: fmt.Sprintf("{connect_timeout: 60s, publish_rate: {rate: %d}, packet_rate: {rate: 0}, max_connections_per_ip: 0, max_connections_per_identity: 0, connect_rate_per_ip: {rate: 0}, max_packet_size: %dKiB}",
			i%2*100_000, 256+i),
	}
	if i%4 > 1 {
		s.backends += fmt.Sprintf(", {name: spare-%d, servers: [{address: %q}]}", i, brokers[2].address())
		s.listeners += fmt.Sprintf(", {name: extra, address: '127.0.0.1:0', backend: spare-%d}", i)
		s.more = fmt.Sprintf("broker_profile: legacy\nroutes: [{users: [bob], backend: spare-%d}]", i)
	}
	s.backends, s.listeners = "["+s.backends+"]", s.listeners+"]"
	return s
}

// A hundred reloads under traffic at QoS 1 and 2, each of which changes all that can be
// changed: nobody is disconnected, and each message arrives once, in its order.
func TestHundredReloads(t *testing.T) {
	t.Parallel()
	const reloads, clients, between = 100, 50, 25
	brokers := startBrokers(t, 3, quiet...)
	p := startProxy(t, hundred(0, brokers))
	var commuters []*commuter
	for i := range clients {
		commuters = append(commuters, p.newCommuter(t, i))
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, c := range commuters {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.publish(c.sent); err != nil {
					c.wrong.CompareAndSwap(nil, err.Error())
					return
				}
				c.sent++
			}
		})
	}
	end := sync.OnceFunc(func() { close(stop); running.Wait() })
	t.Cleanup(end)
	// arrived counts, and fails for the first that is wrong.
	arrived := func() (n int) {
		for _, c := range commuters {
			if wrong := c.wrong.Load(); wrong != nil {
				t.Fatalf("%s: %v", c.id, wrong)
			}
			n += int(c.next.Load())
		}
		return n
	}
	last, visits := 0, 0
	for i := 1; i <= reloads; i++ {
		eventually(t, "messages between two reloads", func() bool { return arrived() >= last+between })
		last = arrived()
		issue(t, authority(), p.dir, "server", pki.Options{CN: "reload " + strconv.Itoa(i), IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
		p.reload(t, hundred(i, brokers))
		if cn := p.certificate(t); cn != "reload "+strconv.Itoa(i) {
			t.Fatalf("reload %d: the certificate served is of %s", i, cn)
		}
		if i%10 == 0 {
			c := p.come(t, fmt.Sprint("visitor-", i))
			c.echoes(t, "visit")
			_ = c.Disconnect(&paho.Disconnect{})
			visits++
		}
	}
	end()
	total := 0
	for _, c := range commuters {
		eventually(t, "messages of "+c.id, func() bool { return int(c.next.Load()) >= c.sent })
		if n := int(c.next.Load()); n != c.sent || c.wrong.Load() != nil {
			t.Errorf("%s sent %d messages, and got %d; %v", c.id, c.sent, n, c.wrong.Load())
		}
		total += c.sent
	}
	p.awaitMetric(t, `mqttward_sessions_ended_total{reason="client_disconnect"}`, float64(visits))
	m := p.metrics(t)
	if ended := m.since(nil, "mqttward_sessions_ended_total"); len(ended) != 1 {
		t.Errorf("sessions ended: %v", ended)
	}
	if n := m[`mqttward_reloads_total{outcome="success"}`]; n != reloads {
		t.Errorf("%v reloads, want %d", n, reloads)
	}
	used := 0
	for _, b := range brokers[:2] {
		used += min(1, strings.Count(b.out.String(), " as commuter-"))
	}
	if used != 2 {
		t.Error("the clients are at one server")
	}
	t.Logf("%d reloads, %d clients: 0 disconnects, %d messages at QoS 1 and 2, each once", reloads, clients, total)
}
