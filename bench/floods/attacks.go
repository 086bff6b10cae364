package main

import "strings"

// stage is how far an attacker behaves.
type stage int

const (
	afterTCP   stage = iota
	afterTLS         // the handshake is done
	afterLogin       // as mallory
)

// attack is a way to do harm. All of its bounds hold for the attackers
// together but for the time, which all attacks have in common.
type attack struct {
	name        string
	from        stage // at which life begins
	connections int   // at once
	sources     int   // addresses that they come from
	opens       float64
	packets     float64                     // a second; zero: it does not count packets
	life        func(s *siege, c *attacker) // of one connection
	quota       quota                       // of packets that may reach the broker
}

// The attackers' bounds: far above what a plant's clients do, and no more than
// a part of two processors has to give.
const (
	manySources = 256
	fewSources  = 10

	crowd  = 4000 // connections that hold something, more than the broker has descriptors
	held   = 1500 // connections that log in, which costs a hash each
	shared = 50   // connections that send
)

var attacks = []attack{
	{name: "TCP, then silence", connections: crowd, sources: manySources, opens: 2000, life: silent, quota: nothing},
	{name: "ClientHello, then silence", connections: crowd, sources: manySources, opens: 2000, life: halfHandshake, quota: nothing},
	{name: "ClientHello, a byte a second", connections: crowd, sources: manySources, opens: 2000, life: dripHello, quota: nothing},
	{name: "TLS, then silence", from: afterTLS, connections: crowd, sources: manySources, opens: 1000, life: silent, quota: nothing},
	{name: "CONNECT, a byte a second", from: afterTLS, connections: crowd, sources: manySources, opens: 1000, life: dripConnect, quota: nothing},
	{name: "connect flood", connections: 64, sources: manySources, opens: 5000, life: leave, quota: nothing},
	{name: "TLS handshake flood", from: afterTLS, connections: 64, sources: manySources, opens: 2000, life: leave, quota: nothing},
	{name: "malformed, no TLS", connections: 64, sources: manySources, opens: 2000, life: speakHTTP, quota: nothing},
	{name: "malformed CONNECT", from: afterTLS, connections: 64, sources: manySources, opens: 2000, life: malformed, quota: nothing},
	{name: "user property bomb in CONNECT", from: afterTLS, connections: 64, sources: manySources, opens: 2000, life: connectBomb, quota: nothing},
	{name: "brute force, one user, many addresses", from: afterTLS, connections: 64, sources: manySources, opens: 1000, life: guessOne, quota: nothing},
	{name: "brute force, many users, many addresses", from: afterTLS, connections: 64, sources: manySources, opens: 1000, life: guessMany, quota: nothing},
	{name: "brute force, one address", from: afterTLS, connections: 64, sources: 1, opens: 1000, life: guessMany, quota: nothing},

	{name: "SlowITe: keep-alive 65535, silence", from: afterTLS, connections: held, sources: manySources, opens: 1000, life: slowITe, quota: logins(1)},
	{name: "SlowTT: PINGREQ only", from: afterLogin, connections: held, sources: manySources, opens: 1000, packets: 5000, life: slowTT, quota: everyPacket},
	{name: "takeover ping-pong", from: afterTLS, connections: 20, sources: fewSources, opens: 500, life: takeOver, quota: logins(1)},
	{name: "session hoarding", from: afterTLS, connections: 64, sources: manySources, opens: 1000, life: hoard, quota: logins(2)},

	{name: "PINGREQ flood", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 100_000, life: pings, quota: everyPacket},
	{name: "PUBLISH flood, QoS 0", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 50_000, life: publishes(0), quota: messages},
	{name: "PUBLISH flood, QoS 1", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 50_000, life: publishes(1), quota: messages},
	{name: "payloads of 255 KiB", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 1000, life: payloads(255 << 10), quota: large(255 << 10)},
	{name: "payloads of 1 MiB", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 500, life: payloads(1 << 20), quota: oversized},
	{name: "SUBSCRIBE churn", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 20_000, life: churn, quota: everyPacket},
	{name: "wildcard storm", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 5000, life: wildcards, quota: everyPacket},
	{name: "retained flood", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 50_000, life: retained, quota: messages},
	{name: "QoS 2 without PUBREL", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 50_000, life: unfinished, quota: messages},
	{name: "topic alias bomb", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 20_000, life: aliases, quota: messages},
	{name: "user property bomb in PUBLISH", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 1000, life: publishBomb, quota: oversized},
	{name: "slow reader", from: afterLogin, connections: shared, sources: fewSources, opens: 100, packets: 10_000, life: slowReader, quota: messages},
}

func attackNamed(name string) *attack {
	for i := range attacks {
		if attacks[i].name == name {
			return &attacks[i]
		}
	}
	return nil
}

// chosen returns the attacks whose names hold the text.
func chosen(text string) (some []*attack) {
	for i := range attacks {
		if strings.Contains(attacks[i].name, text) {
			some = append(some, &attacks[i])
		}
	}
	return some
}
