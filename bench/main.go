// Command bench measures what a proxy costs: the processor time that it takes
// per message, beside other proxies under the same load.
//
// It starts each proxy in front of the same sink broker on loopback, and runs
// the scenarios against one after the other, in rounds, so that a noisy
// machine disturbs all alike. Load and sink are this process; only the time of
// the proxies' own processes counts. It reads /proc, so it needs Linux.
//
// A proxy that cannot be started is named below the table, and the exit code
// is 1. One that fails under load ends the whole measurement.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
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
	flag.StringVar(&o.peers, "peers", "direct,haproxy,bin/mqttward", "whom to measure: direct is the sink itself; a path is a build of mqttward")
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
	dir, err := os.MkdirTemp("", "mqttward-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer sink.Close()
	go serveSink(sink)
	ctx, stop := context.WithCancel(ctx)
	l := &launcher{ctx: ctx, dir: dir, sink: sink.Addr().String()}
	defer l.processes.Wait()
	defer stop()
	if err := l.writeFiles(); err != nil {
		return err
	}
	peers, missing := l.start(o.peers)
	all, err := measureAll(ctx, peers, o)
	if err != nil {
		return errors.Join(err, missing)
	}
	printTable(os.Stdout, all)
	printSetting(os.Stdout, peers, missing)
	if o.json != "" {
		return errors.Join(writeJSON(o.json, all), missing)
	}
	return missing
}

// measureAll lets each scenario meet each peer in each round. The peers take
// turns in going first.
func measureAll(ctx context.Context, peers []*peer, o options) (all []measurement, err error) {
	chosen := slices.DeleteFunc(scenarios, func(s scenario) bool { return !strings.Contains(s.name, o.only) })
	for round := range o.rounds {
		for _, s := range chosen {
			for i := range peers {
				p := peers[(i+round)%len(peers)]
				fmt.Fprintf(os.Stderr, "round %d: %s: %s\n", round+1, s.name, p.name)
				m, err := s.measure(p, o.time)
				if err := errors.Join(err, ctx.Err()); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", p.name, s.name, err)
				}
				m.Round = round
				all = append(all, m)
			}
		}
	}
	return all, nil
}
