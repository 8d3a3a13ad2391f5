//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// A server that turns a client away closes the connection, and tells it no more. So
// one that lets it in says so.

// errUndecided is for a server that did neither.
var errUndecided = errors.New("the server neither sent anything nor closed the connection")

// sayAdmitted tells a client that it was let in. A client that has gone, or makes us
// wait, is not told.
func sayAdmitted(conn net.Conn) {
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "admitted\n")
}

// awaitAdmission waits until the server has sent something. It returns errUndecided
// after the timeout.
func awaitAdmission(ctx context.Context, conn net.Conn, timeout time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(0, 1)) })()
	n, err := conn.Read(make([]byte, 1))
	switch {
	case n > 0:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted while it waited for the server")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errUndecided
	}
	return fmt.Errorf("denied: the server closed the connection and sent nothing (%w); it turned this user or process away, or it has ended", err)
}
