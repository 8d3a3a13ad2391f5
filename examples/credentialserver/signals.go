//go:build unix && (cgo || (!android && !ios))

package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// catchHangups returns a channel that receives SIGHUP. It holds one: a signal that
// comes while the rules are being read has them read again, and many that come then
// are one.
func catchHangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	return hangups
}

// interruptible returns a context that ends with the signals that ask a program to
// end. The second one ends it at once.
func interruptible() (context.Context, context.CancelFunc) {
	signal.Ignore(unix.SIGPIPE) // the reader of the log may go away, which is no reason to leave a socket file
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals) // first: who sees that we stop can send the second one
		stop()
	}()
	return ctx, stop
}
