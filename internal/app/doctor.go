package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/proxy/backend"
)

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 30 * 24 * time.Hour

// The grades of a Finding.
const (
	GradeOK   = "ok"
	GradeWarn = "warn"
	GradeFail = "fail"
)

// Finding is one result of Doctor.
type Finding struct{ Grade, Text string }

// Doctor probes a deployment: whether the broker is there, what it is, whether
// clients reach it around the proxy, which certificates end soon, and what is weak
// in the configuration at path. It sends packets to the broker alone.
func Doctor(ctx context.Context, path string, flags *pflag.FlagSet) ([]Finding, error) {
	e, err := NewExplainer(path, flags)
	if err != nil {
		return nil, err
	}
	d := &doctor{built: e.built}
	d.reach(ctx)
	d.around()
	d.certificates(time.Now())
	for _, w := range e.built.config.Warnings() {
		d.note(GradeWarn, "%s", w)
	}
	return d.findings, nil
}

// doctor collects findings.
type doctor struct {
	built    *built
	findings []Finding
	listed   []string // versions whose defects are among these
}

func (d *doctor) note(grade, format string, args ...any) {
	d.findings = append(d.findings, Finding{grade, fmt.Sprintf(format, args...)})
}

// reach dials each server and asks what it is.
func (d *doctor) reach(ctx context.Context) {
	for _, pool := range d.built.pools {
		if err := pool.Locate(ctx); err != nil {
			d.note(GradeWarn, "backend %s: %v", pool.Name(), err)
		}
		servers := pool.Servers()
		if len(servers) == 0 {
			d.note(GradeFail, "backend %s: no server is found", pool.Name())
		}
		for _, s := range servers {
			d.reachServer(ctx, s)
		}
	}
}

func (d *doctor) reachServer(ctx context.Context, s *backend.Server) {
	dial, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := s.Dial(dial)
	if err != nil {
		d.note(GradeFail, "broker %s: %v", s.Name(), err)
		return
	}
	_ = conn.Close()
	d.note(GradeOK, "broker %s: reached", s.Name())
	text, err := serverVersion(ctx, s)
	if err != nil {
		d.note(GradeWarn, "broker version: %v; the profile is %s", err, d.built.profile("").Name)
		return
	}
	holds, own := d.built.profile(text).Name, profileOf(text).Name
	d.note(GradeOK, "broker version: %s, profile %s", text, holds)
	if holds != own {
		d.note(GradeWarn, "broker_profile: %s is configured; auto would be %s", holds, own)
	}
	if !slices.Contains(d.listed, text) { // servers of one version need but one list
		d.listed = append(d.listed, text)
		d.defects(text)
	}
}

// defects lists the known defects of the broker's version.
func (d *doctor) defects(text string) {
	v, ok := strict.ParseVersion(text)
	if !ok {
		d.note(GradeWarn, "no list of this broker's known defects is kept")
		return
	}
	grades := map[strict.Shield]string{strict.Not: GradeFail, strict.Partly: GradeWarn, strict.Whole: GradeOK}
	for _, defect := range defectsOf(v, d.built.means(d.built.profile(text))) {
		d.note(grades[defect.shield], "%s", defect.line())
	}
}

// around says whether clients can reach brokers without the proxy.
func (d *doctor) around() {
	for _, b := range d.built.config.Backends {
		for _, s := range b.Servers {
			d.aroundTo(s.Address)
		}
	}
}

func (d *doctor) aroundTo(address configs.Address) {
	if !address.Local() {
		d.note(GradeWarn, "the broker is on the network: nothing here can tell whether clients reach it around the proxy; a firewall has to see to it")
		return
	}
	network, target := address.Split()
	if network == "unix" {
		d.note(GradeOK, "the broker is behind a socket of this machine")
		return
	}
	open := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, at := range listening(string(data), target[strings.LastIndexByte(target, ':')+1:]) {
			if d.ours(at) {
				continue
			}
			open = true
			d.note(GradeWarn, "something listens on %s, the broker perhaps: clients reach it around the proxy (Mosquitto: listener PORT 127.0.0.1)", at)
		}
	}
	if !open {
		d.note(GradeOK, "nobody listens on the broker's port but on loopback")
	}
}

// ours reports whether at is the address of a listener of the configuration.
func (d *doctor) ours(at netip.AddrPort) bool {
	for _, l := range d.built.config.Listeners {
		_, address := l.Address.Split()
		own, err := netip.ParseAddrPort(address)
		if err == nil && own.Port() == at.Port() && own.Addr().Unmap() == at.Addr().Unmap() {
			return true
		}
	}
	return false
}

// certificates warns of those that end soon.
func (d *doctor) certificates(now time.Time) {
	for i, l := range d.built.config.Listeners {
		if l.TLS == nil {
			continue
		}
		path := fmt.Sprintf("listeners[%d].tls", i)
		for j, pair := range l.TLS.Certificates {
			d.certificate(now, fmt.Sprintf("%s.certificates[%d]", path, j), pair.Cert)
		}
		if l.TLS.ClientCA != "" {
			d.certificate(now, path+".client_ca", l.TLS.ClientCA)
		}
	}
}

func (d *doctor) certificate(now time.Time, path, file string) {
	list, err := certificatesIn(file)
	if err != nil {
		d.note(GradeFail, "%s: %v", path, err)
		return
	}
	for _, c := range list {
		grade, text := expiry(now, c)
		d.note(grade, "%s: %q %s", path, c.Subject.CommonName, text)
	}
}

func expiry(now time.Time, c *x509.Certificate) (grade, text string) {
	day := c.NotAfter.Format(time.DateOnly)
	switch left := c.NotAfter.Sub(now); {
	case now.Before(c.NotBefore):
		return GradeFail, "is not valid before " + c.NotBefore.Format(time.DateOnly)
	case left < 0:
		return GradeFail, "has expired on " + day
	case left < expiresSoon:
		return GradeWarn, "expires on " + day
	}
	return GradeOK, "is valid until " + day
}
