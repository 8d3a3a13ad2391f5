//go:build !linux

package guard

import "syscall"

// closeLast calls end and returns its result. A way to end a close that a peer makes slow is
// known only for Linux.
func closeLast(_ syscall.Conn, end func() error) error { return end() }

// read is the inner connection's.
func (c *Conn) read(b []byte) (int, error) { return c.Conn.Read(b) }
