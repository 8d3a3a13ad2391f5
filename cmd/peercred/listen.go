//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"example.com/peercred/guard"
)

var listenHelp = help{
	synopsis: "listen [--once] [--json] [--datagram] [--mode MODE] [--group NAME] [--owner NAME] [--allow-shared-directory] " + allowSynopsis + " ADDRESS",
	description: `Listens on the socket ADDRESS and shows who connects, one line each. Ids, groups
and security label are as of connect time. Executable and start time of the process
are as of now. A dash marks a fact that this system does not report. The reason is
below. If the system labels no sockets, one line says so.

Each client gets "admitted", and then its connection is closed. With --allow flags,
which can be repeated, all other clients are denied, and shown on stderr. A stale
socket file is replaced. The socket file of a running server is not. SIGINT, SIGTERM
and SIGHUP end the command. It then removes the socket file.

On tcp:HOST:PORT, a loopback address on Linux, it shows uid and address of a client. The
kernel reports nothing else. Every user can connect. Port 0 stands for any free port.
The connection is closed when the client closes it, or after a second.

With --datagram, on Linux, it shows the sender of each datagram instead. Pid, real uid and
real gid are as of when it was sent. A datagram that is denied is not read further.

Exit status: 0 a signal ended it or, with --once, a client was admitted; 1 it could
not listen, or something else failed; 2 wrong usage.
`,
	operands: []string{"ADDRESS"},
}

func runListen(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("listen")
	once := flags.Bool("once", false, "exit after the first admitted client")
	datagrams := flags.Bool("datagram", false, "receive datagrams, and show who sent each")
	file := addFileFlags(flags)
	allowed := addAllowFlags(flags)
	operands, err := listenHelp.parse(flags, args, stdout, stderr)
	if err != nil {
		return err
	}
	network, address := networkOf(operands[0])
	if (network == "tcp" || strings.HasPrefix(address, "@")) && *file != (fileFlags{}) {
		fmt.Fprintln(stderr, "peercred listen: --mode, --group, --owner and --allow-shared-directory are for a path: TCP and a name in the abstract namespace have no mode and no owner, and everybody can connect")
		return errUsage
	}
	if network == "tcp" && *datagrams {
		fmt.Fprintln(stderr, "peercred listen: --datagram is for a path or a name in the abstract namespace: no system reports who sends over UDP")
		return errUsage
	}
	config := file.config()
	config.Policy, config.OnDeny = allowed.policy(), showDenied("listen", stderr)
	var notes footnotes
	show := func(p shown) error { return p.show(stdout, *asJSON, &notes) }
	if *datagrams {
		return listenForDatagrams(ctx, address, config, *once, stderr, show)
	}
	listener, err := guard.Listen(ctx, network, address, config)
	if err != nil {
		return errors.New(flagNames.Replace(err.Error()))
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	if network == "tcp" {
		address = "tcp:" + listener.Addr().String() // with the port
	}
	fmt.Fprintf(stderr, "listening on %s\n", address)
	return showPeers(listener, *once, show)
}

// showPeers shows each peer until the listener is closed, or only the first peer.
func showPeers(listener *guard.Listener, once bool, show func(shown) error) error {
	var closing sync.WaitGroup
	defer closing.Wait()
	for {
		conn, err := listener.AcceptPeer()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		p, err := look(conn)
		sayAdmitted(conn)
		if conn.Peer().Credentials() != nil {
			conn.Close()
		} else {
			closing.Go(func() { closeAfterClient(conn) })
		}
		if err == nil {
			err = show(p)
		}
		if once || err != nil {
			return err
		}
	}
}
