package proxy

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

// revocations are what authorities have revoked, by the encoded name of the
// authority. Its name and the serial number tell a certificate from all others
// (RFC 5280 section 4.1.2.2); the keys that it has had share its lists.
type revocations map[string]*revocation

type revocation struct {
	serials map[string]struct{} // the bytes of the numbers
	until   time.Time           // when the first of the lists is out of date
}

func newRevocations(lists []*x509.RevocationList) revocations {
	all := revocations{}
	for _, list := range lists {
		r, known := all[string(list.RawIssuer)]
		if !known {
			r = &revocation{serials: map[string]struct{}{}, until: list.NextUpdate}
			all[string(list.RawIssuer)] = r
		}
		if list.NextUpdate.Before(r.until) {
			r.until = list.NextUpdate
		}
		for _, entry := range list.RevokedCertificateEntries {
			r.serials[serial(entry.SerialNumber)] = struct{}{}
		}
	}
	return all
}

func serial(n *big.Int) string { return string(n.Bytes()) }

// verifyChain looks at every certificate of the chain, its end too: an
// authority that another has revoked may itself be among those trusted. An
// authority without a list has revoked nothing; one whose list is out of date
// may have revoked anything.
func (all revocations) verifyChain(chain []*x509.Certificate, now time.Time) error {
	for _, c := range chain {
		r, known := all[string(c.RawIssuer)]
		if !known {
			continue
		}
		if now.After(r.until) {
			return fmt.Errorf("the CRL of %q is out of date since %s: none of its certificates is accepted", c.Issuer, r.until.UTC().Format(time.RFC3339))
		}
		if _, revoked := r.serials[serial(c.SerialNumber)]; revoked {
			return fmt.Errorf("certificate %x of %q is revoked", c.SerialNumber, c.Issuer)
		}
	}
	return nil
}
