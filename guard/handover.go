package guard

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// How a listener goes on in another process.

// File returns a duplicate of the listener's descriptor, for a process that serves in
// this one's place: by exec, as an inherited descriptor, or from systemd's descriptor
// store. Close it when it has been handed over. The connections that wait to be accepted
// wait for whoever accepts next, so that no client is turned away, provided that the
// socket file stays: see [Listener.SetUnlinkOnClose]. The successor guards it with
// [Inherited] or [NewListener].
//
// It returns an error that wraps [errors.ErrUnsupported] if the listener that is guarded
// has no File method.
func (l *Listener) File() (*os.File, error) {
	if inner, ok := l.socket.(interface{ File() (*os.File, error) }); ok {
		return inner.File()
	}
	return nil, fmt.Errorf("guard: a listener of type %T gives no File: %w", l.inner, errors.ErrUnsupported)
}

// SyscallConn gives access to the listening socket. It returns an error that wraps
// [errors.ErrUnsupported] if the listener that is guarded does not.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if l.socket == nil {
		return nil, fmt.Errorf("guard: a listener of type %T gives no access to its socket: %w", l.inner, errors.ErrUnsupported)
	}
	return l.socket.SyscallConn()
}

// SetUnlinkOnClose sets whether Close removes the socket file. It does by default for a
// listener of [Listen], and for one of [NewListener] if the listener that is guarded does.
// Without a socket file, and for a listener without this method, it does nothing.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	if inner, ok := l.socket.(interface{ SetUnlinkOnClose(bool) }); ok {
		inner.SetUnlinkOnClose(unlink)
	}
}

// socketOf returns the listener in l, or l itself, that gives access to its socket, and
// nil if there is none.
func socketOf(l net.Listener) syscall.Conn {
	for range maxWrappers {
		switch inner := l.(type) {
		case syscall.Conn:
			return inner
		case interface{ NetListener() net.Listener }:
			l = inner.NetListener()
		case interface{ Unwrap() net.Listener }:
			l = inner.Unwrap()
		default:
			return nil
		}
	}
	return nil
}
