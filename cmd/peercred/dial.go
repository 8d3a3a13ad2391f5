//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"io"
	"net"

	"example.com/peercred"
)

func runDial(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("dial")
	operands, err := parse(flags, "dial [--json] ADDRESS",
		"Connects to the Unix socket ADDRESS and shows who serves: whoever called\nlisten(2), which under socket activation is the service manager.", 1, args, stdout, stderr)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", operands[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	credentials, err := peercred.GetPeerCredentials(conn)
	if err != nil {
		return err
	}
	return newPeer(credentials).show(stdout, *asJSON)
}
