package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mqttward/mqttward/internal/pki"
)

// authorityWithOCSP is an authority and the responder of OpenSSL that speaks for it.
type authorityWithOCSP struct {
	*pki.CA
	dir     string
	process *process
	url     string
	index   map[string]string // the lines of its database, by name

	versions int // of the database, that were replaced
}

// startOCSP starts a responder that knows no certificate yet.
func startOCSP(t *testing.T) *authorityWithOCSP {
	t.Helper()
	a := &authorityWithOCSP{CA: newCA("e2e OCSP CA"), dir: t.TempDir(), index: map[string]string{}}
	issue(t, a.CA, a.dir, "ocsp", pki.Options{CN: "responder", OCSPSigner: true})
	write(t, a.file("ca.crt"), string(a.PEM()))
	a.putIndex(t)
	a.process = launch(t, newTranscript(), "openssl", "ocsp", "-index", a.file("index.txt"), "-CA", a.file("ca.crt"),
		"-rsigner", a.file("ocsp.crt"), "-rkey", a.file("ocsp.key"), "-port", "0", "-nmin", "60")
	text := a.process.await(t, "waiting for OCSP client connections")
	port := regexp.MustCompile(`ACCEPT \S*:(\d+)`).FindStringSubmatch(text)
	if port == nil {
		t.Fatalf("the responder does not say where it is:\n%s", text)
	}
	a.url = "http://127.0.0.1:" + port[1]
	return a
}

func (a *authorityWithOCSP) file(name string) string { return filepath.Join(a.dir, name) }

// kill ends the responder.
func (a *authorityWithOCSP) kill(t *testing.T) {
	t.Helper()
	if err := a.process.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	receive(t, "end of the responder", a.process.done)
}

// issue makes a certificate that names the responder, which learns of it.
func (a *authorityWithOCSP) issue(t *testing.T, dir, name string, o pki.Options) {
	t.Helper()
	o.OCSPServer = []string{a.url}
	issue(t, a.CA, dir, name, o)
	a.enter(t, dir, name, "")
}

// revoke enters a certificate as revoked.
func (a *authorityWithOCSP) revoke(t *testing.T, dir, name string) {
	t.Helper()
	a.enter(t, dir, name, time.Now().Add(-time.Minute).UTC().Format("060102150405Z"))
}

func (a *authorityWithOCSP) enter(t *testing.T, dir, name, revoked string) {
	t.Helper()
	status := "V"
	if revoked != "" {
		status = "R"
	}
	cert := certificateIn(t, filepath.Join(dir, name+".crt"))
	a.index[name] = fmt.Sprintf("%s\t%s\t%s\t%X\tunknown\t/CN=%s\n", status,
		cert.NotAfter.UTC().Format("060102150405Z"), revoked, cert.SerialNumber.Bytes(), name)
	a.putIndex(t)
}

// putIndex replaces the database. The responder looks whether it is another file
// before it waits for a question, so it takes one for the next to be answered by it.
func (a *authorityWithOCSP) putIndex(t *testing.T) {
	t.Helper()
	write(t, a.file("next.txt"), strings.Join(slices.Sorted(maps.Values(a.index)), ""))
	// The old one stays, so that no later one takes its inode and passes for it.
	a.versions++
	_ = os.Link(a.file("index.txt"), a.file(fmt.Sprintf("index-%d.txt", a.versions))) // there is none the first time
	if err := os.Rename(a.file("next.txt"), a.file("index.txt")); err != nil {
		t.Fatal(err)
	}
	if a.process == nil {
		return
	}
	question, err := ocsp.CreateRequest(certificateIn(t, a.file("ocsp.crt")), certificateIn(t, a.file("ca.crt")), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(a.url, "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
}

func certificateIn(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
