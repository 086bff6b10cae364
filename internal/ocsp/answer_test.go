package ocsp

import (
	"crypto"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// TestAnswers shows which answers are believed.
func TestAnswers(t *testing.T) {
	ca, other := issue(t, nil, asCA("ca")), issue(t, nil, asCA("ca"))
	line := issue(t, ca, asCA("line"))
	leaf, another := issue(t, ca), issue(t, ca)
	expired := func(c *x509.Certificate) { asSigner(c); c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { asSigner(c); c.NotBefore = time.Now().Add(time.Minute) }
	at := func(this, next time.Duration) func(*ocsp.Response) {
		return func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = time.Now().Add(this), time.Time{}
			if next != 0 {
				r.NextUpdate = time.Now().Add(next)
			}
		}
	}
	twin := issue(t, other, func(c *x509.Certificate) { c.SerialNumber = leaf.SerialNumber })
	renamed := &party{&x509.Certificate{RawSubject: line.RawSubject, RawSubjectPublicKeyInfo: ca.RawSubjectPublicKeyInfo}, ca.key}
	bare := func(r *ocsp.Response) { r.Certificate = nil }
	for _, tt := range []struct {
		name   string
		answer []byte
		want   string // of the error; "": believed
	}{
		{"of the issuer", sign(t, leaf, ca, ca), ""},
		{"of the issuer, with its certificate", sign(t, leaf, ca, ca, func(r *ocsp.Response) { r.Certificate = ca.Certificate }), ""},
		{"revoked", sign(t, leaf, ca, ca, revoked), ""},
		{"of a responder", sign(t, leaf, ca, issue(t, ca, asSigner)), ""},
		{"no nextUpdate", sign(t, leaf, ca, ca, at(0, 0)), ""},
		{"clocks differ", sign(t, leaf, ca, ca, at(4*time.Minute, time.Hour)), ""},
		{"clocks differ at its end", sign(t, leaf, ca, ca, at(-time.Hour, -4*time.Minute)), ""},

		{"of a certificate that is not for OCSP", sign(t, leaf, ca, issue(t, ca)), "not for OCSP"},
		{"of a responder that has expired", sign(t, leaf, ca, issue(t, ca, expired)), "not valid now"},
		{"of a responder that is not valid yet", sign(t, leaf, ca, issue(t, ca, early)), "not valid now"},
		{"of another authority's responder", sign(t, leaf, ca, issue(t, other, asSigner)), "does not know"},
		{"of a responder of an authority below", sign(t, leaf, ca, issue(t, line, asSigner)), "does not know"},
		{"of a responder that signs for itself", sign(t, leaf, ca, issue(t, nil, asSigner)), "does not know"},
		{"of another authority of the same name", sign(t, leaf, ca, other, bare), "not signed by the issuer"},
		{"about another certificate", sign(t, another, ca, ca), "no response matching"},
		{"about the same number of another issuer's key", sign(t, twin, other, ca), "another issuer"},
		{"about the same number of another issuer's name", sign(t, leaf, renamed, ca), "another issuer"},
		{"out of date", sign(t, leaf, ca, ca, at(-time.Hour, -6*time.Minute)), "out of date"},
		{"old, without nextUpdate", sign(t, leaf, ca, ca, at(-2*time.Hour, 0)), "out of date"},
		{"not valid yet", sign(t, leaf, ca, ca, at(6*time.Minute, time.Hour)), "not valid before"},
		{"with another hash", sign(t, leaf, ca, ca, func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 }), "another issuer"},
		{"unauthorized", ocsp.UnauthorizedErrorResponse, "unauthorized"},
		{"empty", nil, "asn1"},
		{"something else", []byte("<html>"), "asn1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			question, err := ocsp.CreateRequest(leaf.Certificate, ca.Certificate, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = parse(tt.answer, question, leaf.Certificate, ca.Certificate, time.Now())
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestForged changes every byte of an answer: none of them gets the opposite through.
func TestForged(t *testing.T) {
	ca := issue(t, nil, asCA("ca"))
	leaf := issue(t, ca)
	question, err := ocsp.CreateRequest(leaf.Certificate, ca.Certificate, nil)
	if err != nil {
		t.Fatal(err)
	}
	genuine := sign(t, leaf, ca, ca, revoked)
	for i := range genuine {
		if _, err := parse(genuine[:i], question, leaf.Certificate, ca.Certificate, time.Now()); err == nil {
			t.Errorf("cut at %d it is believed", i)
		}
		forged := append([]byte{}, genuine...)
		forged[i] ^= 1
		if r, err := parse(forged, question, leaf.Certificate, ca.Certificate, time.Now()); err == nil && r.Status != ocsp.Revoked {
			t.Errorf("with another byte at %d it says %d", i, r.Status)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	ca := issue(f, nil, asCA("ca"))
	leaf, signer := issue(f, ca), issue(f, ca, asSigner)
	question, err := ocsp.CreateRequest(leaf.Certificate, ca.Certificate, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sign(f, leaf, ca, ca, revoked))
	f.Add(sign(f, leaf, ca, signer, revoked))
	f.Add(ocsp.TryLaterErrorResponse)
	now := time.Now()
	f.Fuzz(func(t *testing.T, body []byte) {
		// The authority has only ever said that the certificate is revoked.
		if r, err := parse(body, question, leaf.Certificate, ca.Certificate, now); err == nil && r.Status != ocsp.Revoked {
			t.Errorf("%x is believed", body)
		}
	})
}
