package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/template"
)

// software is a program that can stand in front of the sink.
type software struct {
	command []string // its last argument, the configuration file, is left out
	version string   // the argument with which it prints its version
	config  string   // template of a setting
}

// setting is what a configuration is made of.
type setting struct {
	Address string // at which it serves TLS
	Sink    string // address of the broker behind it
	Dir     string // of server.crt, server.key, server.pem with both, and all that it writes
	File    string // the configuration itself
}

// Port is the port of Address.
func (s setting) Port() string { return s.Address[strings.LastIndexByte(s.Address, ':')+1:] }

// Module is the file of nginx's module for streams where Debian has it, and ""
// where there is none, and nginx was perhaps built with it.
func (setting) Module() string {
	const file = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// others are the programs beside mqttward: one thread or worker each, where
// that is a choice, TLS 1.3 with tickets, and nothing logged.
var others = map[string]software{
	"haproxy":   {[]string{"haproxy", "-db", "-f"}, "-v", haproxyConfig},
	"nginx":     {[]string{"nginx", "-e", "stderr", "-c"}, "-v", nginxConfig},
	"stunnel":   {[]string{"stunnel4"}, "-version", stunnelConfig},
	"mosquitto": {[]string{"mosquitto", "-c"}, "-h", mosquittoConfig},
}

const haproxyConfig = `global
  nbthread 1
  maxconn 5000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-curves X25519
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen mqtts
  bind {{.Address}} ssl crt {{.Dir}}/server.pem
  server sink {{.Sink}}
`

const nginxConfig = `{{with .Module}}load_module {{.}};
{{end}}daemon off;
worker_processes 1;
worker_rlimit_nofile 12000;
pid {{.File}}.pid;
error_log stderr crit;
events { worker_connections 10000; }
stream {
  server {
    listen {{.Address}} ssl;
    ssl_certificate {{.Dir}}/server.crt;
    ssl_certificate_key {{.Dir}}/server.key;
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_tickets on;
    proxy_pass {{.Sink}};
    proxy_connect_timeout 5s;
    proxy_timeout 1h;
  }
}
`

const stunnelConfig = `foreground = yes
pid =
syslog = no
debug = crit
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[mqtts]
accept = {{.Address}}
connect = {{.Sink}}
cert = {{.Dir}}/server.pem
sslVersionMin = TLSv1.3
curves = X25519
TIMEOUTidle = 3600
`

// mosquittoConfig is of a broker that serves TLS itself: there is no sink
// behind it. As the sink, it lets everybody do everything.
const mosquittoConfig = `user root
listener {{.Port}} 127.0.0.1
certfile {{.Dir}}/server.crt
keyfile {{.Dir}}/server.key
tls_version tlsv1.3
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
sys_interval 0
persistence false
log_type none
`

// configure returns the configuration for a setting.
func (s software) configure(at setting) ([]byte, error) {
	t, err := template.New("config").Parse(s.config)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, at)
	return b.Bytes(), err
}

// printed returns the version of the program: the first line with a digit of
// what it prints about itself, to wherever and with whatever exit code.
func (s software) printed(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, s.command[0], s.version).CombinedOutput() //nolint:gosec // G204: the user's choice
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	for line := range strings.Lines(string(output)) {
		if strings.ContainsAny(line, "0123456789") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", fmt.Errorf("%s %s prints no version", s.command[0], s.version)
}
