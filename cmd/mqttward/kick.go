package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/app"
)

func newKick() *cobra.Command {
	c := &cobra.Command{
		Use:   "kick -c FILE [--client-id C] [--user U] [--tenant T] [--session N]",
		Short: "End sessions of a running instance",
		Long: `End the sessions of a client id, of a user, of a tenant, or the one with a number
in the list of clients, at once; of several flags, all must hold. Two tenants may
have the same client ids and users. The Wills of the sessions are published.
Nothing keeps the clients from coming back: take away the password, the
certificate or the right first. The exit code is 1 if there was no such session.`,
		Args: noArgs,
	}
	path := configFlag(c)
	f := c.Flags()
	clientID := f.String("client-id", "", "the client `id`")
	user := f.String("user", "", "the user `name`")
	tenant := f.String("tenant", "", "the `tenant` of the user")
	session := f.Uint64("session", 0, "the `number` of the session")
	asJSON := f.Bool("json", false, "print JSON")
	configs.Flags(f)
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		var who admin.Selection
		if f.Changed("client-id") {
			who.ClientID = clientID
		}
		if f.Changed("user") {
			who.Username = user
		}
		if f.Changed("tenant") {
			who.Tenant = tenant
		}
		if f.Changed("session") {
			who.Session = session
		}
		if err := who.Check(); err != nil {
			return usageError{err}
		}
		remote, err := app.OpenRemote(*path, c.Flags())
		if err != nil {
			return err
		}
		n, err := remote.Kick(c.Context(), who)
		if err != nil {
			return err
		}
		return printKicked(c, n, *asJSON)
	})
	return c
}

// printKicked is errNo if nobody was kicked.
func printKicked(c *cobra.Command, n int, asJSON bool) error {
	if !asJSON {
		fmt.Fprintf(c.OutOrStdout(), "%d kicked\n", n)
	} else if err := printJSON(c, admin.Kicked{Kicked: n}); err != nil {
		return err
	}
	if n == 0 {
		return errNo
	}
	return nil
}
