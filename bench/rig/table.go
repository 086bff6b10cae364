package rig

import (
	"fmt"
	"io"
	"strings"
)

// PrintRows writes a Markdown table and an empty line, or nothing if there are
// no rows. The cells of the header are parted by " | ".
func PrintRows(w io.Writer, header string, rows []string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(w, Row(header))
	fmt.Fprintln(w, "|"+strings.Repeat("---|", strings.Count(header, "|")+1))
	for _, r := range rows {
		fmt.Fprintln(w, r)
	}
	fmt.Fprintln(w)
}

// Row returns a row of a Markdown table.
func Row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }
