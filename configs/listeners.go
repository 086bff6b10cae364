package configs

import "slices"

func (l *loader) listeners(backends, methods []string) {
	c := &l.cfg
	if len(c.Listeners) == 0 {
		l.missing("listeners", "is required: the addresses at which clients arrive")
	}
	for i, s := range c.Listeners {
		path := item("listeners", i)
		l.listenAddress(path, s.Address, c.Listeners[:i])
		l.socketMode(key(path, "mode"), s.Address, s.Mode)
		l.webSocket(path, s)
		l.privacy(path, s)
		l.balancers(key(path, "proxy_protocol"), s)
		l.backendOf(path, s, backends)
		if s.Authn != nil && len(s.Authn) == 0 {
			l.fail(key(path, "authn"), "is an empty list: nobody could log in; left out, all methods are used")
		}
		for j, name := range s.Authn {
			l.refer(item(key(path, "authn"), j), "authn method", name, methods)
		}
	}
}

func (l *loader) listenAddress(path string, a Address, before []Listener) {
	at := key(path, "address")
	if a == "" {
		l.missing(at, "is required")
		return
	}
	if a.port() == "0" { // the kernel picks another each time
		return
	}
	if a == l.cfg.Admin.Address {
		l.fail(at, "is the address of admin too")
	}
	if other := slices.IndexFunc(before, func(s Listener) bool { return s.Address == a }); other >= 0 {
		l.fail(at, "is the address of %s too", item("listeners", other))
	}
}

// privacy sees to it that nobody is in the clear without having said so.
func (l *loader) privacy(path string, s Listener) {
	at := key(path, "tls")
	switch {
	case s.TLS != nil && s.InsecurePlaintext:
		l.fail(key(path, "insecure_plaintext"), "contradicts tls: keep one of them")
	case s.TLS != nil:
		l.tls(at, s.TLS)
	case s.Address == "" || s.Address.Local() || s.InsecurePlaintext || l.unsure(key(path, "insecure_plaintext")):
	default:
		l.missing(at, "is required on %s, which is not loopback (insecure_plaintext: true does without)", s.Address)
	}
}

// balancers sees to it that nobody is believed who was not meant.
func (l *loader) balancers(path string, s Listener) {
	at := key(path, "trusted")
	switch b := s.ProxyProtocol; {
	case b == nil || s.Address == "" || l.unsure(at):
	case s.Address.Unix() && b.Trusted != nil:
		l.fail(at, "has no effect on a Unix socket, whose peers have no addresses: whoever may open it is trusted")
	case !s.Address.Unix() && len(b.Trusted) == 0:
		l.missing(at, "is required: the addresses of the balancers, as in [10.0.0.5/32]")
	}
}

func (l *loader) tls(path string, t *TLS) {
	if len(t.Certificates) == 0 {
		l.missing(key(path, "certificates"), "is required: a list of {cert, key}")
	}
	for i, pair := range t.Certificates {
		at := item(key(path, "certificates"), i)
		if pair.Cert == "" {
			l.missing(key(at, "cert"), "is required")
		}
		if pair.Key == "" {
			l.missing(key(at, "key"), "is required")
		}
	}
	l.sessionTickets(key(path, "session_tickets"), &t.SessionTickets)
	if l.unsure(key(path, "client_auth")) {
		return
	}
	switch asks := t.ClientAuth != ClientAuthNone; {
	case asks && t.ClientCA == "":
		l.missing(key(path, "client_ca"), "is required for client_auth: %s", t.ClientAuth)
	case !asks && t.ClientCA != "":
		// Somebody who names a CA believes that certificates are checked.
		l.fail(key(path, "client_ca"), "has no effect without client_auth: optional or required")
	}
	if t.ClientAuth == ClientAuthNone {
		for _, idle := range []struct {
			name string
			set  bool
		}{{"crl", t.CRL != nil}, {"ocsp", t.OCSP != OCSPOff}} {
			if idle.set {
				l.fail(key(path, idle.name), "has no effect without client_auth: optional or required")
			}
		}
	}
	l.ocsp(path, t)
	for i, name := range t.CRL {
		if name == "" {
			l.fail(item(key(path, "crl"), i), "wants the name of a file")
		}
	}
}
