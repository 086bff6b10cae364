package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/ocsp"
	"github.com/mqttward/mqttward/proxy"
)

// maxQuestion is how long a responder has for an answer, and questionsPerHandshake
// how many that give none leave a client time to get in, where it may.
const (
	maxQuestion           = 2 * time.Second
	questionsPerHandshake = 4
)

func (b *builder) buildOCSP(path string, t *configs.TLS, o *proxy.TLSOptions) {
	cas, err := poolIn(t.OCSPCA)
	if err != nil {
		b.fail(path+".ocsp_ca", err)
		return
	}
	how := ocsp.Options{URL: t.OCSPURL, CAs: cas, Timeout: maxQuestion}
	if limit := b.config.Limits.HandshakeTimeout; limit > 0 {
		how.Timeout = min(how.Timeout, limit/questionsPerHandshake)
	}
	if t.OCSP != configs.OCSPOff {
		o.Status = ocsp.NewChecker(ocsp.CheckerOptions{
			Options: how, Hard: t.OCSP == configs.OCSPHard, Unanswered: b.shared.unanswered,
		}).Check
	}
	if t.Staple && len(o.Certificates) == len(t.Certificates) { // else a mistake is known
		o.Staple = b.staple(path, how, o.Certificates)
	}
}

// staple prepares the answers about our own certificates. They are fetched once the
// configuration is in force.
func (b *builder) staple(path string, how ocsp.Options, certs []tls.Certificate) func(i int) []byte {
	staples := make([]*ocsp.Staple, len(certs))
	for i := range certs {
		s, err := ocsp.NewStaple(how, &certs[i])
		if err != nil {
			b.fail(fmt.Sprintf("%s.certificates[%d].cert", path, i), err)
			continue
		}
		staples[i] = s
		b.staples = append(b.staples, s)
	}
	return func(i int) []byte { return staples[i].Answer() }
}

// inheritStaples keeps the answers of last, so that a reload leaves no gap.
func (b *builder) inheritStaples(last *built) {
	for _, s := range b.staples {
		for _, before := range last.staples {
			s.Inherit(before)
		}
	}
}

// unanswered notes a certificate that was accepted though nobody could say whether it
// is revoked.
func (a *App) unanswered(err error) {
	a.metrics.OCSPUnanswered()
	a.warnUnanswered.Do(func() {
		a.logs.Log.Warn("client certificates are accepted without an answer of OCSP (ocsp: soft)", "error", err)
	})
}

// keepStaples fetches the answers about the certificates of b from now on. What an
// earlier call has begun ends.
func (a *App) keepStaples(b *built) {
	if a.stopStaple != nil {
		a.stopStaple()
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stopStaple = cancel
	for _, s := range b.staples {
		a.serving.Go(func() { s.Run(ctx, a.logs.Log) })
	}
}
