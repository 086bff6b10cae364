package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/internal/app"
)

func newACL() *cobra.Command {
	c := &cobra.Command{
		Use:   "acl",
		Short: "Ask and test the rules of a configuration",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newExplain(), newACLTest())
	return c
}

func newExplain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain -c FILE [flags] publish|subscribe|receive TOPIC",
		Short: "Say whether a client may do something, and which rule decides",
		Example: `  mqttward acl explain -c mqttward.yaml --user sensor_01 publish data/sensor01/temp
  mqttward acl explain -c mqttward.yaml --cert plc.crt subscribe 'line-a/#'`,
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
	c.RunE = withConfig(path, func(c *cobra.Command, args []string) error {
		e, err := app.NewExplainer(*path, nil)
		if err != nil {
			return err
		}
		q.Action, q.Topic = args[0], args[1]
		d, err := e.Ask(q)
		if err != nil {
			return usageError{err}
		}
		if !d.Allowed {
			fmt.Fprintln(c.OutOrStdout(), "deny:", d.Rule)
			return errNo
		}
		fmt.Fprintln(c.OutOrStdout(), "allow:", d.Rule)
		return nil
	})
	return c
}

func newACLTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test -c FILE TESTS.yaml",
		Short: "Check the rules against a table of expectations",
		Long: `Check the rules against a table of expectations, a YAML list:

  - {user: sensor_01, action: publish, topic: data/sensor01/temp, expect: allow}
  - {user: sensor_01, action: subscribe, topic: "#", expect: deny}

Further keys are client_id, groups, tenant, cert, ip, listener, qos and retain.`,
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
