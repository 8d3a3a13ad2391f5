//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"runtime"
	"strconv"
	"strings"
)

func runListen(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("listen")
	once := flags.Bool("once", false, "exit after the first connection")
	mode := fileMode(0o600)
	flags.Var(&mode, "mode", "the socket file's `MODE` in octal, which it has from the first instant")
	operands, err := parse(flags, "listen [--once] [--json] [--mode MODE] ADDRESS",
		"Listens on the Unix socket ADDRESS and shows who connects, one line each: ids,\ngroups and security label as of connect time, executable and start time of the\nprocess as of now. A dash is what this system does not tell, with the reason below.\nA socket file that nobody serves any more is replaced, a live one is not. The\nsocket file is removed at the end, by SIGINT, SIGTERM and SIGHUP too, which are\nno failure: the exit status is 0 then.", 1, args, stdout, stderr)
	if err != nil {
		return err
	}
	if isSet(flags, "mode") && strings.HasPrefix(operands[0], "@") {
		fmt.Fprintln(stderr, "peercred listen: --mode is for a path: a name in the abstract namespace has no mode, everybody can connect")
		return errUsage
	}
	listener, err := listenAt(operands[0], fs.FileMode(mode))
	if err != nil {
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	fmt.Fprintf(stderr, "listening on %s\n", operands[0])
	var notes footnotes
	return showPeers(listener, *once, func(conn net.Conn) error {
		p, err := describe(conn)
		if err != nil {
			fmt.Fprintf(stderr, "peercred listen: %v\n", err)
			return errReported
		}
		return p.show(stdout, *asJSON, &notes)
	})
}

func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// listenAt listens on a path or, where there is one, in the abstract namespace,
// whose names have no mode.
func listenAt(address string, mode fs.FileMode) (net.Listener, error) {
	if address == "@" {
		return nil, errors.New("a name must follow the @")
	}
	if strings.HasPrefix(address, "@") && runtime.GOOS == "linux" {
		return net.Listen("unix", address)
	}
	return listenAtPath(address, mode)
}

// showPeers shows each peer until the listener is closed, or just the first. A
// peer that cannot be shown ends it only then.
func showPeers(listener net.Listener, once bool, show func(net.Conn) error) error {
	for {
		conn, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		err = show(conn)
		conn.Close()
		if once || (err != nil && !errors.Is(err, errReported)) {
			return err
		}
	}
}

// fileMode is a flag for permission bits.
type fileMode fs.FileMode

func (m *fileMode) String() string { return fmt.Sprintf("%04o", *m) }

func (m *fileMode) Set(text string) error {
	bits, err := strconv.ParseUint(text, 8, 32)
	if err != nil || bits > 0o777 {
		return errors.New("want an octal number from 0 to 0777")
	}
	*m = fileMode(bits)
	return nil
}
