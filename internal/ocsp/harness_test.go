package ocsp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// party is a certificate with its key.
type party struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

var serials atomic.Int64

// issue makes a certificate; nil by: one that signs itself.
func issue(t testing.TB, by *party, edit ...func(*x509.Certificate)) *party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := serials.Add(1)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: "party"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, e := range edit {
		e(template)
	}
	p, signer := &party{key: key}, key
	parent := template
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if p.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

func asCA(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = name, true, true, x509.KeyUsageCertSign
	}
}

func asSigner(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }

func naming(url string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.OCSPServer = []string{url} }
}

// sign makes an answer about cert. Unless edit says otherwise it is good, of now and
// holds for an hour.
func sign(t testing.TB, cert, issuer, signer *party, edit ...func(*ocsp.Response)) []byte {
	t.Helper()
	template := ocsp.Response{
		Status: ocsp.Good, SerialNumber: cert.SerialNumber,
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}
	if signer != issuer {
		template.Certificate = signer.Certificate
	}
	for _, e := range edit {
		e(&template)
	}
	der, err := ocsp.CreateResponse(issuer.Certificate, signer.Certificate, template, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func revoked(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Hour) }

func unknown(r *ocsp.Response) { r.Status = ocsp.Unknown }

// responder is a server of OCSP.
type testResponder struct {
	*httptest.Server
	asked  atomic.Int32
	answer atomic.Pointer[func(w http.ResponseWriter, question *ocsp.Request)]
}

func newTestResponder(t *testing.T) *testResponder {
	t.Helper()
	r := &testResponder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		body, _ := io.ReadAll(q.Body)
		question, err := ocsp.ParseRequest(body)
		if err != nil || q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("%s of %s: %v", q.Method, q.Header.Get("Content-Type"), err)
			return
		}
		(*r.answer.Load())(w, question)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *testResponder) set(f func(w http.ResponseWriter, question *ocsp.Request)) {
	r.answer.Store(&f)
}

// says gives the same answer to every question.
func (r *testResponder) says(body []byte) {
	r.set(func(w http.ResponseWriter, _ *ocsp.Request) { _, _ = w.Write(body) })
}

func chain(parties ...*party) (certs []*x509.Certificate) {
	for _, p := range parties {
		certs = append(certs, p.Certificate)
	}
	return certs
}
