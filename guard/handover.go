package guard

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Methods to continue a listener in another process.

// File returns a duplicate of the listener's descriptor, for a process that replaces this
// one: by exec, as an inherited descriptor, or from systemd's descriptor store. Close it
// after it was handed over. Connections that wait to be accepted stay in the queue for the
// next process that accepts. So no client is refused, if the socket file stays: see
// [Listener.SetUnlinkOnClose]. The successor guards the socket with [Inherited] or
// [NewListener].
//
// This listener can go on meanwhile. Its error wraps [errors.ErrUnsupported] if the guarded
// listener gives no access to its socket.
func (l *Listener) File() (*os.File, error) {
	if l.socket == nil {
		return nil, l.noSocket()
	}
	fd, err := duplicate(l.socket)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}

func (l *Listener) noSocket() error {
	return fmt.Errorf("guard: a listener of type %T gives no access to its socket: %w", l.inner, errors.ErrUnsupported)
}

// SyscallConn gives access to the listening socket. The error wraps [errors.ErrUnsupported]
// if the guarded listener gives none.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if l.socket == nil {
		return nil, l.noSocket()
	}
	return l.socket.SyscallConn()
}

// SetUnlinkOnClose sets whether Close removes the socket file. By default Close removes it
// for a listener of [Listen]. For a listener of [NewListener] the default is that of the
// guarded listener. SetUnlinkOnClose does nothing if there is no socket file, and if the
// guarded listener has no such method.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	if inner, ok := l.socket.(interface{ SetUnlinkOnClose(bool) }); ok {
		inner.SetUnlinkOnClose(unlink)
	}
}
