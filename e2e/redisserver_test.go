package e2e

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/mqttward/mqttward/internal/pki"
)

// redisServer is a redis-server that wants a password, with TLS on a port of its
// own. Its users are those of the recipe.
type redisServer struct {
	*process
	dir           string
	port, tlsPort string
}

// startRedis starts a server without users on ports that the kernel picks.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	dir := t.TempDir()
	issue(t, authority(), dir, "server", pki.Options{CN: "redis", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	write(t, filepath.Join(dir, "ca.crt"), string(authority().PEM()))
	for range 10 {
		s := &redisServer{dir: dir, port: freePort(t), tlsPort: freePort(t)}
		write(t, filepath.Join(dir, "redis.conf"), strings.NewReplacer("DIR", dir, "TLSPORT", s.tlsPort, "PORT", s.port, "PASSWORD", password("redis")).Replace(`
bind 127.0.0.1
port PORT
tls-port TLSPORT
tls-cert-file DIR/server.crt
tls-key-file DIR/server.key
tls-ca-cert-file DIR/ca.crt
tls-auth-clients no
requirepass PASSWORD
dir DIR
appendonly yes
appendfsync always
`))
		if s.start(t) {
			return s
		}
	}
	t.Fatal("no port for redis-server")
	return nil
}

// start starts the server, again if it was stopped. It reports false if a port is
// taken.
func (s *redisServer) start(t *testing.T) bool {
	t.Helper()
	s.process = launch(t, newTranscript(), "redis-server", filepath.Join(s.dir, "redis.conf"))
	text, ok := s.out.wait(s.done, func(text string) bool { return strings.Contains(text, "Ready to accept connections") })
	if !ok && !strings.Contains(text, "Address already in use") {
		t.Fatalf("redis-server does not run:\n%s", text)
	}
	return ok
}

// authn is the method of a recipe over this server; the password is in a file of
// the proxy's folder that secrets writes.
func (s *redisServer) authn(t *testing.T, replace ...string) string {
	t.Helper()
	return recipe(t, "redis", append([]string{"127.0.0.1:6379", "127.0.0.1:" + s.port}, replace...)...)
}

// secrets writes the files that the recipe names into the folder of a proxy.
func (*redisServer) secrets(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "redis.password"), password("redis")+"\n")
}

// client is one of the test itself.
func (s *redisServer) client(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:" + s.port, Password: password("redis"),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// add makes a user with the password of that user.
func (s *redisServer) add(t *testing.T, user string, groups ...string) {
	t.Helper()
	c := s.client(t)
	err := c.HSet(waiting(t), "mqtt:user:"+user, "password", strings.TrimSpace(bcryptOf(user))).Err()
	if err == nil && len(groups) > 0 {
		err = c.SAdd(waiting(t), "mqtt:groups:"+user, groups).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// remove makes a user unknown.
func (s *redisServer) remove(t *testing.T, user string) {
	t.Helper()
	if err := s.client(t).Del(waiting(t), "mqtt:user:"+user, "mqtt:groups:"+user).Err(); err != nil {
		t.Fatal(err)
	}
}
