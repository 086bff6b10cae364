package configs

import (
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// Warnings returns what is allowed and weak, a line each, with its path. It
// looks at the permissions of the files, so the answer is of now.
func (c *Config) Warnings() []string {
	w := warnings{config: c}
	w.plaintext()
	w.plainRedis()
	w.everybody()
	w.balancers()
	w.relaxed()
	w.limits()
	w.drain()
	w.neverPass()
	w.permissions()
	w.found.Sort()
	lines := make([]string, len(w.found))
	for i, warning := range w.found {
		lines[i] = warning.Error()
	}
	return lines
}

type warnings struct {
	config *Config
	found  Errors
}

func (w *warnings) add(path, format string, args ...any) {
	w.found = append(w.found, w.config.Errorf(path, format, args...))
}

func (w *warnings) plaintext() {
	c := w.config
	for i, s := range c.Listeners {
		if s.TLS == nil && !s.Address.Local() {
			w.add(item("listeners", i), "no TLS: passwords and messages cross the network in the clear")
		}
	}
	for i, b := range c.Backends {
		if b.TLS != nil && b.TLS.InsecureSkipVerify {
			w.add(key(key(item("backends", i), "tls"), "insecure_skip_verify"), "anybody on the way can say to be the broker")
		}
		for j, server := range b.Servers {
			if t := b.TLS; server.SRV != "" && t != nil && t.ServerName == "" && t.CA == "" && !t.InsecureSkipVerify {
				w.add(key(item(key(item("backends", i), "servers"), j), "srv"),
					"the names that certificates have to be for come from the DNS, which can be forged: set tls.server_name, or a tls.ca of your own")
			}
			if !server.Address.Local() && b.TLS == nil {
				w.add(key(item(key(item("backends", i), "servers"), j), "address"),
					"not on this machine and no TLS: passwords and messages cross the network in the clear")
			}
		}
	}
	if c.Admin.Address != "" && !c.Admin.Address.Local() {
		w.add("admin.address", "no TLS: the token crosses the network in the clear")
	}
}

func (w *warnings) everybody() {
	c := w.config
	for i, m := range c.Authn {
		if m.Type == MethodAnonymous {
			w.add(item("authn", i), "anonymous: lets in clients that nobody knows")
		}
	}
	if len(c.Authz.Rules) == 0 && len(c.Authz.Files) == 0 {
		w.add("authz", "no rules: everything is denied")
	}
	if c.Authz.Mode == ModeMonitor {
		w.add("authz.mode", "monitor: nothing is denied, only reported")
	}
}

func (w *warnings) balancers() {
	for i, s := range w.config.Listeners {
		if s.ProxyProtocol == nil {
			continue
		}
		for j, trusted := range s.ProxyProtocol.Trusted {
			if trusted.Bits() == 0 {
				w.add(item(key(key(item("listeners", i), "proxy_protocol"), "trusted"), j), "%v is everybody: who connects can claim any address", trusted)
			}
		}
	}
}

func (w *warnings) relaxed() {
	w.config.Strict.each(func(path, check string) {
		w.add(path, "%s is not enforced: lets packets through that break it", check)
	})
}

func (w *warnings) limits() {
	for _, leaf := range leaves(reflect.ValueOf(&w.config.Limits).Elem(), "limits") {
		path, which := leaf.path, ""
		for _, suffix := range []string{".rate", ".burst", ".max", ".window", ".ban"} {
			if trimmed, ok := strings.CutSuffix(path, suffix); ok {
				path, which = trimmed, suffix
			}
		}
		// The rest of a bucket or a rule is 0 exactly if its rate or its max is.
		if leaf.value.IsZero() && (which == "" || which == ".rate" || which == ".max") {
			w.add(path, "0 means no limit")
		}
	}
	if l := &w.config.Limits; l.UserFlapping.Max > 0 && l.UserFlapping.Max < l.MaxConnectionsPerIdentity {
		w.add("limits.user_flapping", "max is below limits.max_connections_per_identity: bans a user whose clients all come back at once")
	}
}

// permissions warns of secrets that every user of the machine may read.
// Windows has no such permissions.
func (w *warnings) permissions() {
	if runtime.GOOS == "windows" {
		return
	}
	w.config.eachFile(func(path string, name *string) {
		public := strings.HasSuffix(path, ".cert") || strings.Contains(path, ".key_files[") || slices.Contains([]string{".jwks_file", ".device_keys", ".ca", ".ocsp_ca"}, path[max(0, strings.LastIndexByte(path, '.')):]) || strings.HasSuffix(path, ".client_ca") || strings.HasSuffix(path, ".schema") || strings.HasSuffix(parent(path), ".crl")
		info, err := os.Stat(*name)
		if err == nil && !public && info.Mode().Perm()&0o004 != 0 {
			w.add(path, "every user of this machine may read the file (mode %04o)", info.Mode().Perm())
		}
	})
}
