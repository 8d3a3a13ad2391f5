//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"example.com/peercred"
)

// printSupport prints how reliable each answer is on this system.
func printSupport(w io.Writer, info peercred.Info) error {
	if _, err := fmt.Fprint(w, "\nHow reliable each answer is here. SERVER, CLIENT and PAIR say when the kernel captures it:\n\n"); err != nil {
		return err
	}
	var notes footnotes
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FACT\tCALL\tSERVER\tCLIENT\tPAIR\tAFTER EXIT\tLIMIT\tNOTE")
	for name, f := range info.Facts() {
		if !f.Available {
			fmt.Fprintf(table, "%s\t-\t-\t-\t-\t-\t-\t%s\n", name, notes.mark(f.Reason))
			continue
		}
		note := ""
		if f.Note != "" {
			note = notes.mark(f.Note)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, f.Call,
			orDash(string(f.Server)), orDash(string(f.Client)), orDash(string(f.Pair)),
			yesOrNo(f.SurvivesExit), limit(f.Limit), note)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return notes.print(w)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func limit(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
