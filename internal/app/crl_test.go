package app

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
)

func authority(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("clients")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func crl(t *testing.T, ca *pki.CA, until time.Duration, serials ...*big.Int) []byte {
	t.Helper()
	text, err := ca.CRL(time.Now().Add(until), serials...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func der(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes
}

func concat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestLoadCRLs(t *testing.T) {
	ca, second, namesake := authority(t), authority(t), authority(t)
	good, other := crl(t, ca, time.Hour, big.NewInt(7)), crl(t, second, time.Hour)
	file := filepath.Join(t.TempDir(), "crl")
	cas := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(cas, concat(ca.PEM(), []byte("a text\n"), second.PEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	trusted, err := certificatesIn(cas)
	if err != nil || len(trusted) != 2 {
		t.Fatalf("%d certificates, %v", len(trusted), err)
	}
	const foreign = `the CRL of "CN=clients" is signed by none of the authorities in client_ca`
	tests := []struct {
		name  string
		data  []byte
		lists int
		want  string // in the error
	}{
		{"PEM", good, 1, ""},
		{"DER", der(good), 1, ""},
		{"two lists", concat(good, other), 2, ""},
		{"a text before the list", concat([]byte("Certificate Revocation List (CRL):\n"), good), 1, ""},
		{"a namesake's", crl(t, namesake, time.Hour), 0, foreign},
		{"a namesake's among others", concat(good, crl(t, namesake, time.Hour)), 0, foreign},
		{"out of date", crl(t, ca, -time.Minute), 0, `the CRL of "CN=clients" is out of date since `},
		{"empty", nil, 0, "not a CRL: "},
		{"no list", []byte("revoked: [7]\n"), 0, "not a CRL: "},
		{"cut off", good[:len(good)-30], 0, "1 of its 1 PEM blocks are damaged"},
		{"damaged between others", concat(good, []byte("-----BEGIN X509 CRL-----\n?\n-----END X509 CRL-----\n"), other), 0, "1 of its 3 PEM blocks are damaged"},
		{"DER and more", append(der(good), 0), 0, "holds something behind the CRL"},
		{"two in DER", concat(der(good), der(other)), 0, "holds something behind the CRL"},
		{"a certificate", ca.PEM(), 0, "holds a CERTIFICATE, which is no CRL"},
		{"a certificate in DER", der(ca.PEM()), 0, "not a CRL: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			lists, err := loadCRLs(file, trusted, time.Now())
			if len(lists) != tt.lists || (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%d lists, %v; want %d, %q", len(lists), err, tt.lists, tt.want)
			}
		})
	}
}

// TestCheckCRL has what crypto/x509 would not make.
func TestCheckCRL(t *testing.T) {
	ca := authority(t)
	issuer, err := x509.ParseCertificate(der(ca.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		edit func(*x509.RevocationList)
		want string // in the error
	}{
		{"as it is", func(*x509.RevocationList) {}, ""},
		{"without an end", func(l *x509.RevocationList) { l.NextUpdate = time.Time{} }, "does not say until when it holds"},
		{"of tomorrow", func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(time.Minute) }, "is not valid before "},
		{"of changes only", func(l *x509.RevocationList) {
			delta := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true}
			l.Extensions = append(l.Extensions, delta)
		}, "has the critical extension 2.5.29.27"},
		{"under another name", func(l *x509.RevocationList) { l.RawIssuer = []byte("another") }, "is signed by none of the authorities"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := x509.ParseRevocationList(der(crl(t, ca, time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			tt.edit(list)
			err = checkCRL(list, []*x509.Certificate{issuer}, time.Now())
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestRevocationByReload: the list is read again, and one that is wrong changes
// nothing.
func TestRevocationByReload(t *testing.T) {
	ca := authority(t)
	certPEM, _, err := ca.Issue(pki.Options{CN: "plc-7", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	plc, err := x509.ParseCertificate(der(certPEM))
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, strings.Replace(policy, "client_ca: ca.crt}", "client_ca: ca.crt, crl: [ca.crl]}", 1))
	put := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sh := newShared()
	put("ca.crt", ca.PEM())
	for _, step := range []struct {
		name    string
		list    []byte
		want    string // of the load's error
		revoked bool
	}{
		{"nothing revoked", crl(t, ca, time.Hour), "", false},
		{"revoked", crl(t, ca, time.Hour, plc.SerialNumber), "", true},
		{"another authority's", crl(t, authority(t), time.Hour), `listeners[0].tls.crl[0]: the CRL of "CN=clients" is signed by none of the authorities in client_ca`, false},
		{"out of date", crl(t, ca, -time.Hour), `listeners[0].tls.crl[0]: the CRL of "CN=clients" is out of date since`, false},
	} {
		put("ca.crl", step.list)
		b, err := load(path, nil, sh, nil)
		if step.want != "" {
			if err == nil || !strings.Contains(err.Error(), step.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want %s", step.name, err, step.want)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err := b.policies[0].TLS.Recheck(t.Context(), []*x509.Certificate{plc}); (err != nil) != step.revoked {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	put("ca.crt", []byte("no authority"))
	_, err = load(path, nil, sh, nil)
	if want := "listeners[0].tls.client_ca: no certificate in PEM form in it"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("without an authority: %v, want %s alone", err, want)
	}
}
