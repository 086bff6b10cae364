package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// Expectation is a Question and the answer that it should have.
type Expectation struct {
	Question `yaml:",inline"`
	Expect   string `yaml:"expect"` // allow or deny
}

// TestRules asks the questions of the YAML table at path and writes to w, for
// each answer that is not as expected, a line, and a last line with the
// counts. It reports how many failed. The table is a list of expectations:
//
//	# who, what, and the answer
//	- {user: sensor_01, action: publish, topic: data/sensor01/temp, expect: allow}
//	- {user: sensor_01, action: subscribe, topic: "#", expect: deny}
func (e *Explainer) TestRules(w io.Writer, path string) (failed int, err error) {
	table, err := readTable(path)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	for i, t := range table {
		d, err := e.Ask(t.Question)
		if err != nil {
			return 0, fmt.Errorf("%s: test %d: %w", path, i+1, err)
		}
		answer := "deny"
		if d.Allowed {
			answer = "allow"
		}
		if answer != t.Expect {
			failed++
			_, _ = fmt.Fprintf(w, "test %d: %s %s %s: expected %s, is %s (%s)\n",
				i+1, t.who(), t.Action, t.Topic, t.Expect, answer, d.Rule)
		}
	}
	_, err = fmt.Fprintf(w, "%d passed, %d failed\n", len(table)-failed, failed)
	return failed, err
}

func (t Expectation) who() string {
	switch {
	case t.User != "":
		return "user " + t.User
	case t.Cert != "":
		return "certificate " + t.Cert
	case t.ClientID != "":
		return "client " + t.ClientID
	}
	return "anonymous"
}

func readTable(path string) ([]Expectation, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var table []Expectation
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&table); err != nil {
		return nil, err
	}
	if d.Decode(new(any)) != io.EOF { //nolint:errorlint // Decode returns the bare value
		return nil, errors.New("holds a second YAML document, which would not be asked")
	}
	if len(table) == 0 {
		return nil, errors.New("no tests in it")
	}
	for i, t := range table {
		if t.Expect != "allow" && t.Expect != "deny" {
			return nil, fmt.Errorf("test %d: expect is allow or deny, not %q", i+1, t.Expect)
		}
	}
	return table, nil
}
