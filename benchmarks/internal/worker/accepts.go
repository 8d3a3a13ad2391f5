//go:build linux

package main

import (
	"net"
	"os"
	"path/filepath"
	"time"

	"example.com/peercred"
	"example.com/peercred/benchmarks/internal/order"
	"example.com/peercred/guard"
)

// accepts are of connections that wait already, so that the time is that of Accept
// and nothing else. All accept from the same socket.
func accepts() (*group, error) {
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return nil, err
	}
	conn, err := openConnection()
	if err != nil {
		return nil, err
	}
	fd, err := descriptor(conn)
	if err != nil {
		return nil, err
	}
	a := accepting{listener.Addr().String()}
	guarded, err := guard.NewListener(listener, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		return nil, err
	}
	// Fewer connections than the kernel lets wait.
	g := &group{length: 400 * time.Microsecond, most: 100, close: func() { conn.Close(); listener.Close(); os.RemoveAll(dir) }}
	g.add(order.Limit, order.Bare, order.Bare, timed(bare(fd)))
	g.add(order.Limit, order.Accept, order.Accept, a.burst(listener.Accept))
	g.add(order.Limit, order.AcceptBare, order.Accept, a.burst(func() (net.Conn, error) {
		conn, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		bareControl(conn.(*net.UnixConn))(1)
		return conn, nil
	}))
	g.add(order.Ours, order.AcceptGuard, order.Accept, a.burst(guarded.Accept))
	g.add(order.Ours, order.AcceptAsk, order.Accept, a.burst(func() (net.Conn, error) {
		conn, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		p, err := peercred.GetPeerCredentials(conn)
		must(err)
		total += p.UID
		return conn, nil
	}))
	return g, nil
}

type accepting struct{ address string }

// burst connects n times, accepts n times, and closes all. Only the second counts.
func (a accepting) burst(accept func() (net.Conn, error)) func(n int) time.Duration {
	return func(n int) time.Duration {
		conns := make([]net.Conn, 0, 2*n)
		for range n {
			conn, err := net.Dial("unix", a.address)
			must(err)
			conns = append(conns, conn)
		}
		began := time.Now()
		for range n {
			conn, err := accept()
			must(err)
			conns = append(conns, conn)
		}
		took := time.Since(began)
		for _, conn := range conns {
			conn.Close()
		}
		return took
	}
}
