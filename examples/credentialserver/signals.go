//go:build unix && (cgo || (!android && !ios))

package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// catchHangups returns a channel that receives SIGHUP. It holds one signal. So one or more
// signals that arrive while the rules are being read cause one more reading.
func catchHangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	return hangups
}

// interruptible returns a context that ends with the signals that ask a program to end. A
// second signal ends the program at once.
func interruptible() (context.Context, context.CancelFunc) {
	signal.Ignore(unix.SIGPIPE) // or a reader of the log that goes away would leave the socket file behind
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals) // first, so that a second signal ends the program
		stop()
	}()
	return ctx, stop
}
