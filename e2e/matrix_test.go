package e2e

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// method is a row of the matrix: a way to prove who a client is, what proves it,
// and what the client and the audit log are told if it does not.
type method struct {
	name      string                         // of the method that accepts, and of the test
	authn     string                         // as YAML
	listeners string                         // as YAML; "": passwords only
	files     func(t *testing.T, dir string) // beside the configuration; may be nil
	good      proof
	wrong     proof
	absent    proof
	wrongIs   refusal
	absentIs  refusal

	stop   func(t *testing.T) // ends the source; nil: there is none
	downIs refusal
}

// proof is what a client brings.
type proof struct {
	certificate string // the name of its files; "": none
	connect     func(*packets.Connect)
}

// refusal is how a client is refused: by its CONNACK, or by none if the code is
// Success, and in the audit log.
type refusal struct {
	code packets.ReasonCode
	end  string
	says string // part of the error
}

// unavailable is the refusal of a method whose source is down.
func unavailable(says string) refusal {
	return refusal{packets.ServerUnavailable, "authn_unavailable", says}
}

// badLogin and noLogin are refusals of a client that has a user name, and of one
// that has none.
func badLogin(says string) refusal {
	return refusal{packets.BadUserNameOrPassword, "bad_credentials", says}
}

func noLogin(says string) refusal { return refusal{packets.NotAuthorized, "bad_credentials", says} }

// login is a proof by user name and password.
func login(user, secret string) proof {
	return proof{connect: func(c *packets.Connect) {
		c.HasUsername, c.Username = true, []byte(user)
		c.HasPassword, c.Password = true, []byte(secret)
	}}
}

const nobody = "no method accepts the client's credentials"

// methods are the rows. Each starts its source, if it has one.
var methods = []func(t *testing.T) method{
	passwordMethod, certificateMethod, bothMethod, anonymousMethod, tokenMethod, introspectionMethod,
	redisMethod, ldapMethod, postgresMethod, mariaDBMethod,
	emqxMethod, vernemqMethod, goAuthMethod, goAuthTokenMethod,
}

var noLoginAtAll = proof{connect: func(*packets.Connect) {}}

func passwordMethod(t *testing.T) method {
	return method{
		name: "users", authn: recipe(t, "password"),
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: noLoginAtAll,
		wrongIs: badLogin("wrong password"), absentIs: noLogin(nobody),
	}
}

// machineListener is a listener that asks for certificates.
var machineListener = tlsListener(", client_ca: ca.crt, client_auth: optional")

func machineFiles(t *testing.T, dir string) {
	issue(t, authority(), dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	issue(t, authority(), dir, "nameless", pki.Options{Client: true})
}

func certificateMethod(*testing.T) method {
	return method{
		name: "machines", authn: `[{name: machines, type: certificate}]`, listeners: machineListener, files: machineFiles,
		good: proof{"plc-1", noLoginAtAll.connect}, wrong: proof{"nameless", noLoginAtAll.connect}, absent: noLoginAtAll,
		wrongIs: noLogin("gives no usable user name"), absentIs: noLogin(nobody),
	}
}

func bothMethod(t *testing.T) method {
	both, half := login("alice", password("alice")), login("alice", password("bob"))
	both.certificate, half.certificate = "plc-1", "plc-1"
	return method{
		name: "both", authn: recipe(t, "all"), listeners: machineListener, files: machineFiles,
		good: both, wrong: half, absent: login("alice", password("alice")),
		wrongIs: badLogin("wrong password"), absentIs: badLogin(nobody),
	}
}

func anonymousMethod(t *testing.T) method {
	return method{
		name: "guests", authn: recipe(t, "anonymous"),
		good: noLoginAtAll, wrong: login("guest", password("alice")), absent: login("guest", ""),
		wrongIs: badLogin(nobody), absentIs: badLogin(nobody),
	}
}

func tokenMethod(t *testing.T) method {
	good := mint(t, time.Hour, map[string][]string{})
	other := mint(t, 2*time.Hour, map[string][]string{})
	forged := good[:strings.LastIndexByte(good, '.')] + other[strings.LastIndexByte(other, '.'):]
	return method{
		name: "tokens", authn: recipe(t, "jwt-hmac"),
		files: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "token.secret"), tokenSecret) },
		good:  login("any", good), wrong: login("any", forged), absent: noLoginAtAll,
		wrongIs: badLogin("signature is wrong"), absentIs: noLogin(nobody),
	}
}

func introspectionMethod(t *testing.T) method {
	id := startProvider(t)
	return method{
		name: "tokens", authn: recipe(t, "jwt-introspection", "https://id.example", id.url, "cache: {ttl: 10s}", "timeout: 5s"),
		files: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "introspection.secret"), proxySecret) },
		good:  login("any", id.token(t, nil, "opaque")), wrong: login("any", "never-issued"), absent: noLoginAtAll,
		wrongIs: badLogin("not active"), absentIs: noLogin(nobody),
		stop: id.kill, downIs: unavailable("authentication failed to answer"),
	}
}

