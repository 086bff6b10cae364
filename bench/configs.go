package main

import (
	"fmt"
	"strings"
)

// haproxyConfig ends TLS and passes bytes on, on one thread.
const haproxyConfig = `global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen mqtts
  bind %[1]s ssl crt %[3]s/server.pem
  server sink %[2]s
`

// users is a password file by mosquitto_passwd 2.0, which writes PBKDF2 with
// 101 iterations. What a new password should have, argon2id, would be all that
// a connection costs.
const users = "bench:$7$101$bXF0dHdhcmQgYmVu$EVqii73Eb3jyB+V+k6FHmtVX6JBSlmcuTRrmVjeE5L0CmbGDg3sineLxN09Gi4Ez4m+/ZgQDeN/oOR/WkhQXpg==\n"

// mqttwardConfig is a policy as a plant has it, of 102 rules: some for
// everybody, one for each device, and at the end the one that lets the load
// pass. Rates are off, or there would be nothing else to measure.
var mqttwardConfig = `listeners:
  - {name: mqtts, address: %[1]q, tls: {certificates: [{cert: %[3]s/server.crt, key: %[3]s/server.key}]}}
backends:
  - {name: sink, servers: [{address: %[2]q}]}
authn:
  - {name: users, type: password, file: %[3]s/users}
limits:
  max_connections_per_ip: 0
  connect_rate: {rate: 0}
  connect_rate_per_ip: {rate: 0}
  publish_rate: {rate: 0}
  publish_bytes: {rate: 0}
admin: {address: ""}
log: {audit: %[3]s/audit.log}
authz:
  rules:
    - {deny: [publish, subscribe], topics: ["$SYS/#", "$CONTROL/#"]}
` + rules(10, `    - {allow: [publish, subscribe], topics: ["plant/line-%[1]d/+/state"]}`) +
	rules(90, `    - {users: [device-%[1]d], allow: [publish], topics: ["plant/+/device-%[1]d/#"]}`) +
	`    - {users: [bench], allow: [publish], topics: ["plant/+/${username}/#"]}
`

func rules(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\n", i)
	}
	return b.String()
}
