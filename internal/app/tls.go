package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/proxy"
)

var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

var clientAuth = map[string]tls.ClientAuthType{
	configs.ClientAuthNone:     tls.NoClientCert,
	configs.ClientAuthOptional: tls.VerifyClientCertIfGiven,
	configs.ClientAuthRequired: tls.RequireAndVerifyClientCert,
}

func (b *builder) buildTLS() {
	for i, l := range b.config.Listeners {
		var t *proxy.TLS
		if l.TLS != nil {
			t = b.listenerTLS(fmt.Sprintf("listeners[%d].tls", i), l.TLS)
		}
		b.tls = append(b.tls, t)
	}
}

func (b *builder) listenerTLS(path string, t *configs.TLS) *proxy.TLS {
	o := proxy.TLSOptions{MinVersion: tlsVersions[t.MinVersion], ClientAuth: clientAuth[t.ClientAuth]}
	for i, pair := range t.Certificates {
		cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			// crypto/tls names its package, which says nothing to an operator.
			b.fail(fmt.Sprintf("%s.certificates[%d]", path, i), errors.New(strings.TrimPrefix(err.Error(), "tls: ")))
			continue
		}
		o.Certificates = append(o.Certificates, cert)
	}
	var authorities []*x509.Certificate
	if t.ClientCA != "" {
		o.ClientCAs = x509.NewCertPool()
		data, err := os.ReadFile(t.ClientCA)
		if err == nil && !o.ClientCAs.AppendCertsFromPEM(data) {
			err = errors.New("no certificate in PEM form in it")
		}
		if err != nil {
			b.fail(path+".client_ca", err)
		}
		authorities = certificatesIn(data)
	}
	for i, file := range t.CRL {
		lists, err := loadCRLs(file, authorities)
		if err != nil {
			b.fail(fmt.Sprintf("%s.crl[%d]", path, i), err)
		}
		o.CRLs = append(o.CRLs, lists...)
	}
	return proxy.NewTLS(o)
}

// certificatesIn returns the certificates in PEM data; others are passed over, as
// x509.CertPool does.
func certificatesIn(data []byte) (list []*x509.Certificate) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			list = append(list, c)
		}
	}
	return list
}

// loadCRLs reads the revocation lists in a file, in PEM or DER. Each has to be
// signed by one of the authorities and be up to date: a list that cannot be
// relied on revokes nothing, and that is not for us to decide.
func loadCRLs(file string, authorities []*x509.Certificate) ([]*x509.RevocationList, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	encoded := [][]byte{data}
	if block, rest := pem.Decode(data); block != nil {
		for encoded = nil; block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "X509 CRL" {
				encoded = append(encoded, block.Bytes)
			}
		}
		if encoded == nil {
			return nil, errors.New("no revocation list in it")
		}
	}
	var lists []*x509.RevocationList
	for _, der := range encoded {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, errors.New("no revocation list in PEM or DER form")
		}
		signs := func(c *x509.Certificate) bool { return list.CheckSignatureFrom(c) == nil }
		switch {
		case !slices.ContainsFunc(authorities, signs):
			return nil, errors.New("the revocation list is not signed by a CA of client_ca")
		case time.Now().After(list.NextUpdate):
			return nil, fmt.Errorf("the revocation list is out of date since %s", list.NextUpdate.Format(time.RFC3339))
		}
		lists = append(lists, list)
	}
	return lists, nil
}
