package configs

import (
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaults(t *testing.T) {
	c := mustParse(t, `
listeners:
  - name: mqtts
    address: "0.0.0.0:8883"
    tls: {certificates: [{cert: crt, key: key}], client_auth: required, client_ca: ca}
  - {name: local, address: "unix:/run/mqttward.sock", authn: [users]}
backends: [{name: broker, servers: [{address: "broker:1883"}]}]
authn:
  - {name: plc, type: certificate}
  - {name: users, type: password, file: users}
`)
	want := defaults()
	want.Limits = Limits{
		MaxConnections:            10000,
		MaxConnectionsPerIP:       100,
		MaxConnectionsPerNetwork:  1000,
		MaxConnectionsPerIdentity: 10,
		AddressPrefix:             PrefixBits{32, 64},
		NetworkPrefix:             PrefixBits{16, 48},
		ConnectRate:               Rate{500, 1000},
		ConnectRatePerNetwork:     Rate{200, 1000},
		ConnectRatePerIP:          Rate{10, 50},
		MaxHandshakes:             128,
		HandshakeTimeout:          10 * time.Second,
		ConnectTimeout:            5 * time.Second,
		PacketTimeout:             30 * time.Second,
		FlowTimeout:               time.Minute,
		MaxConnectSize:            8 << 10,
		MaxPacketSize:             256 << 10,
		MaxTopicLevels:            32,
		MaxTopicLength:            1024,
		MaxSubscriptions:          100,
		MaxFilters:                16,
		MaxInflight:               100,
		MaxTopicAliases:           16,
		MaxUserProperties:         32,
		MaxKeepalive:              20 * time.Minute,
		MaxSessionExpiry:          24 * time.Hour,
		MaxWillDelay:              24 * time.Hour,
		PublishRate:               PublishRate{100, 200, "delay"},
		PublishBytes:              PublishBytes{1 << 20, 4 << 20, "delay"},
		PacketRate:                PublishRate{500, 1000, "delay"},
		SubscribeRate:             PublishRate{10, 50, "delay"},
		AuthFailures:              BanRule{5, time.Minute, 5 * time.Minute},
		ProtocolErrors:            BanRule{20, time.Minute, 5 * time.Minute},
		Flapping:                  BanRule{30, time.Minute, time.Minute},
		UserFlapping:              BanRule{300, time.Minute, time.Minute},
		Takeovers:                 BanRule{10, time.Minute, time.Minute},
	}
	want.Admin = Admin{Address: "127.0.0.1:9883"}
	want.Log = Log{Level: "info", Format: "auto", Audit: "stderr"}
	if c.Limits != want.Limits || c.Admin != want.Admin || c.Log != want.Log {
		t.Errorf("got %+v %+v %+v", c.Limits, c.Admin, c.Log)
	}
	if want := (Runtime{MemoryLimit: MemoryLimit{Percent: 90}}); c.Runtime != want {
		t.Errorf("runtime %+v, want %+v", c.Runtime, want)
	}
	if c.BrokerProfile != "auto" || c.Strict.Log != nil || c.Strict.Off != nil {
		t.Errorf("broker_profile %s, strict %+v", c.BrokerProfile, c.Strict)
	}
	if s := c.Listeners[0]; s.TLS.MinVersion != "1.2" || s.Backend != "broker" || !slices.Equal(s.Authn, []string{"plc", "users"}) {
		t.Errorf("got %+v %+v", s, s.TLS)
	}
	if s := c.Listeners[1]; s.TLS != nil || s.Backend != "broker" || !slices.Equal(s.Authn, []string{"users"}) {
		t.Errorf("got %+v", s)
	}
	if got := c.Authn[0].Username; got != "${cert.cn}" {
		t.Errorf("user name of a certificate is %q", got)
	}
	c = mustParse(t, minimal+"log: {audit: off}\n")
	if c.Log.Audit != AuditOff {
		t.Errorf("plain off is %q", c.Log.Audit)
	}
}

func TestEveryKey(t *testing.T) {
	c := mustParse(t, `
listeners:
  - name: mqtts
    address: "[::1]:8883"
    transport: websocket
    path: /ws
    origins: [https://app.example, "https://*.plant.example:8443"]
    tls:
      certificates: [{cert: crt, key: ./key}]
      min_version: 1.3
      client_auth: optional
      client_ca: ca
      crl: [crt, ./ca]
      ocsp: hard
      ocsp_url: https://ocsp.example/
      ocsp_ca: ca
      staple: true
    allow: [10.0.0.0/8, "2001:db8::1"]
    deny: [10.1.2.3]
    backend: broker
    authn: [plc, anyone]
    silent: true
    proxy_protocol: {trusted: [10.0.0.5/32, "2001:db8::5"]}
  - {name: plain, address: ":1884", insecure_plaintext: true}
backends: [{name: broker, servers: [{address: "unix:/run/broker"}], probe: {username: probe, password_file: key}, credentials: {mode: replace, username: "${username}", password_file: key}, proxy_protocol: v2}]
client_id: {match: ["${username}-*"]}
authn:
  - {name: plc, type: certificate, username: "plc-${cert.san.dns}"}
  - {name: users, type: password, file: users}
  - {name: anyone, type: anonymous}
authz:
  rules:
    - name: all of it
      users: [007, true, off, null-ish, "a*"]
      client_ids: [c]
      groups: [g]
      ips: [192.0.2.0/24]
      listeners: [mqtts, "pl*"]
      certs: [cn]
      allow: [publish, subscribe, receive]
      topics: ["a/${username}/#", "=a/+"]
      qos: [0, 2]
      retain: false
    - {deny: [publish], topics: ["#"]}
strict: {log: [C3, C10], off: [C12]}
broker_profile: mosquitto-2.0a
limits:
  connect_rate: 0
  connect_rate_per_ip: {rate: 0}
  publish_rate: {rate: 0.5, burst: 3, action: delay}
  publish_bytes: {rate: 2kB, burst: 1 GiB}
  max_connections: 0
  handshake_timeout: 0
  packet_timeout: 1m30s
  flow_timeout: 2m
  max_topic_levels: 1
  max_topic_length: 2
  max_subscriptions: 3
  max_filters_per_subscribe: 4
  max_inflight: 5
  max_user_properties: 6
  max_keepalive: 65535s
  max_session_expiry: 4294967295s
  max_will_delay: 1s
admin: {address: "0.0.0.0:9883", token_file: users}
log: {level: debug, format: json, audit: audit.log}
`)
	dir := c.dir
	retain := false
	local := filepath.Join
	want := []Listener{
		{
			Name: "mqtts", Address: "[::1]:8883", Transport: TransportWebSocket, Path: "/ws", Origins: []string{"https://app.example", "https://*.plant.example:8443"},
			TLS: &TLS{
				Certificates: []Certificate{{Cert: local(dir, "crt"), Key: local(dir, "key")}},
				MinVersion:   "1.3", ClientAuth: ClientAuthOptional, ClientCA: local(dir, "ca"),
				CRL:  []string{local(dir, "crt"), local(dir, "ca")},
				OCSP: "hard", OCSPURL: "https://ocsp.example/", OCSPCA: local(dir, "ca"), Staple: true,
			},
			Allow:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")},
			Deny:    []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32")},
			Backend: "broker", Authn: []string{"plc", "anyone"}, Silent: true,
			ProxyProtocol: &Balancers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32"), netip.MustParsePrefix("2001:db8::5/128")}},
		},
		{Name: "plain", Address: ":1884", Transport: TransportTCP, InsecurePlaintext: true, Backend: "broker", Authn: []string{"plc", "users", "anyone"}},
	}
	if !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("listeners\n%+v, want\n%+v", c.Listeners, want)
	}
	rules := []Rule{
		{
			Name: "all of it",
			Subjects: Subjects{
				Users: []string{"007", "true", "off", "null-ish", "a*"}, ClientIDs: []string{"c"}, Groups: []string{"g"},
				IPs:       []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
				Listeners: []string{"mqtts", "pl*"}, Certs: []string{"cn"},
			},
			Allow:  []string{"publish", "subscribe", "receive"},
			Topics: []string{"a/${username}/#", "=a/+"}, QoS: []int{0, 2}, Retain: &retain,
			Place: Place{Path: "authz.rules[0]", Line: 33},
		},
		{Deny: []string{"publish"}, Topics: []string{"#"}, Place: Place{Path: "authz.rules[1]", Line: 44}},
	}
	if !reflect.DeepEqual(c.Authz.Rules, rules) {
		t.Errorf("rules\n%+v, want\n%+v", c.Authz.Rules, rules)
	}
	limits := defaults().Limits
	limits.ConnectRate, limits.ConnectRatePerIP = Rate{}, Rate{}
	limits.PublishRate = PublishRate{0.5, 3, "delay"}
	limits.PublishBytes = PublishBytes{2000, GiB, "delay"}
	limits.MaxConnections, limits.HandshakeTimeout, limits.PacketTimeout = 0, 0, 90*time.Second
	limits.FlowTimeout = 2 * time.Minute
	limits.MaxTopicLevels, limits.MaxTopicLength, limits.MaxSubscriptions, limits.MaxFilters = 1, 2, 3, 4
	limits.MaxInflight, limits.MaxUserProperties = 5, 6
	limits.MaxKeepalive, limits.MaxSessionExpiry, limits.MaxWillDelay = 65535*time.Second, math.MaxUint32*time.Second, time.Second
	if want := (Strict{Log: []string{"C3", "C10"}, Off: []string{"C12"}}); !reflect.DeepEqual(c.Strict, want) {
		t.Errorf("strict %+v, want %+v", c.Strict, want)
	}
	if c.BrokerProfile != "mosquitto-2.0a" {
		t.Errorf("broker_profile %s", c.BrokerProfile)
	}
	if want := (Probe{Username: "probe", PasswordFile: local(dir, "key")}); c.Backends[0].Probe != want {
		t.Errorf("probe %+v, want %+v", c.Backends[0].Probe, want)
	}
	if want := (Credentials{Mode: "replace", Username: "${username}", PasswordFile: local(dir, "key")}); c.Backends[0].Credentials != want || c.Backends[0].ProxyProtocol != "v2" {
		t.Errorf("backend %+v", c.Backends[0])
	}
	if !slices.Equal(c.ClientID.Match, []string{"${username}-*"}) {
		t.Errorf("client_id %+v", c.ClientID)
	}
	if c.Limits != limits {
		t.Errorf("limits %+v, want %+v", c.Limits, limits)
	}
	if want := (Admin{Address: "0.0.0.0:9883", TokenFile: local(dir, "users")}); c.Admin != want {
		t.Errorf("admin %+v, want %+v", c.Admin, want)
	}
	if want := (Log{Level: "debug", Format: "json", Audit: local(dir, "audit.log")}); c.Log != want {
		t.Errorf("log %+v, want %+v", c.Log, want)
	}
	if want := []string{local(dir, "ca"), local(dir, "crt"), local(dir, "key"), local(dir, "users")}; !slices.Equal(c.Files(), want) {
		t.Errorf("files %v, want %v", c.Files(), want)
	}
}

