//go:build unix && (cgo || (!android && !ios))

package main

import (
	"context"
	"errors"
	"os/signal"

	"golang.org/x/sys/unix"
)

// interruptible returns a context that ends with the signals that ask a program to end. If
// the reader of our output goes away, the write fails and no signal ends us. So the socket
// file is removed in that case too.
func interruptible() (context.Context, context.CancelFunc) {
	signal.Ignore(unix.SIGPIPE)
	return signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
}

// isBrokenPipe reports whether the reader of our output went away.
func isBrokenPipe(err error) bool { return errors.Is(err, unix.EPIPE) }
