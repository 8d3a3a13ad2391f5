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

// A server that denies a client closes the connection, and sends nothing. So a server that
// admits a client sends "admitted".

// errUndecided means that the server did neither.
var errUndecided = errors.New("the server neither sent anything nor closed the connection")

// sayAdmitted tells a client that it was admitted. It gives up if the client has gone or is
// too slow.
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
		return errors.New("interrupted while waiting for the server")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errUndecided
	}
	return fmt.Errorf("denied: the server closed the connection and sent nothing (%w); it denied this user or process, or it has ended", err)
}