// Port 0 is another port each time, and an absolute path stays.
func TestNotRelative(t *testing.T) {
	users := filepath.Join(folder(t, "u"), "u")
	c := mustParse(t, `
listeners: [{name: a, address: "127.0.0.1:0"}, {name: b, address: "127.0.0.1:0"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: users, type: password, file: `+users+`}]
limits: {publish_rate: 0}
admin: {address: "127.0.0.1:0"}
`)
	if got := c.Authn[0].File; got != users {
		t.Errorf("file is %s, want %s", got, users)
	}
	if want := (PublishRate{Action: ActionDelay}); c.Limits.PublishRate != want {
		t.Errorf("publish_rate is %+v, want %+v", c.Limits.PublishRate, want)
	}
}

func TestPlaces(t *testing.T) {
	c := mustParse(t, minimal+`authz:
  rules:
    - users: [u]
      allow: [publish]
      topics:
        - a
        - b
`)
	for path, want := range map[string]int{
		"authz.rules[0]":           7,
		"authz.rules[0].topics":    9,
		"authz.rules[0].topics[1]": 11,
		"authz.rules[0].qos[2]":    7, // left out: of what encloses it
		"limits.max_connections":   0,
		"":                         0,
	} {
		if got := c.At(path); got != want {
			t.Errorf("At(%s) = %d, want %d", path, got, want)
		}
	}
	if got, want := c.Authz.Rules[0].Place.String(), "authz.rules[0] (line 7)"; got != want {
		t.Errorf("place is %s, want %s", got, want)
	}
	if got, want := (Place{Path: "authz.rules[0]"}).String(), "authz.rules[0]"; got != want {
		t.Errorf("place without a line is %s, want %s", got, want)
	}
	err := c.Errorf("authz.rules[0].topics[1]", "is no filter: %s", "b")
	if got, want := err.Error(), "mqttward.yaml:11: authz.rules[0].topics[1]: is no filter: b"; got != want {
		t.Errorf("error is %s, want %s", got, want)
	}
}

