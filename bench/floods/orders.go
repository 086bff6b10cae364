package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// plan is what a process of attackers is told.
type plan struct {
	Attack    string
	Address   string // of the victim
	Authority string // PEM, of the victim's certificate
	Duration  time.Duration
}

// tally is what the attackers have done.
type tally struct {
	Attempts int64 // connections that they tried to open
	Opened   int64 // of which TCP was established
	Logins   int64 // that were accepted
	Packets  int64 // that they wrote after that
	Bytes    int64 // of those

	Unanswered int64 // CONNECTs to which there was no answer
}

// attackWith has a process of its own carry out p: attackers compete for the
// processors with everybody, and not with honest clients for one process's
// share.
func attackWith(ctx context.Context, r *result, p plan) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	orders, err := json.Marshal(p)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, p.Duration+rig.Grace)
	defer stop()
	cmd := exec.CommandContext(ctx, self, attackerVerb) //nolint:gosec // G204: it is this program
	cmd.Stdin, cmd.Stderr = bytes.NewReader(orders), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("attackers: %w", err)
	}
	usage := cmd.ProcessState
	r.AttackersCPU = (usage.UserTime() + usage.SystemTime()).Seconds()
	return json.Unmarshal(out, &r.Attackers)
}

// attackOrders reads a plan, carries it out and writes the tally: it is all
// that the process of the attackers does.
func attackOrders(ctx context.Context, in io.Reader, out io.Writer) error {
	var p plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return err
	}
	if err := rig.RaiseFiles(); err != nil {
		return err
	}
	a := attackNamed(p.Attack)
	if a == nil {
		return fmt.Errorf("no such attack: %q", p.Attack)
	}
	t, err := besiege(ctx, a, p)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}
