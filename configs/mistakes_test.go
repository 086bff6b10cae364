package configs

import (
	"strings"
	"testing"
)

// A mistake in each place gives its line, and nothing that only follows from it.
func TestMistakes(t *testing.T) {
	const (
		listener = `listeners: [{name: local, address: "127.0.0.1:1884"}]`
		backend  = `backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]`
		method   = `authn: [{name: users, type: password, file: users}]`
		tls      = `listeners: [{name: a, address: ":1", tls: {certificates: [{cert: crt, key: key}], `
		checks   = "C2, C3, C4, C5, C6, C7, C8, C9, C10, C12, C13, C14, C15 or C19"
		rule     = `authz: {rules: [{allow: [publish], topics: [a], `
	)
	for _, test := range []struct {
		name, replace, with string // what of the minimal configuration is replaced; "": added at its end
		want                string
	}{
		{"no file at all", minimal, "", "mqttward.yaml: is empty"},
		{"comments only", minimal, "# nothing\n", "mqttward.yaml: is empty"},
		{"null", minimal, "~", "mqttward.yaml: has no value: give one, or remove the key"},
		{"a list", minimal, "- a", "mqttward.yaml: wants a mapping of keys to values, not a list"},
		{"not YAML", "", "log: [\n", "mqttward.yaml:5: is not YAML: did not find expected node content"},
		{"ill-formed UTF-8", "", "log: \xff\n", "mqttward.yaml: is not YAML: invalid leading UTF-8 octet"},
		{"two documents", "", "---\nlog: {}\n", "mqttward.yaml:5: holds a second YAML document: one file is one configuration"},
		{"empty mapping", minimal, "{}", "mqttward.yaml: listeners: is required: the addresses at which clients arrive\n" +
			"mqttward.yaml: backends: is required: the broker that stands behind\n" +
			"mqttward.yaml: authn: is required: without a method nobody can log in (type: anonymous lets everybody in)"},

		{"unknown key", "", "websocket: {}", "mqttward.yaml:5: websocket: unknown key"},
		{"no such check", "", "strict: {log: [C3, C22]}", `mqttward.yaml:5: strict.log[1]: wants ` + checks + `, not "C22"`},
		{"misspelt check", "", "strict: {off: [c03]}", `mqttward.yaml:5: strict.off[0]: wants ` + checks + `, not "c03"; did you mean "C3"?`},
		{"binding check", "", "strict: {off: [C11]}", "mqttward.yaml:5: strict.off[0]: C11 is always enforced"},
		{"check twice", "", "strict: {log: [C3, C3]}", "mqttward.yaml:5: strict.log[1]: C3 stands in strict.log[0] already"},
		{"check in both lists", "", "strict: {log: [C4, C3], off: [C3]}", "mqttward.yaml:5: strict.off[0]: C3 stands in strict.log[1] already"},
		{"check for a list", "", "strict: {log: C3}", "mqttward.yaml:5: strict.log: wants a list, not a single value"},
		{"profile", "", "broker_profile: mosquitto-2.0", "mqttward.yaml:5: broker_profile: wants auto, none, legacy, mosquitto-1.4, mosquitto-1.5, mosquitto-1.6, " +
			`mosquitto-2.0a, mosquitto-2.0b, mosquitto-2.0c, mosquitto-2.0d or mosquitto-2.1, not "mosquitto-2.0"`},
		{"later key", "", "authz: {order: []}", "mqttward.yaml:5: authz.order: unknown key"},
		{"every subscription", "", "authz: {subscribe: filter, files: [{type: mosquitto_dynsec, path: users}]}", "mqttward.yaml:5: authz.subscribe: filter grants every subscription, and mosquitto_dynsec decides about them: deny or narrow"},
		{"case", "", "Log: {}", `mqttward.yaml:5: Log: unknown key; did you mean "log"?`},
		{"dash", "", "limits: {max-handshakes: 1}", `mqttward.yaml:5: limits.max-handshakes: unknown key; did you mean "max_handshakes"?`},
		{"misspelt section", "listeners:", "listener:", `mqttward.yaml:2: listener: unknown key; did you mean "listeners"?`},
		{"misspelt section that another needs", minimal, "listner: []\n" + backend + "\nauthn: [{name: plc, type: certificate}]", `mqttward.yaml:1: listner: unknown key; did you mean "listeners"?`},
		{"misspelt name", "name: broker", "nmae: broker", `mqttward.yaml:3: backends[0].nmae: unknown key; did you mean "name"?`},
		{"merge key", "", "<<: {log: {}}", `mqttward.yaml:5: "<<": unknown key`},
		{"control characters in a key", "", `"a\nb": 1`, `mqttward.yaml:5: "a\nb": unknown key`},
		{"list as key", "", "? [a]\n: b", `mqttward.yaml:5: "": unknown key`},
		{"twice", "", "log: {level: info, level: debug}", "mqttward.yaml:5: log.level: stands here again: line 5 has it already"},
		{"alias", "", "log: {level: &l info, format: *l}", "mqttward.yaml:5: log.format: is a YAML alias: write the value itself"},
		{"tag", "", "log: {level: !!str info}", "mqttward.yaml:5: log.level: has a YAML tag: write the value alone"},
		{"no value", "", "limits:\n  # max_connections: 1", "mqttward.yaml:5: limits: has no value: give one, or remove the key"},
		{"list for scalar", "", "log: {level: [info]}", "mqttward.yaml:5: log.level: wants a single value, not a list"},
		{"scalar for list", "", "authz: {rules: [{deny: publish, topics: [a]}]}", "mqttward.yaml:5: authz.rules[0].deny: wants a list, not a single value"},
		{"scalar for mapping", "", "log: info", "mqttward.yaml:5: log: wants a mapping of keys to values, not a single value"},
		{"mapping for list", "", "authz: {rules: {name: a}}", "mqttward.yaml:5: authz.rules: wants a list, not a mapping"},
		{"number for rate", "", "limits: {connect_rate: 5}", "mqttward.yaml:5: limits.connect_rate: wants a mapping of keys to values, not a single value"},

		{"negative", "", "limits: {max_connections: -1}", `mqttward.yaml:5: limits.max_connections: wants a whole number from 0 to 2147483647, not "-1"`},
		{"too large", "", "limits: {max_topic_aliases: 65536}", `mqttward.yaml:5: limits.max_topic_aliases: wants a whole number from 0 to 65535, not "65536"`},
		{"in flight", "", "limits: {max_inflight: 65536}", `mqttward.yaml:5: limits.max_inflight: wants a whole number from 0 to 65535, not "65536"`},
		{"topic length with a unit", "", "limits: {max_topic_length: 1KiB}", `mqttward.yaml:5: limits.max_topic_length: wants a whole number from 0 to 2147483647, not "1KiB"`},
		{"part of a second", "", "limits: {max_keepalive: 500ms}", "mqttward.yaml:5: limits.max_keepalive: wants whole seconds, not 500ms"},
		{"seconds and a part", "", "limits: {max_will_delay: 1.5s}", "mqttward.yaml:5: limits.max_will_delay: wants whole seconds, not 1.5s"},
		{"long keep alive", "", "limits: {max_keepalive: 65536s}", "mqttward.yaml:5: limits.max_keepalive: wants at most 65535s, the largest that MQTT can say"},
		{"long expiry", "", "limits: {max_session_expiry: 4294967296s}", "mqttward.yaml:5: limits.max_session_expiry: wants at most 4294967295s, the largest that MQTT can say"},
		{"long will delay", "", "limits: {max_will_delay: 4294967296s}", "mqttward.yaml:5: limits.max_will_delay: wants at most 4294967295s, the largest that MQTT can say"},
		{"rate", "", "limits: {connect_rate: {rate: .inf}}", `mqttward.yaml:5: limits.connect_rate.rate: wants a number of events a second, not ".inf"`},
		{"no burst", "", "limits: {connect_rate: {rate: 5, burst: 0}}", "mqttward.yaml:5: limits.connect_rate.burst: 0 would let nothing pass; rate: 0 means no limit"},
		{"audit folder", "", `log: {audit: "./"}`, `mqttward.yaml:5: log.audit: wants a file, and "./" is a directory`},
		{"action", "", "limits: {publish_rate: {action: shout}}", `mqttward.yaml:5: limits.publish_rate.action: wants delay, drop or disconnect, not "shout"`},
		{"boolean", `"127.0.0.1:1884"`, `"127.0.0.1:1884", insecure_plaintext: yes`, `mqttward.yaml:2: listeners[0].insecure_plaintext: wants true or false, not "yes"`},

		{"no plaintext off loopback", "127.0.0.1:1884", "192.0.2.1:1884", "mqttward.yaml:2: listeners[0].tls: is required on 192.0.2.1:1884, which is not loopback (insecure_plaintext: true does without)"},
		{"no plaintext everywhere", "127.0.0.1:1884", ":1884", "mqttward.yaml:2: listeners[0].tls: is required on :1884, which is not loopback (insecure_plaintext: true does without)"},
		{"misspelt tls", `"127.0.0.1:1884"`, `":1884", tsl: {}`, `mqttward.yaml:2: listeners[0].tsl: unknown key; did you mean "tls"?`},
		{"tls without value", `"127.0.0.1:1884"`, `":1884", tls: `, "mqttward.yaml:2: listeners[0].tls: has no value: give one, or remove the key"},
		{"tls and plaintext", listener, tls + "}, insecure_plaintext: true}]", "mqttward.yaml:2: listeners[0].insecure_plaintext: contradicts tls: keep one of them"},
		{"no certificates", `"127.0.0.1:1884"`, `"127.0.0.1:1884", tls: {}`, "mqttward.yaml:2: listeners[0].tls.certificates: is required: a list of {cert, key}"},
		{"no key", `"127.0.0.1:1884"`, `"127.0.0.1:1884", tls: {certificates: [{cert: crt}]}`, "mqttward.yaml:2: listeners[0].tls.certificates[0].key: is required"},
		{"no cert", `"127.0.0.1:1884"`, `"127.0.0.1:1884", tls: {certificates: [{key: key}]}`, "mqttward.yaml:2: listeners[0].tls.certificates[0].cert: is required"},
		{"old TLS", listener, tls + "min_version: 1.1}}]", `mqttward.yaml:2: listeners[0].tls.min_version: wants 1.2 or 1.3, not "1.1"`},
		{"no client CA", listener, tls + "client_auth: required}}]", "mqttward.yaml:2: listeners[0].tls.client_ca: is required for client_auth: required"},
		{"idle client CA", listener, tls + "client_ca: ca}}]", "mqttward.yaml:2: listeners[0].tls.client_ca: has no effect without client_auth: optional or required"},
		{"client CA and misspelt client_auth", listener, tls + "client_ca: ca, client_aut: required}}]", `mqttward.yaml:2: listeners[0].tls.client_aut: unknown key; did you mean "client_auth"?`},
		{"idle CRL", listener, tls + "crl: [ca]}}]", "mqttward.yaml:2: listeners[0].tls.crl: has no effect without client_auth: optional or required"},
		{"no such CRL", listener, tls + "client_auth: optional, client_ca: ca, crl: [ca, crl]}}]", "mqttward.yaml:2: listeners[0].tls.crl[1]: no such file: crl"},
		{"nameless CRL", listener, tls + `client_auth: optional, client_ca: ca, crl: [""]}}]`, "mqttward.yaml:2: listeners[0].tls.crl[0]: wants the name of a file"},

		{"no address", `, address: "127.0.0.1:1884"`, "", "mqttward.yaml:2: listeners[0].address: is required"},
		{"port", "127.0.0.1:1884", "127.0.0.1:mqtt", `mqttward.yaml:2: listeners[0].address: wants a port from 0 to 65535, not "mqtt"`},
		{"mistyped address", "127.0.0.1:1884", "127.0.0.256:1884", `mqttward.yaml:2: listeners[0].address: wants a host name or an address, not "127.0.0.256"`},
		{"relative socket", "127.0.0.1:1884", "unix:sock", `mqttward.yaml:2: listeners[0].address: wants an absolute path after unix:, not "sock"`},
		{"same address", listener, `listeners: [{name: a, address: "[::1]:1"}, {name: b, address: "[::1]:1"}]`, "mqttward.yaml:2: listeners[1].address: is the address of listeners[0] too"},
		{"address of admin", "127.0.0.1:1884", "127.0.0.1:9883", "mqttward.yaml:2: listeners[0].address: is the address of admin too"},
		{"circle", "127.0.0.1:1884", "127.0.0.1:1883", "mqttward.yaml:3: backends[0].servers[0].address: is a listener's own address: connections would run in a circle"},
		{"broker without host", `"127.0.0.1:1883"`, `":1883"`, `mqttward.yaml:3: backends[0].servers[0].address: wants the broker's host and port, not ":1883"`},
		{"host bits", `"127.0.0.1:1884"`, `"127.0.0.1:1884", allow: [10.1.2.3/8]`, "mqttward.yaml:2: listeners[0].allow[0]: has bits beyond its mask: 10.0.0.0/8 is meant, or another mask"},
		{"mapped", `"127.0.0.1:1884"`, `"127.0.0.1:1884", deny: ["::ffff:10.0.0.0/104"]`, `mqttward.yaml:2: listeners[0].deny[0]: wants IPv4 networks in IPv4 form, not "::ffff:10.0.0.0/104"`},
		{"network", `"127.0.0.1:1884"`, `"127.0.0.1:1884", deny: [10.*]`, `mqttward.yaml:2: listeners[0].deny[0]: wants a network such as 10.0.0.0/8 or an address, not "10.*"`},

		{"same name", listener, `listeners: [{name: a, address: "[::1]:1"}, {name: a, address: "[::1]:2"}]`, `mqttward.yaml:2: listeners[1].name: "a" is the name of listeners[0] too`},
		{"odd name", "name: users", "name: a/b", `mqttward.yaml:4: authn[0].name: wants up to 64 letters, digits, dots, dashes and underscores, not "a/b"`},
		{"two backends", backend, `backends: [{name: a, servers: [{address: "b:1"}]}, {name: b, servers: [{address: "b:2"}]}]`, "mqttward.yaml:2: listeners[0].backend: is required: there are 2 backends, and no route for all clients"},
		{"a server twice", backend, `backends: [{name: a, servers: [{address: "b:1"}, {address: "b:1"}]}]`, "mqttward.yaml:3: backends[0].servers[1].address: is the address of backends[0].servers[0] too"},
		{"no weight", backend, `backends: [{name: a, servers: [{address: "b:1", weight: 0}]}]`, "mqttward.yaml:3: backends[0].servers[0].weight: wants 1 to 1000 (maintenance: true leaves a server out)"},
		{"address and srv", backend, `backends: [{name: a, servers: [{address: "b:1", srv: _mqtt._tcp.b}]}]`, "mqttward.yaml:3: backends[0].servers[0]: has an address and srv: keep one of them"},
		{"odd srv", backend, `backends: [{name: a, servers: [{srv: brokers.example}]}]`, `mqttward.yaml:3: backends[0].servers[0].srv: wants the full name of SRV records, such as _mqtt._tcp.plant.example, not "brokers.example"`},
		{"long health check", backend, `backends: [{name: a, servers: [{address: "b:1"}], health: {interval: 1s, timeout: 2s}}]`, "mqttward.yaml:3: backends[0].health.timeout: wants at most the interval, which is 1s"},
		{"more than all", backend, `backends: [{name: a, servers: [{address: "b:1"}], outlier: {max_ejected: 101}}]`, "mqttward.yaml:3: backends[0].outlier.max_ejected: wants a part in percent, from 1 to 100 (failures: 0 leaves nobody out)"},
		{"less than any", backend, `backends: [{name: a, servers: [{address: "b:1"}], outlier: {max_ejected: 0}}]`, "mqttward.yaml:3: backends[0].outlier.max_ejected: wants a part in percent, from 1 to 100 (failures: 0 leaves nobody out)"},
		{"idle outlier", backend, `backends: [{name: a, servers: [{address: "b:1"}], outlier: {failures: 0, time: 1s}}]`, "mqttward.yaml:3: backends[0].outlier.time: has no effect with failures: 0"},
		{"idle health", backend, `backends: [{name: a, servers: [{address: "b:1"}], health: {interval: 0, end_sessions: true}}]`, "mqttward.yaml:3: backends[0].health.end_sessions: has no effect with interval: 0"},
		{"idle resolution", backend, `backends: [{name: a, servers: [{address: "192.0.2.1:1"}, {address: "unix:/b"}], resolve: {}}]`, "mqttward.yaml:3: backends[0].resolve: has no effect: no server has the name of a host, or srv"},
		{"no resolution", backend, `backends: [{name: a, servers: [{address: "b:1"}], resolve: {interval: 0}}]`, "mqttward.yaml:3: backends[0].resolve.interval: wants at least 1s"},
		{"hasty resolution", backend, `backends: [{name: a, servers: [{address: "b:1"}], resolve: {interval: 10ms}}]`, "mqttward.yaml:3: backends[0].resolve.interval: wants at least 1s"},
		{"odd DNS server", backend, `backends: [{name: a, servers: [{address: "b:1"}], resolve: {server: dns}}]`, `mqttward.yaml:3: backends[0].resolve.server: wants the host and port of a DNS server, not "dns"`},
		{"key alone", backend, `backends: [{name: a, servers: [{address: "b:1"}], tls: {key: users}}]`, "mqttward.yaml:3: backends[0].tls.cert: is required with key"},
		{"certificate alone", backend, `backends: [{name: a, servers: [{address: "b:1"}], tls: {cert: users}}]`, "mqttward.yaml:3: backends[0].tls.key: is required with cert"},
		{"CA for nobody", backend, `backends: [{name: a, servers: [{address: "b:1"}], tls: {ca: users, insecure_skip_verify: true}}]`, "mqttward.yaml:3: backends[0].tls.ca: has no effect with insecure_skip_verify: keep one of them"},
		{"nameless socket", backend, `backends: [{name: a, servers: [{address: "unix:/b"}], tls: {}}]`, "mqttward.yaml:3: backends[0].tls.server_name: is required: a Unix socket has no name that a certificate could be for"},
		{"route to nowhere", backend, backend + "\nroutes: [{users: [a]}]", "mqttward.yaml:4: routes[0].backend: is required: the name of the backend"},
		{"route to a stranger", backend, backend + "\nroutes: [{backend: brokre}]", `mqttward.yaml:4: routes[0].backend: no backend has the name "brokre"; did you mean "broker"?`},
		{"idle route", backend, backend + "\nroutes: [{backend: broker}, {users: [a], backend: broker}]", "mqttward.yaml:4: routes[1]: has no effect: all clients take routes[0]"},
		{"route for nobody", backend, backend + "\nroutes: [{users: [], backend: broker}]", "mqttward.yaml:4: routes[0].users: is an empty list, which nobody fits: remove the key"},
		{"route for nothing", backend, backend + "\nroutes: [{users: [\"\"], backend: broker}]", "mqttward.yaml:4: routes[0].users[0]: is empty, which nothing is"},
		{"route of no listener", backend, backend + "\nroutes: [{listeners: [locla], backend: broker}]", `mqttward.yaml:4: routes[0].listeners[0]: no listener has the name "locla"; did you mean "local"?`},
		{"route of no version", backend, backend + "\nroutes: [{versions: [\"5\"], backend: broker}]", `mqttward.yaml:4: routes[0].versions[0]: wants 3.1, 3.1.1 or 5.0, not "5"`},
		{"no server", backend, `backends: [{name: a}]`, "mqttward.yaml:3: backends[0].servers: is required: servers with their addresses"},
		{"probe without user", `1883"}]}`, `1883"}], probe: {password_file: users}}`, "mqttward.yaml:3: backends[0].probe.username: is required with password_file"},
		{"misspelt probe", `1883"}]}`, `1883"}], probe: {user_name: u, password_file: users}}`, `mqttward.yaml:3: backends[0].probe.user_name: unknown key; did you mean "username"?`},
		{"no such password", `1883"}]}`, `1883"}], probe: {username: u, password_file: p}}`, "mqttward.yaml:3: backends[0].probe.password_file: no such file: p"},
		{"no such backend", `"127.0.0.1:1884"`, `"127.0.0.1:1884", backend: brokre`, `mqttward.yaml:2: listeners[0].backend: no backend has the name "brokre"; did you mean "broker"?`},
		{"no such method", `"127.0.0.1:1884"`, `"127.0.0.1:1884", authn: [plc]`, `mqttward.yaml:2: listeners[0].authn[0]: no authn method has the name "plc"`},
		{"nobody", `"127.0.0.1:1884"`, `"127.0.0.1:1884", authn: []`, "mqttward.yaml:2: listeners[0].authn: is an empty list: nobody could log in; left out, all methods are used"},

		{"no type", "type: password, ", "", "mqttward.yaml:4: authn[0].type: is required"},
		{"no such type", "type: password, file: users", "type: kerberos", `mqttward.yaml:4: authn[0].type: wants certificate, password, jwt, sql, redis, ldap, http, scram, all or anonymous, not "kerberos"`},
		{"password without file", ", file: users", "", "mqttward.yaml:4: authn[0].file: is required for type password"},
		{"file without password", "type: password", "type: anonymous", "mqttward.yaml:4: authn[0].file: belongs to type password or scram, not anonymous"},
		{"all without parts", "type: password, file: users", "type: all", "mqttward.yaml:4: authn[0].of: is required for type all"},
		{"all of one", `file: users}]`, `file: users}, {name: both, type: all, of: [users]}]`, "mqttward.yaml:4: authn[1].of: wants two methods or more"},
		{"all of one twice", `file: users}]`, `file: users}, {name: both, type: all, of: [users, users]}]`, "mqttward.yaml:4: authn[1].of[1]: stands here again"},
		{"all of nobody", `file: users}]`, `file: users}, {name: both, type: all, of: [users, usres]}]`, `mqttward.yaml:4: authn[1].of[1]: no authn method has the name "usres"; did you mean "users"?`},
		{"all of itself", `file: users}]`, `file: users}, {name: both, type: all, of: [users, both]}]`, "mqttward.yaml:4: authn[1].of[1]: is of type all, which cannot be part of another"},
		{"all of a token in AUTH", `file: users}]`, `file: users}, {name: t, type: jwt, in: auth_data, secret_file: users, audience: a}, {name: both, type: all, of: [users, t]}]`, "mqttward.yaml:4: authn[2].of[1]: has its token in auth_data, which cannot be part of another"},
		{"slow source", "type: password, file: users", "type: sql, driver: sqlite, dsn_file: users, query: \"SELECT ?\", timeout: 3s", "mqttward.yaml:4: authn[0].timeout: wants at most half of limits.connect_timeout, which is 5s"},
		{"no identifiers", "", "client_id: {match: []}", "mqttward.yaml:5: client_id.match: is an empty list: remove the key to allow any identifier"},
		{"credentials without a name", `1883"}]}`, `1883"}], credentials: {mode: replace}}`, "mqttward.yaml:3: backends[0].credentials.username: is required for mode: replace"},
		{"idle credentials", `1883"}]}`, `1883"}], credentials: {username: u, password_file: users}}`, "mqttward.yaml:3: backends[0].credentials.username: has no effect without mode: replace\n" +
			"mqttward.yaml:3: backends[0].credentials.password_file: has no effect without mode: replace"},
		{"idle OCSP", listener, tls + "ocsp: soft}}]", "mqttward.yaml:2: listeners[0].tls.ocsp: has no effect without client_auth: optional or required"},
		{"idle responder", listener, tls + `ocsp_url: "http://a"}}]`, "mqttward.yaml:2: listeners[0].tls.ocsp_url: has no effect without ocsp: soft or hard, or staple: true"},
		{"username without certificate", "file: users", "file: users, username: u", "mqttward.yaml:4: authn[0].username: belongs to type certificate or jwt, not password"},
		{"certificates never asked for", method, "authn: [{name: plc, type: certificate}]", "mqttward.yaml:4: authn[0]: no listener that uses it asks for certificates (tls.client_auth: optional or required)"},

		{"no such file", "file: users", "file: ../nobody/users", "mqttward.yaml:4: authn[0].file: no such file: ../nobody/users"},
		{"directory", "file: users", "file: .", "mqttward.yaml:4: authn[0].file: not a regular file: ."},
		{"content for a file", "file: users", `file: "-----BEGIN PRIVATE KEY-----\nhush\n"`, "mqttward.yaml:4: authn[0].file: wants the name of a file, not its content"},
		{"token off loopback", "", `admin: {address: "192.0.2.1:9883"}`, "mqttward.yaml:5: admin.token_file: is required off loopback, and the address is 192.0.2.1:9883"},
		{"no such token", "", `admin: {token_file: token}`, "mqttward.yaml:5: admin.token_file: no such file: token"},
		{"misspelt audit", "", `log: {audit: sdterr}`, `mqttward.yaml:5: log.audit: wants stderr, stdout, off or a file such as audit.log, not "sdterr"`},
		{"audit nowhere", "", `log: {audit: none/audit.log}`, `mqttward.yaml:5: log.audit: no such directory for "none/audit.log"`},

		{"allow and deny", "", rule + "deny: [publish]}]}", "mqttward.yaml:5: authz.rules[0]: has both allow and deny: write two rules"},
		{"neither", "", "authz: {rules: [{topics: [a]}]}", "mqttward.yaml:5: authz.rules[0].allow: is required, or deny is: the actions publish, will, subscribe, receive; or role"},
		{"misspelt deny", "", "authz: {rules: [{dney: [publish], topics: [a]}]}", `mqttward.yaml:5: authz.rules[0].dney: unknown key; did you mean "deny"?`},
		{"no topics", "", "authz: {rules: [{allow: [publish]}]}", `mqttward.yaml:5: authz.rules[0].topics: is required; ["#"] is all topics`},
		{"empty subjects", "", rule + "users: []}]}", "mqttward.yaml:5: authz.rules[0].users: is an empty list: remove the key, or the rule"},
		{"null subject", "", rule + "users: [~]}]}", "mqttward.yaml:5: authz.rules[0].users[0]: has no value: give one, or remove the key"},
		{"no such action", "", "authz: {rules: [{deny: [recieve], topics: [a]}]}", `mqttward.yaml:5: authz.rules[0].deny[0]: wants publish, will, subscribe or receive, not "recieve"`},
		{"qos", "", rule + "qos: [3]}]}", `mqttward.yaml:5: authz.rules[0].qos[0]: wants 0, 1 or 2, not "3"`},
		{"no such listener", "", rule + "listeners: [locla]}]}", `mqttward.yaml:5: authz.rules[0].listeners[0]: no listener has the name "locla"; did you mean "local"?`},
		{"control character", "", rule + `name: "a\nb"}]}`, "mqttward.yaml:5: authz.rules[0].name: holds a control character"},
		{"long value", "", "log: {level: " + strings.Repeat("x", 1000) + "}", `mqttward.yaml:5: log.level: wants debug, info, warn or error, not "` + strings.Repeat("x", 60) + `"…`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := minimal + test.with
			if test.replace != "" {
				text = strings.Replace(minimal, test.replace, test.with, 1)
			}
			c, err := parse(t, text)
			if c == nil || err == nil {
				t.Fatalf("accepted:\n%s", text)
			}
			if err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "4096": 4096, "1B": 1, "2kB": 2000, "2KB": 2000, "3MB": 3e6, "1GB": 1e9,
		"8KiB": 8192, "1MiB": 1 << 20, "1 MiB": 1 << 20, "8589934591GiB": 8589934591 << 30,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "-1", "+1", "1.5MiB", "1mib", "1Mb", "1TiB", "0x10", "8589934592GiB", "99999999999999999999"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d", text, got)
		}
	}
	for _, text := range []string{"", "10", "1.5", "-1s", "1d", "ten", "9999999999h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %s", text, got)
		}
	}
	for _, text := range []string{"", "-1", "NaN", "Inf", "1e99", "many"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("parseRate(%q) = %g", text, got)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, test := range []struct {
		text, network, address string
		local                  bool
	}{
		{"127.0.0.1:1883", "tcp", "127.0.0.1:1883", true},
		{"127.9.9.9:0", "tcp", "127.9.9.9:0", true},
		{"[::1]:1883", "tcp", "[::1]:1883", true},
		{"[::ffff:127.0.0.1]:1883", "tcp", "[::ffff:127.0.0.1]:1883", true},
		{"localhost:1883", "tcp", "localhost:1883", true},
		{"unix:/run/mqtt:1", "unix", "/run/mqtt:1", true},
		{":1883", "tcp", ":1883", false},
		{"0.0.0.0:1883", "tcp", "0.0.0.0:1883", false},
		{"[::]:1883", "tcp", "[::]:1883", false},
		{"[fe80::1%eth0]:1883", "tcp", "[fe80::1%eth0]:1883", false},
		{"localhost.example:1883", "tcp", "localhost.example:1883", false},
		{"128.0.0.1:1883", "tcp", "128.0.0.1:1883", false},
	} {
		a, err := parseAddress(test.text)
		if err != nil {
			t.Errorf("parseAddress(%q): %v", test.text, err)
			continue
		}
		network, address := a.Split()
		if network != test.network || address != test.address || a.Local() != test.local {
			t.Errorf("%s: Split() = %s, %s; Local() = %t", test.text, network, address, a.Local())
		}
	}
	for _, text := range []string{"1883", "host", "host:", "host:65536", "host:-1", "a b:1", "10.0.0:1", "::1:1", "unix:", "unix:@abstract", "mqtt://host:1883"} {
		if a, err := parseAddress(text); err == nil {
			t.Errorf("parseAddress(%q) = %q", text, a)
		}
	}
}

func TestNearest(t *testing.T) {
	known := fieldNames("address", "allow", "authn", "backend", "deny", "name", "tls", "max_connections")
	for name, want := range map[string]string{
		"adress": "address", "nmae": "name", "tsl": "tls", "tlss": "tls", "Backend": "backend",
		"max-connection": "max_connections", "transport": "", "crl": "", "": "",
		"path": "", strings.Repeat("a", 1<<20): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%.20s) = %q, want %q", name, got, want)
		}
	}
}

func fieldNames(names ...string) map[string]bool {
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	return known
}