func TestWarnings(t *testing.T) {
	c := mustParse(t, `listeners:
  - {name: plain, address: "0.0.0.0:1884", insecure_plaintext: true}
backends:
  - {name: broker, servers: [{address: "broker.example:1883"}], probe: {username: u, password_file: crt}}
authn:
  - {name: anyone, type: anonymous}
  - {name: users, type: password, file: users}
authz:
  rules:
    - {users: ["*"], allow: [subscribe], topics: ["a", "#"]}
    - {users: [admin], allow: [subscribe], topics: ["#"]}
    - {ips: [10.0.0.0/8], allow: [subscribe], topics: ["#"]}
    - {ips: [0.0.0.0/0], allow: [subscribe], topics: ["#"]}
    - {deny: [publish], topics: ["#"]}
limits:
  max_connections: 0
  packet_timeout: 0s
  connect_rate: 0
  publish_bytes: {rate: 0}
  max_inflight: 0
  max_keepalive: 0
  max_session_expiry: 0s
  flow_timeout: 0
  auth_failures: {max: 0}
  flapping: {max: 0, window: 1s, ban: 0}
  user_flapping: {max: 9}
admin: {address: ":9883", token_file: key}
strict: {log: [C3], off: [C12, C8]}
`)
	for _, secret := range []string{"users", "crt"} {
		if err := os.Chmod(secret, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"mqttward.yaml:2: listeners[0]: no TLS: passwords and messages cross the network in the clear",
		"mqttward.yaml:4: backends[0].servers[0].address: not on this machine and no TLS: passwords and messages cross the network in the clear",
		"mqttward.yaml:4: backends[0].probe.password_file: every user of this machine may read the file (mode 0644)",
		"mqttward.yaml:6: authn[0]: anonymous: lets in clients that nobody knows",
		"mqttward.yaml:7: authn[1].file: every user of this machine may read the file (mode 0644)",
		"mqttward.yaml:16: limits.max_connections: 0 means no limit",
		"mqttward.yaml:17: limits.packet_timeout: 0 means no limit",
		"mqttward.yaml:18: limits.connect_rate: 0 means no limit",
		"mqttward.yaml:19: limits.publish_bytes: 0 means no limit",
		"mqttward.yaml:20: limits.max_inflight: 0 means no limit",
		"mqttward.yaml:21: limits.max_keepalive: 0 means no limit",
		"mqttward.yaml:22: limits.max_session_expiry: 0 means no limit",
		"mqttward.yaml:23: limits.flow_timeout: 0 means no limit",
		"mqttward.yaml:24: limits.auth_failures: 0 means no limit",
		"mqttward.yaml:25: limits.flapping: 0 means no limit",
		"mqttward.yaml:26: limits.user_flapping: max is below limits.max_connections_per_identity: bans a user whose clients all come back at once",
		"mqttward.yaml:27: admin.address: no TLS: the token crosses the network in the clear",
		"mqttward.yaml:28: strict.log[0]: C3 is not enforced: lets packets through that break it",
		"mqttward.yaml:28: strict.off[0]: C12 is not enforced: lets packets through that break it",
		"mqttward.yaml:28: strict.off[1]: C8 is not enforced: lets packets through that break it",
	}
	if got := c.Warnings(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	c = mustParse(t, minimal)
	if got := c.Warnings(); len(got) != 1 || !strings.HasSuffix(got[0], "authz: no rules: everything is denied") {
		t.Errorf("without rules: %q", got)
	}

	c = mustParse(t, strings.Replace(minimal, `"127.0.0.1:1884"`,
		`"127.0.0.1:1884", tls: {certificates: [{cert: crt, key: key}], client_auth: required, client_ca: ca, crl: [ca]}`, 1))
	if err := os.Chmod("ca", 0o644); err != nil {
		t.Fatal(err)
	}
	if got := c.Warnings(); len(got) != 1 {
		t.Errorf("a CRL is no secret: %q", got)
	}

	for tls, want := range map[string]int{"{}": 1, "{server_name: b}": 0, "{ca: ca}": 0} {
		c = mustParse(t, strings.Replace(minimal, `{address: "127.0.0.1:1883"}]`, `{srv: _mqtt._tcp.b}], tls: `+tls, 1))
		found := slices.DeleteFunc(c.Warnings(), func(line string) bool { return !strings.Contains(line, "backends[0].servers[0].srv: the names") })
		if len(found) != want {
			t.Errorf("names of the DNS with tls: %s: %q", tls, found)
		}
	}

	c = mustParse(t, minimal+"limits: {publish_bytes: {burst: 1KiB, action: drop}}\n")
	if got := c.Warnings(); len(got) != 2 || !strings.Contains(got[0], "limits.publish_bytes: messages larger than 1024 bytes never pass") {
		t.Errorf("a burst that no packet fits in: %q", got)
	}
}
