package guard

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// read does not wait for descriptors that the peer sent along, which read(2) drops.
func (c *Conn) read(b []byte) (int, error) {
	socket, ok := c.Conn.(*net.UnixConn)
	if !ok || c.quick || len(b) == 0 {
		return c.Conn.Read(b)
	}
	n, err := readPromptly(socket, b)
	switch {
	case err != nil:
		return 0, c.readError(err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func readPromptly(socket *net.UnixConn, b []byte) (n int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var read error
	err = raw.Read(func(fd uintptr) bool {
		_ = promptly(func() error {
			n, read = unix.Read(int(fd), b)
			return nil
		})
		return !errors.Is(read, unix.EAGAIN) && !errors.Is(read, unix.EINTR)
	})
	if err == nil {
		err = os.NewSyscallError("read", read)
	}
	return max(n, 0), err
}

// readError has the form of package net's.
func (c *Conn) readError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
