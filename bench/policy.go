package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// password is that of every user, as mosquitto_passwd 1.x stores it: a salted
// SHA-512. The cost of a hash is its operator's choice, and what a new password
// should have, argon2id, would be all that a connection costs.
const password = "$6$bXF0dHdhcmQgYmVu$ygF8Mz2glVY4qpArtjZBWlVrLLcalSs2ctssjDBB83LdK6XWu0KBkTT1eWxyCMWBQc4HqCXfhePhMOQKadRgjg=="

// limitsConfig turns every limiter on, each far above what the load can reach:
// what is measured is their cost.
const limitsConfig = `limits:
  max_connections: 10000
  max_connections_per_ip: 10000
  max_connections_per_network: 10000
  max_connections_per_identity: 10000
  connect_rate: {rate: 1000000, burst: 1000000}
  connect_rate_per_ip: {rate: 1000000, burst: 1000000}
  connect_rate_per_network: {rate: 1000000, burst: 1000000}
  auth_failures: {max: 10000, window: 1s, ban: 1s}
  flapping: {max: 10000, window: 1s, ban: 1s}
  user_flapping: {max: 10000, window: 1s, ban: 1s}
  takeovers: {max: 10000, window: 1s, ban: 1s}
  max_packet_size: 512KiB
  publish_rate: {rate: 1000000000, burst: 1000000000}
  publish_bytes: {rate: 1000GiB, burst: 1000GiB}
`

const mqttwardConfig = `listeners:
  - name: mqtts
    address: "{{.Address}}"
    tls: {certificates: [{cert: server.crt, key: server.key}]}
backends:
  - {name: sink, servers: [{address: "{{.Sink}}"}]}
broker_profile: none
admin: {address: ""}
log: {audit: "{{.File}}.audit"}
` + limitsConfig

// mqttward returns the build at path with a policy of so many rules and users,
// in Mosquitto's files, which it reads. Zero is a policy as a plant has it, of
// 1,000 rules: some for everybody, one for each device, and at the end the one
// that lets the load pass.
func (l *launcher) mqttward(path string, policy int) (software, error) {
	users := filepath.Join(l.dir, fmt.Sprintf("users-%d", policy))
	config := mqttwardConfig + fmt.Sprintf("authn:\n  - {name: users, type: password, file: %q}\n", users)
	var err error
	if policy == 0 {
		config += `authz:
  rules:
    - {deny: [publish, subscribe], topics: ["$SYS/#", "$CONTROL/#"]}
` + repeat(100, `    - {allow: [publish, subscribe], topics: ["plant/line-%d/+/state"]}`) +
			repeat(898, `    - {users: [device-%[1]d], allow: [publish], topics: ["plant/+/device-%[1]d/#"]}`) +
			`    - {users: [bench], allow: [publish, subscribe], topics: ["plant/+/${username}/#"]}
`
		err = os.WriteFile(users, []byte("bench:"+password+"\n"), 0o600)
	} else {
		var acl string
		if acl, err = l.mosquittoFiles(users, policy); err == nil {
			config += fmt.Sprintf("authz:\n  files:\n    - {type: mosquitto_acl, path: %q}\n", acl)
		}
	}
	return software{[]string{path, "run", "-c"}, "version", config}, err
}

// mosquittoFiles writes a password_file and an acl_file of n users, each with
// one rule, the load's user last. It returns the name of the second.
func (l *launcher) mosquittoFiles(users string, n int) (acl string, err error) {
	if err := os.WriteFile(users, []byte(repeat(n-1, "device-%d:"+password)+"bench:"+password+"\n"), 0o600); err != nil {
		return "", err
	}
	acl = filepath.Join(l.dir, fmt.Sprintf("acl-%d", n))
	return acl, os.WriteFile(acl, []byte(repeat(n-1, "user device-%[1]d\ntopic readwrite plant/+/device-%[1]d/#")+
		"user bench\ntopic readwrite plant/+/bench/#\n"), 0o600)
}

// repeat returns n lines, or groups of lines, from 0 to n-1.
func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\n", i)
	}
	return b.String()
}
