package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mqttward/mqttward/bench/rig"
)

// report is all that a run has found, with what, and on what. As JSON it has
// every single measurement.
type report struct {
	Command      string
	Peers        []string // with their versions
	Machine      string
	Failed       []string
	Measurements []measurement
}

func newReport(peers []*peer, all []measurement, failed error) *report {
	r := &report{
		Command:      strings.Join(append([]string{"bench"}, os.Args[1:]...), " "),
		Machine:      rig.Machine(),
		Measurements: all,
	}
	for _, p := range peers {
		r.Peers = append(r.Peers, p.name+": "+p.version)
	}
	if failed != nil {
		r.Failed = strings.Split(strings.TrimSpace(failed.Error()), "\n")
	}
	return r
}

// print writes the tables and the notes below them.
func (r *report) print(w io.Writer) {
	printTables(w, r.Measurements)
	fmt.Fprintf(w, "- `%s`\n", r.Command)
	for _, note := range append(r.Peers, r.Failed...) {
		fmt.Fprintf(w, "- %s\n", note)
	}
	fmt.Fprintf(w, "- mosquitto is a broker: it serves TLS itself and ends the traffic, without rules, passwords or the sink\n")
	fmt.Fprintf(w, "- idle: without the memory before the first connection, %v after the last message\n", settling)
	fmt.Fprintf(w, "- load and sink: %s\n", r.Machine)
}

func (r *report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // G306: nothing secret
}
