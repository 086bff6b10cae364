package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/internal/app"
)

func newACL() *cobra.Command {
	c := &cobra.Command{
		Use:   "acl",
		Short: "Ask, test and learn rules",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newExplain(), newACLTest(), newUnused(), newObserved(), newLearn())
	return c
}

func newExplain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain -c FILE [flags] publish|will|subscribe|receive TOPIC",
		Short: "Say whether a client may do something, which rule decides, and why not those before",
		Example: `  mqttward acl explain -c mqttward.yaml --user sensor_01 publish data/sensor01/temp
  mqttward acl explain -c mqttward.yaml --cert plc.crt subscribe 'line-a/#'`,
		Long: `Say whether a client may do something, which rule decides, and why not those
before. TOPIC is the broker's: where the configuration has rewrite.topic_prefix, it
begins with the prefix. The exit code is 0 if it is allowed and 1 if it is not.`,
		Args: exactArgs(2),
	}
	path := configFlag(c)
	var q app.Question
	f := c.Flags()
	f.StringVar(&q.User, "user", "", "the client's user `name`; empty: anonymous")
	f.StringVar(&q.ClientID, "client-id", "", "its client `id`")
	f.StringSliceVar(&q.Groups, "group", nil, "a `group` that it is in; may be repeated")
	f.StringVar(&q.Tenant, "tenant", "", "its `tenant`")
	f.StringVar(&q.Cert, "cert", "", "its certificate, a PEM `file`; names the user if --user does not")
	f.StringVar(&q.IP, "ip", "", "its `address`")
	f.StringVar(&q.Listener, "listener", "", "the `name` of the listener that it comes to")
	f.IntVar(&q.QoS, "qos", 0, "the QoS")
	f.BoolVar(&q.Retain, "retain", false, "publish a retained message")
	f.IntVar(&q.Size, "size", 0, "publish a payload of so many `bytes`")
	at := f.String("at", "", "ask for another `time` than now, as 2026-03-02T06:00:00+01:00")
	all := f.Bool("all", false, "tell of the rules for other clients, too")
	c.RunE = withConfig(path, func(c *cobra.Command, args []string) error {
		e, err := app.NewExplainer(*path, nil)
		if err != nil {
			return err
		}
		q.Action, q.Topic = args[0], args[1]
		if *at != "" {
			if q.At, err = time.Parse(time.RFC3339, *at); err != nil {
				return usageError{fmt.Errorf("--at wants a time such as 2026-03-02T06:00:00+01:00, not %q", *at)}
			}
		}
		d, err := e.Ask(q)
		if err != nil {
			return usageError{err}
		}
		defer printSteps(c, d, *all)
		if !d.Allowed {
			fmt.Fprintln(c.OutOrStdout(), "deny:", d.Rule)
			return errNo
		}
		fmt.Fprintln(c.OutOrStdout(), "allow:", d.Rule)
		if d.Narrowed != nil {
			fmt.Fprintln(c.OutOrStdout(), "  narrowed to", strings.Join(d.Narrowed, ", "))
		}
		return nil
	})
	return c
}

// printSteps says why the rules before the one that decided did not match. Those for
// other clients are counted, unless all are wanted.
func printSteps(c *cobra.Command, d app.Answer, all bool) {
	others := 0
	for _, s := range d.Steps {
		switch {
		case s.Why == "":
		case strings.HasPrefix(s.Why, "for other ") && !all:
			others++
		default:
			fmt.Fprintf(c.OutOrStdout(), "  not %s: %s\n", s.Rule, s.Why)
		}
	}
	if others > 0 {
		fmt.Fprintf(c.OutOrStdout(), "  nor %d rules for other clients (--all lists them)\n", others)
	}
}

func newACLTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test -c FILE TESTS.yaml",
		Short: "Check the rules against a table of expectations",
		Long: `Check the rules against a table of expectations, a YAML list:

  - {user: sensor_01, action: publish, topic: data/sensor01/temp, expect: allow}
  - {user: sensor_01, action: subscribe, topic: "#", expect: deny}

Further keys are client_id, groups, tenant, cert, ip, listener, qos, retain,
size (of the payload, in bytes) and at (a time, such as 2026-03-02T06:00:00Z).`,
		Args: exactArgs(1),
	}
	path := configFlag(c)
	c.RunE = withConfig(path, func(c *cobra.Command, args []string) error {
		e, err := app.NewExplainer(*path, nil)
		if err != nil {
			return err
		}
		failed, err := e.TestRules(c.OutOrStdout(), args[0])
		if err != nil {
			return usageError{err}
		}
		if failed > 0 {
			return errNo
		}
		return nil
	})
	return c
}
