package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
)

func newUnused() *cobra.Command {
	c := &cobra.Command{
		Use:   "unused -c FILE",
		Short: "List the rules of a running instance that have decided nothing yet",
		Long: `List the rules that have decided nothing since the instance was started, in
their order. A reload keeps what is known of rules that stay the same. A running
instance is asked, at the admin address of the configuration and with the token
there. The exit code is 1 if there are any.`,
		Args: noArgs,
	}
	path := configFlag(c)
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		unused, err := app.UnusedRules(c.Context(), *path, c.Flags())
		if err != nil {
			return err
		}
		for _, rule := range unused {
			fmt.Fprintln(c.OutOrStdout(), app.Printable(rule))
		}
		if len(unused) > 0 {
			return errNo
		}
		return nil
	})
	return c
}

func newObserved() *cobra.Command {
	c := &cobra.Command{
		Use:   "observed -c FILE",
		Short: "List what the clients of a monitoring instance do, and what would be denied",
		Long: `List what the clients of an instance with authz.mode: monitor have done that the
rules would deny, with the rule; --all lists what they allow, too, and --json is
what acl learn --from reads. A running instance is asked, at the admin address of
the configuration and with the token there.`,
		Args: noArgs,
	}
	path := configFlag(c)
	all := c.Flags().Bool("all", false, "list what is allowed, too")
	asJSON := c.Flags().Bool("json", false, "print JSON, with all of it")
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		seen, err := app.ObservedActs(c.Context(), *path, c.Flags())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c, seen)
		}
		table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "PACKETS\tUSER\tCLIENT ID\tGROUPS\tACTION\tTOPIC\tQOS\tDENIED BY")
		for _, a := range seen.Acts {
			if a.Denied != "" || *all {
				fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", a.Count, app.Printable(a.User), app.Printable(a.ClientID),
					app.Printable(strings.Join(a.Groups, ",")), a.Action, app.Printable(a.Topic), a.QoS, app.Printable(a.Denied))
			}
		}
		noteLost(c, seen)
		return table.Flush()
	})
	return c
}

// noteLost says what is not in the list.
func noteLost(c *cobra.Command, seen app.Observed) {
	if seen.Lost > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "%d packets are not in it: there were too many different ones\n", seen.Lost)
	}
}

func newLearn() *cobra.Command {
	c := &cobra.Command{
		Use:   "learn -c FILE",
		Short: "Propose rules that allow what the clients of a monitoring instance do",
		Long: `Propose rules that allow what the clients of an instance with authz.mode: monitor
have done, each with how many packets it stands for: YAML for authz.rules, or for
a file of type rules. Levels of topics that are the name of whoever uses them
become placeholders; what all known members of a group do is allowed to the group.
Read it before you use it: it allows what was done, also by those who should not
have.

A running instance is asked, at the admin address of the configuration and with
the token there; --from reads what acl observed --json has printed. The exit code
is 1 if the rules do not allow all of it after all.`,
		Args: noArgs,
		Example: `  mqttward acl learn -c mqttward.yaml > learned.yaml
  mqttward acl learn --from observed.json`,
	}
	path := configFlag(c)
	from := c.Flags().String("from", "", "read a `file` instead of asking an instance")
	configs.Flags(c.Flags())
	ask := withConfig(path, func(c *cobra.Command, _ []string) error {
		seen, err := app.ObservedActs(c.Context(), *path, c.Flags())
		if err != nil {
			return err
		}
		return propose(c, seen)
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if *from == "" {
			return ask(c, args)
		}
		seen, err := app.ReadObserved(*from)
		if err != nil {
			return usageError{err}
		}
		return propose(c, seen)
	}
	return c
}

func propose(c *cobra.Command, seen app.Observed) error {
	if len(seen.Acts) == 0 {
		return errors.New("nothing was seen: is authz.mode monitor, and are there clients?")
	}
	proposal, missing, err := app.Learn(seen)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "# Proposed from what %d clients did.\n%s", seen.Clients(), proposal)
	for _, a := range missing {
		fmt.Fprintf(c.ErrOrStderr(), "not allowed: %s %s %s\n", app.Printable(a.User), a.Action, app.Printable(a.Topic))
	}
	noteLost(c, seen)
	if len(missing) > 0 {
		return errNo
	}
	return nil
}
