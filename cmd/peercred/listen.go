//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"example.com/peercred/guard"
)

func runListen(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("listen")
	once := flags.Bool("once", false, "exit after the first connection of a peer that is let in")
	var mode fileMode
	flags.Var(&mode, "mode", "the socket file's `MODE` in octal, which it has from the first instant (default 0600)")
	allowed := addAllowFlags(flags)
	operands, err := parse(flags, "listen [--once] [--json] [--mode MODE] "+allowSynopsis+" ADDRESS",
		"Listens on the Unix socket ADDRESS and shows who connects, one line each: ids,\ngroups and security label as of connect time, executable and start time of the\nprocess as of now. A dash is what this system does not tell, with the reason below.\nWith --allow flags, which can be repeated, others are turned away, and shown on\nstderr. A socket file that nobody serves any more is replaced, a live one is not.\nThe socket file is removed at the end, by SIGINT, SIGTERM and SIGHUP too, which are\nno failure: the exit status is 0 then.", 1, args, stdout, stderr)
	if err != nil {
		return err
	}
	if mode != 0 && strings.HasPrefix(operands[0], "@") {
		fmt.Fprintln(stderr, "peercred listen: --mode is for a path: a name in the abstract namespace has no mode, everybody can connect")
		return errUsage
	}
	listener, err := guard.Listen(ctx, "unix", operands[0], guard.Config{
		Policy: allowed.policy(),
		Mode:   fs.FileMode(mode),
		OnDeny: showDenied("listen", stderr),
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	fmt.Fprintf(stderr, "listening on %s\n", operands[0])
	var notes footnotes
	return showPeers(listener, *once, func(conn *guard.Conn) error {
		return describe(conn).show(stdout, *asJSON, &notes)
	})
}

// showPeers shows each peer until the listener is closed, or just the first.
func showPeers(listener *guard.Listener, once bool, show func(*guard.Conn) error) error {
	for {
		conn, err := listener.AcceptPeer()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		err = show(conn)
		conn.Close()
		if once || err != nil {
			return err
		}
	}
}

// fileMode is a flag for permission bits.
type fileMode fs.FileMode

func (m *fileMode) String() string { return fmt.Sprintf("%04o", *m) }

func (m *fileMode) Set(text string) error {
	bits, err := strconv.ParseUint(text, 8, 32)
	if err != nil || bits == 0 || bits > 0o777 {
		return errors.New("want an octal number from 1 to 0777")
	}
	*m = fileMode(bits)
	return nil
}
