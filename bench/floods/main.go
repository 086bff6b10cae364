// Command floods attacks mqttward, and measures what honest clients, the
// broker and the proxy feel of it.
//
// For each attack it starts a Mosquitto, has honest clients use it over TLS,
// and attacks it for some seconds: once without a proxy, and once through
// mqttward with its default limits. All goes over loopback; attackers and
// honest clients have addresses of their own in 127.0.0.0/8. It needs Linux.
//
// It prints tables, and for each attack whether the proxy reached the bar of
// bar.go. A bar that is missed is a finding, and the exit code is 0; it is 1
// when something could not be measured. docs/floods.md describes the attacks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// attackerVerb is the argument of a process of attackers, which is this
// program, too.
const attackerVerb = "attackers"

type options struct {
	time   time.Duration
	proxy  string
	only   string
	json   string
	direct bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	var err error
	if len(os.Args) == 2 && os.Args[1] == attackerVerb {
		err = attackOrders(ctx, os.Stdin, os.Stdout)
	} else {
		var o options
		flag.DurationVar(&o.time, "time", 10*time.Second, "how long an attack lasts")
		flag.StringVar(&o.proxy, "proxy", "bin/mqttward", "the build of mqttward to attack")
		flag.StringVar(&o.only, "only", "", "attack only in ways whose names hold this `text`")
		flag.BoolVar(&o.direct, "direct", true, "attack the broker without the proxy, too")
		flag.StringVar(&o.json, "json", "", "write every single figure to this `file`, too")
		flag.Parse()
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "floods:", err)
		os.Exit(1)
	}
}

// run sets everything up, attacks, prints and takes everything away.
func run(ctx context.Context, o options) error {
	// Debian puts servers where only root looks.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin"); err != nil {
		return err
	}
	if err := rig.RaiseFiles(); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	dir, err := os.MkdirTemp("", "mqttward-floods-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	s, err := newSite(ctx, dir, o.proxy)
	if err != nil {
		return err
	}
	r := &report{
		Command: strings.Join(append([]string{"floods"}, os.Args[1:]...), " "),
		Machine: "load and attackers: " + rig.Machine(),
	}
	proxy, err := exec.CommandContext(ctx, o.proxy, "version").Output() //nolint:gosec // G204: the user's choice
	if err != nil {
		return err
	}
	broker, _ := exec.CommandContext(ctx, "mosquitto", "-h").Output() // which ends as if it had failed
	r.Proxy, r.Broker = o.proxy+": "+firstLine(proxy), firstLine(broker)
	failed := r.attackAll(ctx, s, o)
	if failed != nil {
		r.Failed = strings.Split(failed.Error(), "\n")
	}
	r.print(os.Stdout)
	if o.json != "" {
		failed = errors.Join(failed, r.write(o.json))
	}
	return failed
}

// attackAll makes all trials. One that fails does not end the others.
func (r *report) attackAll(ctx context.Context, s *site, o options) (failed error) {
	for _, a := range append([]*attack{nil}, chosen(o.only)...) {
		for _, proxied := range []bool{false, true} {
			if !proxied && !o.direct {
				continue
			}
			t := &result{Proxied: proxied}
			if a != nil {
				t.Attack = a.name
			}
			fmt.Fprintf(os.Stderr, "%s, in front: %s\n", t.attack(), t.front())
			found, err := s.attempt(ctx, a, proxied, o.time)
			if ctx.Err() != nil {
				return errors.Join(failed, ctx.Err())
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s, in front: %s: %w", t.attack(), t.front(), err))
				continue
			}
			fmt.Fprintf(os.Stderr, "\thonest: %s; lost %d, p99 %.1f ms; attackers: %+v, %d packets arrived\n",
				found.Known.String(), found.Lost, found.Deliveries.P99, found.Attackers, found.Arrived)
			r.Trials = append(r.Trials, found)
		}
	}
	return failed
}
