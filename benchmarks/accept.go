//go:build linux

package main

import (
	"net"
	"time"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// acceptSubjects accept connections that wait already, all from the same socket.
func acceptSubjects(listener net.Listener) ([]subject, error) {
	guarded, err := guard.NewListener(listener, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		return nil, err
	}
	accepts := func(accept func() (net.Conn, error)) func(n int) time.Duration {
		return func(n int) time.Duration { return timeAccepts(listener.Addr(), accept, n) }
	}
	const plain = "net.Listener.Accept"
	const burst = 20 // fewer than the kernel lets wait
	return []subject{
		{kernel, plain, plain, burst, accepts(listener.Accept), accepts(listener.Accept), nil},
		{ours, "net.Listener.Accept and GetPeerCredentials", plain, burst, accepts(listener.Accept), accepts(func() (net.Conn, error) {
			conn, err := listener.Accept()
			if err != nil {
				return nil, err
			}
			_, err = peercred.GetPeerCredentials(conn)
			return conn, err
		}), nil},
		{ours, "guard.Listener.Accept", plain, burst, accepts(listener.Accept), accepts(guarded.Accept), nil},
	}, nil
}

// timeAccepts connects n times, accepts n times, and closes all. It returns how long the
// accepts took.
func timeAccepts(address net.Addr, accept func() (net.Conn, error), n int) time.Duration {
	conns := make([]net.Conn, 0, 2*n)
	for range n {
		conn, err := net.Dial(address.Network(), address.String())
		must(err)
		conns = append(conns, conn)
	}
	start := time.Now()
	for range n {
		conn, err := accept()
		must(err)
		conns = append(conns, conn)
	}
	took := time.Since(start)
	for _, conn := range conns {
		conn.Close()
	}
	return took
}
