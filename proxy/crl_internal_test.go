package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

func TestRevocations(t *testing.T) {
	now := time.Now()
	cert := func(issuer string, serial int64) *x509.Certificate {
		return &x509.Certificate{RawIssuer: []byte(issuer), SerialNumber: big.NewInt(serial)}
	}
	list := func(issuer string, until time.Duration, serials ...int64) *x509.RevocationList {
		l := &x509.RevocationList{RawIssuer: []byte(issuer), NextUpdate: now.Add(until)}
		for _, s := range serials {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s)})
		}
		return l
	}
	type chain = []*x509.Certificate
	direct := chain{cert("root", 1000), cert("root", 1)}
	long := chain{cert("line", 1000), cert("root", 2), cert("root", 1)}
	anchored := chain{cert("line", 1000), cert("root", 2)} // the root is not among those trusted
	type lists = []*x509.RevocationList
	tests := []struct {
		name   string
		lists  lists
		chains []chain
		ok     bool
	}{
		{"no list", nil, []chain{direct}, true},
		{"an empty list", lists{list("root", time.Hour)}, []chain{direct}, true},
		{"others are revoked", lists{list("root", time.Hour, 999, 0x3e8000, 3)}, []chain{direct}, true},
		{"the same number of another authority", lists{list("line", time.Hour, 1000)}, []chain{direct}, true},
		{"revoked", lists{list("root", time.Hour, 3, 1000)}, []chain{direct}, false},
		{"revoked in the second list", lists{list("root", time.Hour), list("root", time.Hour, 1000)}, []chain{direct}, false},
		{"revoked in the first list", lists{list("root", time.Hour, 1000), list("root", time.Hour)}, []chain{direct}, false},
		{"its authority is revoked", lists{list("root", time.Hour, 2)}, []chain{long}, false},
		{"its authority is revoked and trusted", lists{list("root", time.Hour, 2)}, []chain{anchored}, false},
		{"the root is revoked", lists{list("root", time.Hour, 1)}, []chain{long}, false},
		{"one way of two is revoked", lists{list("root", time.Hour, 2)}, []chain{long, {cert("line", 1000), cert("other", 2)}}, true},
		{"both ways are revoked", lists{list("line", time.Hour, 1000)}, []chain{long, {cert("line", 1000), cert("other", 2)}}, false},
		{"out of date", lists{list("root", -time.Second)}, []chain{direct}, false},
		{"the last moment", lists{list("root", 0)}, []chain{direct}, true},
		{"the second is out of date", lists{list("root", time.Hour), list("root", -time.Second)}, []chain{direct}, false},
		{"another's is out of date", lists{list("line", -time.Second)}, []chain{direct}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := clientAuth{revoked: newRevocations(tt.lists)}
			if err := a.verifyChains(t.Context(), tt.chains, now); (err == nil) != tt.ok {
				t.Errorf("error %v, want accepted: %v", err, tt.ok)
			}
		})
	}
}

// TestRecheckWithoutCertificates: a listener that no longer asks for
// certificates vouches for none.
func TestRecheckWithoutCertificates(t *testing.T) {
	shown := []*x509.Certificate{{}}
	for name, on := range map[string]*TLS{"plaintext": nil, "TLS": NewTLS(TLSOptions{ClientAuth: tls.NoClientCert})} {
		if err := on.Recheck(t.Context(), nil); err != nil {
			t.Errorf("%s: a client without a certificate: %v", name, err)
		}
		if on.Recheck(t.Context(), shown) == nil {
			t.Errorf("%s: a certificate that nobody verifies is accepted", name)
		}
	}
}
