//go:build !unix

package main

import (
	"context"
	"os"
	"os/signal"
)

// interruptible returns a context that ends with an interrupt.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt)
}

func isBrokenPipe(error) bool { return false }
