//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"example.com/peercred/guard"
)

var listenHelp = help{
	synopsis: "listen [--once] [--json] [--mode MODE] [--group NAME] [--owner NAME] [--allow-shared-directory] " + allowSynopsis + " ADDRESS",
	description: `Listens on the Unix socket ADDRESS and shows who connects, one line each: ids,
groups and security label as of connect time, executable and start time of the
process as of now. A dash marks a fact that this system does not tell, with the
reason below. If it labels no sockets, one line says so. Each client is sent "admitted", and its connection closed. With
--allow flags, which can be repeated, all others are turned away, and shown on
stderr. A socket file without a server is replaced, that of a running server is not.
SIGINT, SIGTERM and SIGHUP end it. It removes the socket file then.

Exit status: 0 a signal ended it or, with --once, a client was let in; 1 it could not
listen, or something else failed; 2 wrong usage.
`,
	operands: []string{"ADDRESS"},
}

func runListen(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("listen")
	once := flags.Bool("once", false, "exit after the first client that was let in")
	file := addFileFlags(flags)
	allowed := addAllowFlags(flags)
	operands, err := listenHelp.parse(flags, args, stdout, stderr)
	if err != nil {
		return err
	}
	if strings.HasPrefix(operands[0], "@") && *file != (fileFlags{}) {
		fmt.Fprintln(stderr, "peercred listen: --mode, --group, --owner and --allow-shared-directory are for a path: a name in the abstract namespace has no mode and no owner, everybody can connect")
		return errUsage
	}
	config := file.config()
	config.Policy, config.OnDeny = allowed.policy(), showDenied("listen", stderr)
	listener, err := guard.Listen(ctx, "unix", operands[0], config)
	if err != nil {
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	fmt.Fprintf(stderr, "listening on %s\n", operands[0])
	var notes footnotes
	return showPeers(listener, *once, func(p peer) error { return p.show(stdout, *asJSON, &notes) })
}

// showPeers shows each peer until the listener is closed, or just the first.
func showPeers(listener *guard.Listener, once bool, show func(peer) error) error {
	for {
		conn, err := listener.AcceptPeer()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		p := describe(conn)
		sayAdmitted(conn)
		conn.Close()
		if err := show(p); once || err != nil {
			return err
		}
	}
}
