//go:build !unix

package main

import (
	"context"
	"io"
	"runtime"

	"example.com/peercred"
)

// runDemo has nothing to show here.
func runDemo(context.Context, []string, io.Writer, io.Writer) error {
	return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: peercred.Support().UID.Reason}
}
