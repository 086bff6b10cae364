package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
)

func newClients() *cobra.Command {
	c := &cobra.Command{
		Use:   "clients -c FILE",
		Short: "List the clients of a running instance",
		Long: `List the clients whose sessions run, the oldest session first. A running
instance is asked, at the admin address of the configuration and with the token
there. What clients chose is cut short and shown without control characters;
--json has all of it.`,
		Args: noArgs,
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		remote, err := app.OpenRemote(*path, c.Flags())
		if err != nil {
			return err
		}
		list, err := remote.Clients(c.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c, list)
		}
		table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "SESSION\tCLIENT ID\tUSER\tTENANT\tMETHOD\tREMOTE\tLISTENER\tSERVER\tMQTT\tSINCE\tEXPIRES")
		for _, l := range list {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Session, app.Printable(l.ClientID), app.Printable(l.Username),
				app.Printable(cmp.Or(l.Tenant, "-")), app.Printable(l.Method), app.Printable(l.Remote), app.Printable(l.Listener), app.Printable(l.Server), app.Printable(l.Version), clock(l.Since), clock(l.Expires))
		}
		return table.Flush()
	})
	return c
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func printJSON(c *cobra.Command, v any) error {
	text, err := app.PrintableJSON(v)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), text)
	return nil
}
