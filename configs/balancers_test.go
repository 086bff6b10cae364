package configs

import (
	"strings"
	"testing"
)

// balanced is a configuration with one listener of these keys.
func balanced(listener string) string {
	return `listeners: [{name: mqtt, insecure_plaintext: true, ` + listener + `}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: anyone, type: anonymous}]
`
}

// TestBalancers: whom to believe has to be said, and is never everybody by mistake.
func TestBalancers(t *testing.T) {
	const at = "mqttward.yaml:1: listeners[0].proxy_protocol"
	tests := []struct{ name, listener, mistake, warning string }{
		{"trusted", `address: ":1884", proxy_protocol: {trusted: [10.0.0.5/32]}`, "", ""},
		{"an address", `address: ":1884", proxy_protocol: {trusted: [10.0.0.5]}`, "", ""},
		{"nobody", `address: ":1884", proxy_protocol: {trusted: []}`, at + ".trusted: is required: the addresses of the balancers, as in [10.0.0.5/32]", ""},
		{"left out", `address: ":1884", proxy_protocol: {}`, at + ".trusted: is required: the addresses of the balancers, as in [10.0.0.5/32]", ""},
		{"misspelt", `address: ":1884", proxy_protocol: {trustd: [10.0.0.5]}`, at + `.trustd: unknown key; did you mean "trusted"?`, ""},
		{"as for a backend", `address: ":1884", proxy_protocol: v2`, at + ": wants a mapping of keys to values, not a single value", ""},
		{"host bits", `address: ":1884", proxy_protocol: {trusted: [10.0.0.5/8]}`, at + ".trusted[0]: has bits beyond its mask: 10.0.0.0/8 is meant, or another mask", ""},
		{"Unix socket", `address: "unix:/run/mqtt", proxy_protocol: {}`, "", ""},
		{"addresses on a Unix socket", `address: "unix:/run/mqtt", proxy_protocol: {trusted: [10.0.0.5]}`, at + ".trusted: has no effect on a Unix socket, whose peers have no addresses: whoever may open it is trusted", ""},
		{"everybody", `address: ":1884", proxy_protocol: {trusted: [10.0.0.5, 0.0.0.0/0]}`, "", at + ".trusted[1]: 0.0.0.0/0 is everybody: who connects can claim any address"},
		{"everybody by IPv6", `address: ":1884", proxy_protocol: {trusted: ["::/0"]}`, "", at + ".trusted[0]: ::/0 is everybody: who connects can claim any address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parse(t, balanced(tt.listener))
			mistake := ""
			if err != nil {
				mistake = err.Error()
			}
			if mistake != tt.mistake {
				t.Fatalf("error %q, want %q", mistake, tt.mistake)
			}
			if err != nil {
				return
			}
			warning := ""
			for _, line := range c.Warnings() {
				if strings.Contains(line, "proxy_protocol") {
					warning += line
				}
			}
			if warning != tt.warning {
				t.Errorf("warning %q, want %q", warning, tt.warning)
			}
		})
	}
}
