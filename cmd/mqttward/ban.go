package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/app"
)

func newBan() *cobra.Command {
	c := &cobra.Command{
		Use:   "ban -c FILE (--network P | --user U | --client-id C) [--for 1h] [--reason TEXT]",
		Short: "Keep somebody out of a running instance",
		Long: `Ban a network or an address, a user, or a client id as the broker knows it: it is
refused from now on, and its sessions are ended at once. The ban replaces an
earlier one of the same subject, and lasts until it is lifted, or for the time
given. With bans.file in the configuration it outlasts a restart. The exit code
is 1 if the subject is exempt.`,
		Args: noArgs,
	}
	path := configFlag(c)
	f := c.Flags()
	whom := subjectFlags(c)
	duration := f.Duration("for", 0, "how `long`; left out: until it is lifted")
	reason := f.String("reason", "", "a `text` for who looks at the list")
	asJSON := f.Bool("json", false, "print JSON")
	configs.Flags(f)
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		subject, err := whom()
		if err != nil {
			return err
		}
		request := admin.BanRequest{Subject: subject, Reason: *reason}
		if f.Changed("for") {
			request.For = duration.String()
		}
		if _, err := request.Ban(time.Now()); err != nil {
			return usageError{err}
		}
		remote, err := app.OpenRemote(*path, f)
		if err != nil {
			return err
		}
		kicked, err := remote.Ban(c.Context(), request)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c, admin.Banned{Kicked: kicked})
		}
		fmt.Fprintf(c.OutOrStdout(), "banned, %d kicked\n", kicked)
		return nil
	})
	return c
}

func newUnban() *cobra.Command {
	c := &cobra.Command{
		Use:   "unban -c FILE (--network P | --user U | --client-id C)",
		Short: "Lift a ban in a running instance",
		Long: `Lift the ban of a network, a user or a client id, which must be written as in the
list of bans. What has led to it is forgotten. The exit code is 1 if there was no
such ban.`,
		Args: noArgs,
	}
	path := configFlag(c)
	whom := subjectFlags(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		subject, err := whom()
		if err != nil {
			return err
		}
		remote, err := app.OpenRemote(*path, c.Flags())
		if err != nil {
			return err
		}
		lifted, err := remote.Unban(c.Context(), subject)
		if err != nil {
			return err
		}
		return printLifted(c, lifted, *asJSON)
	})
	return c
}

// printLifted is errNo if there was no ban.
func printLifted(c *cobra.Command, lifted, asJSON bool) error {
	text := "there is no such ban"
	if lifted {
		text = "lifted"
	}
	if !asJSON {
		fmt.Fprintln(c.OutOrStdout(), text)
	} else if err := printJSON(c, admin.Lifted{Lifted: lifted}); err != nil {
		return err
	}
	if !lifted {
		return errNo
	}
	return nil
}

func newBans() *cobra.Command {
	c := &cobra.Command{
		Use:   "bans -c FILE",
		Short: "List the bans of a running instance",
		Long: `List the bans in force, of those that were made by hand and of those that offences
have led to. Texts are cut short and shown without control characters; --json has
all of it.`,
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
		list, err := remote.Bans(c.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c, list)
		}
		table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KIND\tVALUE\tBY\tTIMES\tSINCE\tUNTIL\tREASON")
		for _, b := range list {
			by, times := "hand", "-"
			if !b.Manual {
				by, times = "rule", fmt.Sprint(b.Times)
			}
			reason := b.Reason
			if b.User != "" {
				reason += " of " + b.User
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", app.Printable(string(b.Kind)), app.Printable(b.Value), by, times, clock(b.Since), clock(b.Until), app.Printable(reason))
		}
		return table.Flush()
	})
	return c
}

// subjectFlags adds the flags that name a subject, of which one is to be given.
func subjectFlags(c *cobra.Command) func() (admin.Subject, error) {
	f := c.Flags()
	flags := []string{"network", "user", "client-id"}
	f.String("network", "", "the `network`, such as 192.0.2.0/24, or an address")
	f.String("user", "", "the `name` of the user; tenant/name of one that has a tenant")
	f.String("client-id", "", "the client `id`, as the broker knows it")
	return func() (s admin.Subject, err error) {
		given := 0
		for i, name := range flags {
			if f.Changed(name) {
				given++
				s = admin.Subject{Kind: admin.Kinds[i], Value: f.Lookup(name).Value.String()}
			}
		}
		if given != 1 {
			return s, usageError{errors.New("whom? one of --network, --user and --client-id is needed")}
		}
		if s, err = s.Canonical(); err != nil {
			return s, usageError{err}
		}
		return s, nil
	}
}
