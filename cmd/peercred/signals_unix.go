//go:build unix && (cgo || (!android && !ios))

package main

import (
	"context"
	"errors"
	"os/signal"

	"golang.org/x/sys/unix"
)

// interruptible returns a context that ends with the signals that ask a program
// to end. A reader of our output that went away is an error of the write, so
// that a socket file is removed then too.
func interruptible() (context.Context, context.CancelFunc) {
	signal.Ignore(unix.SIGPIPE)
	return signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
}

// isBrokenPipe reports whether the reader of our output went away.
func isBrokenPipe(err error) bool { return errors.Is(err, unix.EPIPE) }
