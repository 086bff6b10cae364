package configs

import (
	"strings"
	"testing"
)

func TestContradictingLimits(t *testing.T) {
	const mistake = "mqttward.yaml:5: limits."
	for limits, want := range map[string]string{
		"{max_connections: 50, max_connections_per_ip: 51}":                                 "max_connections_per_ip: is more than limits.max_connections, which is 50: it could never be reached",
		"{max_connections_per_ip: 10001}":                                                   "max_connections_per_ip: is more than limits.max_connections, which is 10000: it could never be reached",
		"{max_connections: 50, max_connections_per_identity: 51}":                           "max_connections_per_identity: is more than limits.max_connections, which is 50: it could never be reached",
		"{max_connections: 50, max_connections_per_network: 51}":                            "max_connections_per_network: is more than limits.max_connections, which is 50: it could never be reached",
		"{max_connections: 50, max_handshakes: 51}":                                         "max_handshakes: is more than limits.max_connections, which is 50: it could never be reached",
		"{connect_rate: {rate: 5, burst: 10}, connect_rate_per_ip: {rate: 6, burst: 6}}":    "connect_rate_per_ip.rate: is more than limits.connect_rate.rate, which is 5: it could never be reached",
		"{connect_rate: {rate: 5}, connect_rate_per_network: {rate: 5.5}}":                  "connect_rate_per_network.rate: is more than limits.connect_rate.rate, which is 5: it could never be reached",
		"{connect_rate_per_network: {rate: 5, burst: 0}}":                                   "connect_rate_per_network.burst: 0 would let nothing pass; rate: 0 means no limit",
		"{address_prefix: {ipv4: 33}}":                                                      "address_prefix.ipv4: wants from 1 to 32 bits, not 33",
		"{address_prefix: {ipv6: 0}}":                                                       "address_prefix.ipv6: wants from 1 to 128 bits, not 0",
		"{network_prefix: {ipv6: 129}}":                                                     "network_prefix.ipv6: wants from 1 to 128 bits, not 129",
		"{network_prefix: {ipv4: 24}, address_prefix: {ipv4: 16}}":                          "network_prefix.ipv4: 24 bits are more than the 16 of limits.address_prefix: a network holds prefixes",
		"{max_connections: 5, connect_rate: {rate: 2, burst: 3}}":                           "",
		"{max_connections: 50, max_connections_per_ip: 50, max_connections_per_network: 1}": "",
		"{max_connections: 0, max_connections_per_ip: 20000}":                               "",
	} {
		_, err := Parse([]byte(strings.Replace(minimal, "type: password, file: users", "type: anonymous", 1)+"limits: "+limits+"\n"), "mqttward.yaml")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if want != "" {
			want = mistake + want
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", limits, got, want)
		}
	}
}

func TestBackendConnections(t *testing.T) {
	const config = `
listeners: [{name: a, address: "127.0.0.1:0"}]
backends: [{name: b, servers: [{address: "broker:1883"}], max_connections: 900}]
authn: [{name: any, type: anonymous}]
`
	if c := mustParse(t, config); c.Backends[0].MaxConnections != 900 {
		t.Errorf("max_connections is %d", c.Backends[0].MaxConnections)
	}
	_, err := Parse([]byte(config+"limits: {max_connections: 100}\n"), "mqttward.yaml")
	if want := "mqttward.yaml:3: backends[0].max_connections: is more than limits.max_connections, which is 100: it could never be reached"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
