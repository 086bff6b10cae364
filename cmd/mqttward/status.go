package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/app"
)

func newStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status -c FILE",
		Short: "Show how a running instance does",
		Long: `Show the version of a running instance, whether it is ready for clients, its
sessions, listeners and servers, and how the last reload went. The exit code is 0 if the
instance answers, ready or not.`,
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
		s, err := remote.Status(c.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c, s)
		}
		return printStatus(c.OutOrStdout(), &s)
	})
	return c
}

func printStatus(w io.Writer, s *admin.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("version", "%s", app.Printable(s.Version))
	row("up", "%s, since %s", time.Duration(s.Uptime)*time.Second, clock(s.Started))
	switch {
	case s.Ready:
		row("ready", "yes")
	default:
		row("ready", "no: %s", app.Printable(s.NotReady))
	}
	row("sessions", "%d", s.Sessions)
	switch r := s.Reload; {
	case r == nil:
		row("last reload", "none")
	case r.Error == "":
		row("last reload", "%s, in force", clock(r.At))
	default:
		row("last reload", "%s, failed: %s", clock(r.At), app.Printable(r.Error))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(table, "LISTENER\tADDRESS\tTRANSPORT\tTLS\tCONNECTIONS")
	for _, l := range s.Listeners {
		tls := "no"
		if l.TLS {
			tls = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\n", app.Printable(l.Name), app.Printable(l.Address), app.Printable(l.Transport), tls, l.Connections)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(table, "BACKEND\tSERVER\tSTATE\tSESSIONS\tWHY")
	for _, b := range s.Backends {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", app.Printable(b.Backend), app.Printable(b.Server), app.Printable(b.State), b.Sessions, app.Printable(b.Why))
	}
	return table.Flush()
}