func redisMethod(t *testing.T) method {
	s := startRedis(t)
	s.add(t, "alice")
	return method{
		name: "devices", authn: s.authn(t), files: s.secrets,
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: login("mallory", password("alice")),
		wrongIs: badLogin("wrong password"), absentIs: badLogin(nobody),
		stop: s.kill, downIs: unavailable("authentication failed to answer"),
	}
}

func ldapMethod(t *testing.T) method {
	s := startSlapd(t)
	s.add(t, "alice")
	return method{
		name: "staff", authn: s.authn(t, "ldap"), files: s.secrets,
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: login("mallory", password("alice")),
		wrongIs: badLogin("wrong password"), absentIs: badLogin(nobody),
		stop: s.kill, downIs: unavailable("authentication failed to answer"),
	}
}

func postgresMethod(t *testing.T) method { return startPostgres(t).method(t) }

func mariaDBMethod(t *testing.T) method { return startMariaDB(t).method(t) }

func (d *database) method(t *testing.T) method {
	d.add(t, "alice")
	return method{
		name: "devices", authn: d.authn(t), files: d.secrets,
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: login("mallory", password("alice")),
		wrongIs: badLogin("wrong password"), absentIs: badLogin(nobody),
		stop: d.stop, downIs: unavailable("authentication failed to answer"),
	}
}

// kill ends a program at once.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	p.exit(t)
}

// TestMatrix is every method with good, wrong and absent credentials and with its
// source down, in MQTT 3.1.1 and 5.0.
func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, row := range methods {
		name := runtime.FuncForPC(reflect.ValueOf(row).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+1:], func(t *testing.T) {
			t.Parallel()
			row(t).test(t, startBroker(t))
		})
	}
}

func (m method) test(t *testing.T, b *broker) {
	dir := proxyFolder(t, settings{broker: b.address(), authn: m.authn, listeners: m.listeners})
	if m.files != nil {
		m.files(t, dir)
	}
	p := startProxyIn(t, dir)
	for _, v := range []packets.Version{packets.V311, packets.V5} {
		p.accepts(t, m, v)
		p.refuses(t, "wrong", v, m.wrong, m.wrongIs)
		p.refuses(t, "absent", v, m.absent, m.absentIs)
	}
	if m.stop == nil {
		return
	}
	m.stop(t)
	for _, v := range []packets.Version{packets.V311, packets.V5} {
		p.refuses(t, "down", v, m.good, m.downIs)
	}
}

func (p *proxy) accepts(t *testing.T, m method, v packets.Version) {
	t.Helper()
	id := fmt.Sprintf("good-%d", v)
	c := p.prove(t, v, id, m.good)
	if got := c.next(); connackCode(got) != "00" {
		t.Fatalf("good in %s: CONNACK %s", v, got)
	}
	p.awaitEvent(t, event{"msg": "session started", "client_id": id, "method": m.name})
}

func (p *proxy) refuses(t *testing.T, what string, v packets.Version, brought proof, want refusal) {
	t.Helper()
	id := fmt.Sprintf("%s-%d", what, v)
	c := p.prove(t, v, id, brought)
	code := byte(want.code)
	if v != packets.V5 {
		code = want.code.ConnectReturnCode()
	}
	if got := c.next(); connackCode(got) != fmt.Sprintf("%02x", code) {
		t.Errorf("%s in %s: CONNACK %s, want code %#x", what, v, got, code)
	}
	c.expect("the end of "+id, "close")
	c.Close() // or the proxy would wait for it
	e := p.awaitEvent(t, event{"msg": "connection refused", "client_id": id, "end": want.end})
	if says, _ := e["error"].(string); !strings.Contains(says, want.says) {
		t.Errorf("%s in %s: the audit log says %q, want %q", what, v, says, want.says)
	}
}

// prove connects a client and sends its CONNECT.
func (p *proxy) prove(t *testing.T, v packets.Version, id string, brought proof) *raw {
	t.Helper()
	config := p.tlsConfig()
	if brought.certificate != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(p.dir, brought.certificate+".crt"), filepath.Join(p.dir, brought.certificate+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	conn, err := tls.Dial("tcp", p.address(), config)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, conn)
	c.send(rawConnect(v, id, "", brought.connect))
	return c
}

// connackCode is the Reason Code or return code of a CONNACK in hexadecimal.
func connackCode(frame string) string {
	b, err := hex.DecodeString(frame)
	if err != nil || len(b) < 4 || b[0] != 0x20 {
		return frame
	}
	return hex.EncodeToString(b[3:4])
}
