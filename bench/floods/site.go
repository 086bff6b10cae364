package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/configs"
)

const (
	mallory     = "mallory"
	password    = "correct horse battery staple" // of everybody
	honestUsers = 25

	// brokerFiles is the broker's limit of descriptors: what a service has
	// where nobody has thought of it.
	brokerFiles = 1024
	reserve     = 100 // of them, for others than the proxy's clients
)

// honestUser is the name of somebody honest. There are honestUsers of them.
func honestUser(n int) string { return fmt.Sprintf("honest-%d", n) }

// site is where the victims are: a broker and, in front of it, the proxy.
type site struct {
	dir    string
	binary string // of mqttward
	tls    *tls.Config
	ca     []byte
	limits configs.Limits // of the proxy

	plain, direct, proxied, admin string // addresses: two of the broker, two of the proxy
}

const brokerConfig = `user root
per_listener_settings true
listener %[1]s 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
listener %[2]s 127.0.0.1
set_tcp_nodelay true
certfile %[3]s/server.crt
keyfile %[3]s/server.key
tls_version tlsv1.3
allow_anonymous false
password_file %[3]s/broker.passwd
acl_file %[3]s/broker.acl
persistence false
sys_interval 1
log_type none
`

const brokerACL = `pattern readwrite plant/%u/#
user ` + mallory + `
topic readwrite attack/#
`

const proxyConfig = `listeners:
  - name: mqtts
    address: %q
    tls: {certificates: [{cert: server.crt, key: server.key}]}
backends:
  - {name: broker, servers: [{address: %q}], max_connections: %d}
authn:
  - {name: users, type: password, file: users.passwd}
authz:
  rules:
    - {name: honest, users: ["honest-*"], allow: [publish, subscribe], topics: ["plant/${username}/#"]}
    - {name: attacker, users: [` + mallory + `], allow: [publish, subscribe], topics: ["attack/#"]}
admin: {address: %q}
log: {audit: audit.log}
`

// newSite writes all files into dir.
func newSite(ctx context.Context, dir, binary string) (s *site, err error) {
	s = &site{dir: dir, binary: binary}
	if s.tls, err = rig.WriteKeys(dir); err != nil {
		return nil, err
	}
	if s.ca, err = os.ReadFile(s.file("ca.crt")); err != nil {
		return nil, err
	}
	for _, address := range []*string{&s.plain, &s.direct, &s.proxied, &s.admin} {
		if *address, err = rig.FreeAddress(); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(
		os.WriteFile(s.file("broker.conf"), fmt.Appendf(nil, brokerConfig, port(s.plain), port(s.direct), dir), 0o600),
		os.WriteFile(s.file("broker.acl"), []byte(brokerACL), 0o600),
		os.WriteFile(s.file("proxy.yaml"), fmt.Appendf(nil, proxyConfig, s.proxied, s.plain, brokerFiles-reserve, s.admin), 0o600),
		os.WriteFile(s.file("password"), []byte(password+"\n"), 0o600),
		s.writeUsers(ctx),
	); err != nil {
		return nil, err
	}
	c, err := configs.Load(s.file("proxy.yaml"), nil)
	if err != nil {
		return nil, err
	}
	s.limits = c.Limits
	return s, nil
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// writeUsers gives everybody the hash that each of the two makes of a new
// password: mqttward's is argon2id, and that of mosquitto_passwd PBKDF2 of 101
// rounds.
func (s *site) writeUsers(ctx context.Context) error {
	first := s.file("first.passwd")
	command := exec.CommandContext(ctx, s.binary, "passwd", "-f", first, "x", "--password-file", s.file("password")) //nolint:gosec // G204: the user's choice
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("mqttward passwd: %w: %s", err, out)
	}
	line, err := os.ReadFile(first)
	if err != nil {
		return err
	}
	salt := []byte("of 12 bytes.")
	key, err := pbkdf2.Key(sha512.New, password, salt, 101, sha512.Size)
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	ours := strings.TrimPrefix(string(line), "x")
	theirs := fmt.Sprintf(":$7$101$%s$%s\n", b64(salt), b64(key))
	var users, brokers strings.Builder
	for _, name := range names() {
		users.WriteString(name + ours)
		brokers.WriteString(name + theirs)
	}
	return errors.Join(
		os.WriteFile(s.file("users.passwd"), []byte(users.String()), 0o600),
		os.WriteFile(s.file("broker.passwd"), []byte(brokers.String()), 0o600),
	)
}

// names are those of all who have an account.
func names() []string {
	all := []string{mallory}
	for n := range honestUsers {
		all = append(all, honestUser(n))
	}
	return all
}

// startBroker starts a new broker with few descriptors.
func (s *site) startBroker(ctx context.Context) (*rig.Process, error) {
	script := fmt.Sprintf(`ulimit -n %d && exec mosquitto -c "$0"`, brokerFiles)
	return rig.Start(ctx, s.plain, "sh", "-c", script, s.file("broker.conf"))
}

func (s *site) startProxy(ctx context.Context) (*rig.Process, error) {
	return rig.Start(ctx, s.proxied, s.binary, "run", "-c", s.file("proxy.yaml"))
}
