//go:build !unix

package main

import (
	"context"
	"io"
	"runtime"

	"example.com/peercred"
)

// runDemo fails: this system does not report who connects.
func runDemo(context.Context, []string, io.Writer, io.Writer) error {
	return &peercred.ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: peercred.Support().UID.Reason}
}
