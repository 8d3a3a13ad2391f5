//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"io"
	"net"
)

func runDial(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("dial")
	operands, err := parse(flags, "dial [--json] ADDRESS",
		"Connects to the Unix socket ADDRESS and shows who serves: whoever called\nlisten(2), which under socket activation is the service manager. Executable and\nstart time are as of now. A dash is what this system does not tell, with the reason\nbelow.", 1, args, stdout, stderr)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", operands[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	p, err := describe(conn)
	if err != nil {
		return err
	}
	return p.show(stdout, *asJSON, new(footnotes))
}
