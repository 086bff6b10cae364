package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	for i := range b.config.Listeners {
		var t *proxy.TLS
		if l := &b.config.Listeners[i]; l.TLS != nil {
			t = b.listenerTLS(fmt.Sprintf("listeners[%d].tls", i), l)
		}
		b.tls = append(b.tls, t)
	}
}

func (b *builder) listenerTLS(path string, l *configs.Listener) *proxy.TLS {
	t := l.TLS
	o := proxy.TLSOptions{MinVersion: tlsVersions[t.MinVersion], ClientAuth: clientAuth[t.ClientAuth], Tickets: b.tickets(path, l)}
	for i, pair := range t.Certificates {
		cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			// crypto/tls names its package, which says nothing to an operator.
			b.fail(fmt.Sprintf("%s.certificates[%d]", path, i), errors.New(strings.TrimPrefix(err.Error(), "tls: ")))
			continue
		}
		o.Certificates = append(o.Certificates, cert)
	}
	if t.ClientCA != "" {
		b.clientCAs(path, t, &o)
	}
	b.buildOCSP(path, t, &o)
	return proxy.NewTLS(o)
}

func (b *builder) clientCAs(path string, t *configs.TLS, o *proxy.TLSOptions) {
	cas, err := certificatesIn(t.ClientCA)
	if err != nil {
		b.fail(path+".client_ca", err)
		return
	}
	o.ClientCAs = x509.NewCertPool()
	for _, ca := range cas {
		o.ClientCAs.AddCert(ca)
	}
	for i, file := range t.CRL {
		lists, err := loadCRLs(file, cas, time.Now())
		if err != nil {
			b.fail(fmt.Sprintf("%s.crl[%d]", path, i), err)
			continue
		}
		o.CRLs = append(o.CRLs, lists...)
	}
}
