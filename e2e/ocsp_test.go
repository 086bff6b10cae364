package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// startOCSPPlant starts a proxy that asks a about certificates of the machines plc-1
// and plc-3.
func startOCSPPlant(t *testing.T, a *authorityWithOCSP, mode string) *plant {
	t.Helper()
	b := startBroker(t)
	s := plantSettings(b, "required, ocsp: "+mode)
	s.authn = `[{name: machines, type: certificate}]`
	s.listeners = strings.Replace(s.listeners, "client_ca: ca.crt", "client_ca: clients.crt", 1)
	dir := proxyFolder(t, s)
	write(t, filepath.Join(dir, "clients.crt"), string(a.PEM()))
	for _, machine := range []string{"plc-1", "plc-3"} {
		a.issue(t, dir, machine, pki.Options{CN: machine, Client: true})
	}
	return &plant{startProxyIn(t, dir), b}
}

// machine is a client in this process that resumes its TLS sessions.
func (p *plant) machine(t *testing.T, name string, version uint16) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.file(name+".crt"), p.file(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.tlsConfig()
	cfg.Certificates, cfg.ClientSessionCache, cfg.MaxVersion = []tls.Certificate{pair}, tls.NewLRUClientSessionCache(1), version
	return cfg
}

// login connects and returns the connection once the broker has accepted, or why it
// is refused.
func (p *plant) login(t *testing.T, cfg *tls.Config, clientID string) (*tls.Conn, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", p.address(), cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience)) // fails if it is closed, as what follows
	if _, err := conn.Write(mqtttest.Connect(packets.V311, clientID)); err != nil {
		return nil, err
	}
	connack := make([]byte, 4)
	if _, err := io.ReadFull(conn, connack); err != nil {
		return nil, err
	}
	if !bytes.Equal(connack, mqtttest.Connack(packets.V311, packets.Success)) {
		t.Fatalf("CONNACK %x", connack)
	}
	return conn, nil
}

// A certificate is good, and is revoked while its session runs: that ends with the
// reload, and neither a new handshake nor a resumed one gets the client in again.
func TestOCSPRevoked(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			a := startOCSP(t)
			p := startOCSPPlant(t, a, "hard")
			cfg := p.machine(t, "plc-1", version)
			running, err := p.login(t, cfg, "running")
			if err != nil {
				t.Fatal(err)
			}
			resumed, err := p.login(t, cfg, "resumed")
			if err != nil || !resumed.ConnectionState().DidResume {
				t.Fatalf("the second connection is not resumed (%v)", err)
			}
			other, err := p.login(t, p.machine(t, "plc-3", version), "other")
			if err != nil {
				t.Fatal(err)
			}
			_ = resumed.Close()

			a.revoke(t, p.dir, "plc-1")
			if err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			awaitClosed(t, running)
			p.awaitEvent(t, event{"msg": "session ended", "end": "identity_revoked", "client_id": "running"})
			fresh := p.machine(t, "plc-1", version)
			for i, cfg := range []*tls.Config{cfg, fresh} {
				if _, err := p.login(t, cfg, "again"); err == nil || !strings.Contains(err.Error(), "tls: bad certificate") {
					t.Errorf("a revoked client sees %v", err)
				}
				p.awaitMetric(t, refusals("tls_handshake"), float64(i+1))
			}
			if e := p.awaitEvent(t, event{"msg": "connection refused", "end": "tls_handshake"}); !strings.Contains(fmt.Sprint(e["error"]), "is revoked since") {
				t.Errorf("the audit log says %v", e)
			}
			if _, err := other.Write(mqtttest.Pingreq()); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(other, make([]byte, len(mqtttest.Pingresp()))); err != nil {
				t.Errorf("the session of another client: %v", err)
			}
		})
	}
}

// What the responder does not know, nobody has issued.
func TestOCSPUnknown(t *testing.T) {
	t.Parallel()
	a := startOCSP(t)
	p := startOCSPPlant(t, a, "soft")
	delete(a.index, "plc-1")
	a.putIndex(t)
	if r := tryPublish(t, p.with("plc-1"), "-q", "1", "-t", "plc-1/state", "-m", payload("x")); r.code == 0 {
		t.Error("accepted")
	}
	publish(t, p.with("plc-3"), "-q", "1", "-t", "plc-3/state", "-m", payload("x"))
	if e := p.awaitEvent(t, event{"msg": "connection refused", "end": "tls_handshake"}); !strings.Contains(fmt.Sprint(e["error"]), "unknown to its OCSP responder") {
		t.Errorf("the audit log says %v", e)
	}
}

// The responder is down: soft accepts and says so, hard refuses. Running sessions go
// on over a reload, with both.
func TestOCSPDown(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"soft", "hard"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := startOCSP(t)
			p := startOCSPPlant(t, a, mode)
			running, err := p.login(t, p.machine(t, "plc-1", tls.VersionTLS13), "running")
			if err != nil {
				t.Fatal(err)
			}
			a.kill(t)
			publish(t, p.with("plc-1"), "-q", "1", "-t", "plc-1/state", "-m", payload("x")) // it is known to be good
			if err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			r := tryPublish(t, p.with("plc-1"), "-q", "1", "-t", "plc-1/state", "-m", payload("x"))
			if accepted := r.code == 0; accepted != (mode == "soft") {
				t.Errorf("accepted: %v", accepted)
			}
			if mode == "hard" {
				e := p.awaitEvent(t, event{"msg": "connection refused", "end": "tls_handshake"})
				if text := fmt.Sprint(e["error"]); !strings.Contains(text, "no answer of OCSP") || !strings.Contains(text, "connection refused") {
					t.Errorf("the audit log says %v", e)
				}
			} else {
				eventually(t, "count of what has no answer", func() bool { return p.metrics(t)["mqttward_ocsp_unanswered_total"] > 0 })
			}
			if _, err := running.Write(mqtttest.Pingreq()); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(running, make([]byte, len(mqtttest.Pingresp()))); err != nil {
				t.Errorf("the running session: %v", err)
			}
		})
	}
}

// A client gets the responder's answer about the proxy's certificate in the handshake,
// and goes on getting it when the responder is down, over a reload too.
func TestStaple(t *testing.T) {
	t.Parallel()
	a, b := startOCSP(t), startBroker(t)
	dir := proxyFolder(t, settings{broker: b.address(), listeners: tlsListener(", staple: true")})
	a.issue(t, dir, "server", pki.Options{CN: "localhost", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	cert, err := os.ReadFile(filepath.Join(dir, "server.crt"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.crt"), string(cert)+string(a.PEM()))
	p := startProxyIn(t, dir)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	state := func() tls.ConnectionState {
		t.Helper()
		conn, err := tls.Dial("tcp", p.address(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState()
	}
	eventually(t, "an answer in the handshake", func() bool { return state().OCSPResponse != nil })
	a.kill(t)
	for range 2 {
		s := state()
		answer, err := ocsp.ParseResponseForCert(s.OCSPResponse, s.PeerCertificates[0], certificateIn(t, a.file("ca.crt")))
		if err != nil || answer.Status != ocsp.Good {
			t.Errorf("the answer in the handshake: %+v, %v", answer, err)
		}
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "server.crt"), string(cert))
	if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "listeners[0].tls.certificates[0].cert: wants the certificate of its issuer behind it") {
		t.Errorf("without the issuer: %v", err)
	}
}
