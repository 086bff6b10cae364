package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := struct {
			Version string `json:"version"`
			Commit  string `json:"commit"`
			Go      string `json:"go"`
			Built   string `json:"built"`
		}{version, commit, runtime.Version(), date}
		if *asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(v)
		}
		fmt.Fprintf(c.OutOrStdout(), "mqttward %s\ncommit   %s\ngo       %s\nbuilt    %s\n",
			v.Version, orUnknown(v.Commit), v.Go, orUnknown(v.Built))
		return nil
	}
	return c
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
