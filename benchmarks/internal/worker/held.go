//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"example.com/peercred/benchmarks/internal/order"
)

// held are accepted connections, whose other ends a process of its own holds: one
// process is not allowed descriptors enough for both.
type held struct {
	conns       []net.Conn
	descriptors []int
	close       func()
}

func holdConnections(n int) (h *held, err error) {
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	holder := exec.Command("/proc/self/exe", order.Hold, listener.Addr().String(), strconv.Itoa(n))
	holder.Stderr = os.Stderr
	release, err := holder.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := holder.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		holder.Wait()
		listener.Close() // so that nobody waits for a holder that failed
	}()
	h = &held{close: func() { release.Close(); <-ended }}
	for range n {
		if err := h.accept(listener); err != nil {
			h.close()
			return nil, fmt.Errorf("%d of %d connections: %w", len(h.conns), n, err)
		}
	}
	return h, nil
}

func (h *held) accept(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	fd, err := descriptor(conn.(*net.UnixConn))
	if err != nil {
		return err
	}
	h.conns, h.descriptors = append(h.conns, conn), append(h.descriptors, fd)
	return nil
}

// hold connects n times to address, and holds the connections until stdin ends.
func hold(address, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		if conns[i], err = dialPatiently(address); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, conn := range conns {
		conn.Close()
	}
	return err
}

// dialPatiently waits while too many others wait to be accepted.
func dialPatiently(address string) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", address)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		time.Sleep(time.Millisecond)
	}
}
