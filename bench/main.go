// Command bench measures what a proxy costs: the processor time that it takes
// per message, how long messages take, and its memory, beside other proxies
// under the same load.
//
// It starts each proxy in front of the same sink broker on loopback, and runs
// the scenarios against one after the other, in rounds, so that a noisy
// machine disturbs all alike. Load and sink are this process; only the time of
// the proxies' own processes counts. It needs Linux.
//
// A proxy that cannot be started, or fails under a load, is named below the
// tables, the rest is measured, and the exit code is 1. docs/performance.md
// describes the scenarios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

type options struct {
	rounds      int
	time        time.Duration
	peers, only string
	json        string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each scenario meets each peer")
	flag.DurationVar(&o.time, "time", 2*time.Second, "how long one measurement lasts")
	flag.StringVar(&o.peers, "peers", "direct,haproxy,nginx,stunnel,mosquitto,bin/mqttward", "whom to measure: direct is the sink itself; a path is a build of mqttward, of which there may be several")
	flag.StringVar(&o.only, "only", "", "measure only scenarios whose names hold this `text`")
	flag.StringVar(&o.json, "json", "", "write every single measurement to this `file`, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run sets everything up, measures, prints and takes everything away.
func run(ctx context.Context, o options) error {
	// Debian puts servers where only root looks.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin"); err != nil {
		return err
	}
	if err := rig.RaiseFiles(); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	dir, err := os.MkdirTemp("", "mqttward-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	broker := new(sink)
	go broker.serve(listener)
	ctx, stop := context.WithCancel(ctx)
	l := &launcher{ctx: ctx, dir: dir, sink: broker, address: listener.Addr().String()}
	defer l.processes.Wait()
	defer stop()
	if l.tls, err = rig.WriteKeys(dir); err != nil {
		return err
	}
	peers, missing := l.startAll(o.peers)
	all, failed, err := l.measureAll(peers, o)
	if err != nil {
		return errors.Join(err, missing)
	}
	failed = errors.Join(missing, failed)
	r := newReport(peers, all, failed)
	r.print(os.Stdout)
	if o.json != "" {
		failed = errors.Join(failed, r.write(o.json))
	}
	return failed
}
