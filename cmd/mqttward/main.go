// Command mqttward is a security proxy for MQTT: it stands in front of an
// unmodified broker.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
)

// The build sets these.
var (
	version = "devel"
	commit  = ""
	date    = ""
)

// Exit codes.
const (
	exitFailed = 1 // it ran and the answer is no, or it failed
	exitUsage  = 2 // wrong usage or configuration
)

// errNo is the answer no: it is printed already.
var errNo = errors.New("no")

// usageError is wrong usage of the command line.
type usageError struct{ error }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	if errors.Is(err, errNo) {
		return exitFailed
	}
	fmt.Fprintln(os.Stderr, err)
	var usage usageError
	var wrong configs.Errors
	var mistakes admin.Mistakes
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "See mqttward --help.")
		return exitUsage
	case errors.As(err, &wrong), errors.As(err, &mistakes):
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mqttward",
		Short: "A security proxy in front of an unmodified MQTT broker",
		Long: `mqttward stands in front of an unmodified MQTT broker. It ends TLS, finds out
who a client is, judges every packet by your rules and holds floods back; what
is allowed goes on to the broker as it came.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newRun(), newCheck(), newDemo(), newPasswd(), newACL(), newDoctor(), newClients(), newKick(), newBan(), newUnban(), newBans(), newReload(), newStatus(), newDrain(), newVersion())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.RunE = func(c *cobra.Command, args []string) error {
				if len(args) == 0 {
					return usageError{errors.New("which shell? bash, zsh, fish or powershell")}
				}
				return noArgs(c, args)
			}
			c.Args = cobra.ArbitraryArgs
		}
	}
	return root
}

// noArgs, exactArgs and their kind are cobra's checks as usage errors.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		return usageError{fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())}
	}
	return usageError{fmt.Errorf("%s takes no arguments, but there is %q", c.CommandPath(), args[0])}
}

func exactArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError{fmt.Errorf("usage: %s", c.UseLine())}
	}
}

// configFlag adds -c to a command that needs a configuration.
func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", "", "the configuration `file` (required)")
	return path
}

// withConfig refuses to run without -c.
func withConfig(path *string, f func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if *path == "" {
			return usageError{errors.New("which configuration? give it with -c FILE")}
		}
		return f(c, args)
	}
}
