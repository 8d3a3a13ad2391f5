//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"io"

	"example.com/peercred/guard"
)

func runDial(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("dial")
	allowed := addAllowFlags(flags)
	operands, err := parse(flags, "dial [--json] "+allowSynopsis+" ADDRESS",
		"Connects to the Unix socket ADDRESS and shows who serves: whoever called\nlisten(2), which under socket activation is the service manager. Executable and\nstart time are as of now. A dash is what this system does not tell, with the reason\nbelow. With --allow flags, which can be repeated, any other server is a failure.\n(Whether the server lets us in is for it to know.)", 1, args, stdout, stderr)
	if err != nil {
		return err
	}
	conn, err := guard.Dial(ctx, "unix", operands[0], allowed.policy())
	if err != nil {
		return err
	}
	defer conn.Close()
	return describe(conn).show(stdout, *asJSON, new(footnotes))
}
