package app

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// certificatesIn returns the certificates in a PEM file. What else is in it is
// passed over, as crypto/x509 does.
func certificatesIn(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			certs = append(certs, c)
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM form in it")
	}
	return certs, nil
}

// loadCRLs reads the lists in a file, PEM or DER. Each must be signed by one of
// cas and be in date: of any other, nobody knows what it leaves out.
func loadCRLs(file string, cas []*x509.Certificate, now time.Time) ([]*x509.RevocationList, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	encoded, err := crlsIn(data)
	if err != nil {
		return nil, err
	}
	var lists []*x509.RevocationList
	for _, der := range encoded {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("not a CRL: %w", err)
		}
		if len(list.Raw) < len(der) { // crypto/x509 passes over it
			return nil, errors.New("holds something behind the CRL; more than one must be in PEM form")
		}
		if err := checkCRL(list, cas, now); err != nil {
			return nil, fmt.Errorf("the CRL of %q %w", list.Issuer, err)
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// crlsIn returns the lists in data as DER. A file is one or the other: a DER
// file has no PEM block in it.
func crlsIn(data []byte) ([][]byte, error) {
	var lists [][]byte
	begun := bytes.Count(data, []byte("-----BEGIN "))
	if begun == 0 {
		return [][]byte{data}, nil
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("holds a %s, which is no CRL", block.Type)
		}
		lists = append(lists, block.Bytes)
	}
	if len(lists) != begun { // encoding/pem passes over what is damaged
		return nil, fmt.Errorf("%d of its %d PEM blocks are damaged", begun-len(lists), begun)
	}
	return lists, nil
}

// checkCRL refuses critical extensions, since they make a list mean another
// thing: only what has changed, or only some of the certificates (RFC 5280
// section 5.2).
func checkCRL(list *x509.RevocationList, cas []*x509.Certificate, now time.Time) error {
	for _, e := range list.Extensions {
		if e.Critical {
			return fmt.Errorf("has the critical extension %s: only complete lists are understood", e.Id)
		}
	}
	switch {
	case !signedByOneOf(list, cas):
		return errors.New("is signed by none of the authorities in client_ca")
	case list.NextUpdate.IsZero():
		return errors.New("does not say until when it holds (nextUpdate)")
	case now.After(list.NextUpdate):
		return fmt.Errorf("is out of date since %s", list.NextUpdate.UTC().Format(time.RFC3339))
	case now.Before(list.ThisUpdate):
		return fmt.Errorf("is not valid before %s", list.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

func signedByOneOf(list *x509.RevocationList, cas []*x509.Certificate) bool {
	for _, ca := range cas {
		if bytes.Equal(list.RawIssuer, ca.RawSubject) && list.CheckSignatureFrom(ca) == nil {
			return true
		}
	}
	return false
}
