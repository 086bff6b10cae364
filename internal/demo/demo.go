// Package demo plays the main job on one machine without anything installed:
// an embedded broker that lets everybody do everything stands for the legacy
// one, and mqttward in front of it, with a test CA and the policy of the
// README.
//
// The broker library is in the demo only; nothing of it is in the proxy.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/spf13/pflag"

	"github.com/mqttward/mqttward/internal/app"
	"github.com/mqttward/mqttward/internal/pki"
)

// The users of the demo. Their passwords are no secret: the demo listens on
// loopback only and its files go with it.
var passwords = map[string]string{
	"sensor_01":     "sensor-secret",
	"dashboard_app": "dashboard-secret",
	"controller":    "controller-secret",
}

const configuration = `# The demo's configuration; see configs/ for ones to start from.
listeners:
  - name: mqtts
    address: "127.0.0.1:0"
    tls:
      certificates:
        - {cert: server.crt, key: server.key}
backends:
  - {name: legacy, servers: [{address: %q}]}
authn:
  - {name: users, type: password, file: users.passwd}
authz:
  rules:
    - {name: sensor writes, users: [sensor_01], allow: [publish], topics: ["data/sensor01/temp"]}
    - {name: dashboard reads, users: [dashboard_app], allow: [subscribe], topics: ["data/+/+"]}
    - {name: controller commands, users: [controller], allow: [publish, subscribe], topics: ["command/zone1"]}
    - {name: nobody reboots, deny: [publish, subscribe], topics: ["system/#"]}
limits:
  publish_rate: {rate: 50, burst: 50, action: delay}
admin: {address: "127.0.0.1:0"}
log: {level: warn, audit: audit.log}
`

// Demo is a running demo.
type Demo struct {
	dir    string
	broker *mochi.Server
	app    *app.App
	out    io.Writer

	brokerAddr string
	proxyAddr  string
}

// Run sets the demo up in a temporary folder, plays its story to out and stays
// until ctx ends.
func Run(ctx context.Context, out io.Writer, b app.Build) error {
	d := &Demo{out: out}
	err := d.start(b)
	if err == nil {
		err = d.story(ctx)
	}
	if err == nil {
		d.tryIt()
		select {
		case <-ctx.Done():
		case <-d.app.Stopping():
		}
		_, err = fmt.Fprintln(out, "\nThe demo ends.")
	}
	return errors.Join(err, d.stop())
}

func (d *Demo) start(b app.Build) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "mqttward-demo-"); err != nil {
		return err
	}
	if err := d.startBroker(); err != nil {
		return err
	}
	path, err := d.writeFiles()
	if err != nil {
		return err
	}
	if d.app, err = app.Start(path, pflag.NewFlagSet("demo", pflag.ContinueOnError), b); err != nil {
		return err
	}
	d.proxyAddr = d.app.Addrs()[0].String()
	return nil
}

// startBroker starts the legacy broker: no TLS, no passwords, no rules.
func (d *Demo) startBroker() error {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.brokerAddr = socket.Addr().String()
	d.broker = mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := d.broker.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if err := d.broker.AddListener(listeners.NewNet("legacy", socket)); err != nil {
		return err
	}
	return d.broker.Serve()
}

// writeFiles writes certificates, users and the configuration, whose path it
// returns.
func (d *Demo) writeFiles() (string, error) {
	ca, err := pki.NewCA("mqttward demo CA")
	if err != nil {
		return "", err
	}
	cert, key, err := ca.Issue(pki.Options{CN: "localhost", DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(pki.Write(d.dir, "ca", ca.PEM(), nil), pki.Write(d.dir, "server", cert, key)); err != nil {
		return "", err
	}
	for user, secret := range passwords {
		if err := app.SetPassword(d.file("users.passwd"), user, "argon2id", []byte(secret)); err != nil {
			return "", err
		}
	}
	path := d.file("mqttward.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, configuration, d.brokerAddr), 0o600)
}

func (d *Demo) file(name string) string { return filepath.Join(d.dir, name) }

func (d *Demo) stop() error {
	var err error
	if d.app != nil {
		err = d.app.Shutdown()
	}
	if d.broker != nil {
		err = errors.Join(err, d.broker.Close())
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

func (d *Demo) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }
