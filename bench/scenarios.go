package main

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// version is the protocol version of all traffic: what most devices speak.
	version = packets.V311
	// settling is how long idle connections are left alone before their memory
	// is read: garbage is collected, buffers go back.
	settling = 5 * time.Second

	allowedTopic = "plant/line-1/bench/temperature"
	deniedTopic  = "office/door"
)

// load is what a client does as its part of a job. It returns how many
// messages, deliveries or connections it saw through.
type load func(j *job, c *client) (int, error)

// scenario is a shape of traffic.
type scenario struct {
	name    string
	clients int
	prepare func(c *client) error // what a client does beforehand; nil: nothing
	load    load

	messages int           // all clients together; zero: as many as the time lets them
	settle   time.Duration // how long the clients stay idle in the end, for their memory; zero: it is not measured
	denied   bool          // nothing that is published may reach the sink
	policy   int           // rules and users of mqttward; zero: the policy that it has in front of all other load
}

const window50 = "50 clients, window of 20, QoS 1"

var scenarios = []scenario{
	{name: "100 clients, 20 messages/s each, echo", clients: 100, prepare: own, load: paced},
	{name: "1 client, ping-pong, QoS 1", clients: 1, load: windowed(1)},
	{name: window50, clients: 50, load: windowed(20)},
	{name: "1 client, one-way, QoS 0, a packet per write", clients: 1, load: oneWay(1)},
	{name: "1 client, one-way, QoS 0, 32 packets per write", clients: 1, load: oneWay(32)},
	{name: "fan-out of 1 client to 50, QoS 0", clients: 51, prepare: audience, load: fanOut},
	{name: "4 clients, 256 KiB, window of 2, QoS 1, echo", clients: 4, prepare: own, load: large},
	{name: "4 clients, full TLS handshake, CONNECT, DISCONNECT", clients: 4, load: reconnect},
	{name: "4 clients, resumed TLS session, CONNECT, DISCONNECT", clients: 4, prepare: remember, load: reconnect},
	{name: "50 clients, window of 20, QoS 1, 100,000 denied", clients: 50, prepare: trespass, load: windowed(20), messages: 100_000, denied: true},
	{name: window50 + ", 10 rules, 10 users", clients: 50, load: windowed(20), policy: 10},
	{name: window50 + ", 1,000 rules, 1,000 users", clients: 50, load: windowed(20), policy: 1000},
	{name: window50 + ", 100,000 rules, 100,000 users", clients: 50, load: windowed(20), policy: 100_000},
	{name: "4,000 idle connections, each after a message", clients: 4000, load: windowed(1), messages: 4000, settle: settling},
}

// alone reports whether a peer is started anew for the scenario.
func (s scenario) alone() bool { return s.settle > 0 || s.policy > 0 }

// meets reports whether the scenario says anything about p. Memory is measured
// once: a busy machine does not change it.
func (s scenario) meets(p *peer, round int) bool {
	switch {
	case s.denied || s.policy > 0:
		return p.isOurs()
	case s.settle > 0:
		return p.pid != 0 && round == 0
	}
	return true
}

// smallestPolicy returns the scenario that one with a policy of its own is
// compared with, "" for any other.
func smallestPolicy(name string) (smallest string) {
	for _, s := range scenarios {
		if s.policy == 0 {
			continue
		}
		if smallest == "" {
			smallest = s.name
		}
		if s.name == name {
			return smallest
		}
	}
	return ""
}
