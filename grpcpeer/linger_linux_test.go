//go:build !android

package grpcpeer_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
	"example.com/peercred/internal/reexec"
)

// The attack of these tests: a peer sends a TCP socket along with its connection, and
// closes its own descriptor. The socket has unsent data, and lingers. So close(2) of the
// connection waits until the data is read, which nobody does, or for 300 seconds.

// lingerer makes sockets whose last close waits until end is called.
type lingerer struct{ listener net.Listener }

func needLingerer(t testing.TB) lingerer {
	t.Helper()
	l, err := newLingerer()
	if err != nil {
		t.Skipf("needs a loopback interface: %v", err)
	}
	t.Cleanup(l.end)
	return l
}

func newLingerer() (lingerer, error) {
	small := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error {
		var failed error
		err := socket.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) // the least
		})
		return errors.Join(err, failed)
	}}
	listener, err := small.Listen(context.Background(), "tcp", "127.0.0.1:0")
	return lingerer{listener}, err
}

// end resets the connections, which were never accepted.
func (l lingerer) end() { l.listener.Close() }

// socket returns the descriptor of a socket that lingers.
func (l lingerer) socket() (fd int, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	port := l.listener.Addr().(*net.TCPAddr).Port
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 16<<10), // more than the reader's
		syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 300}),
		syscall.Connect(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}),
		fill(fd))
	return fd, err
}

// fill writes until no more is taken.
func fill(fd int) error {
	unsent := make([]byte, 1<<20)
	for {
		if err := syscall.Sendmsg(fd, unsent, nil, nil, syscall.MSG_DONTWAIT); err != nil {
			if err == syscall.EAGAIN {
				return nil
			}
			return err
		}
	}
}

// connect connects to a Unix socket, and leaves a lingering socket in the connection.
func (l lingerer) connect(address string) error {
	client, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(client)
	if err := syscall.Connect(client, &syscall.SockaddrUnix{Name: address}); err != nil {
		return err
	}
	return l.send(client)
}

// send sends a lingering socket, and leaves no other descriptor of it.
func (l lingerer) send(connection int) error {
	fd, err := l.socket()
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Sendmsg(connection, []byte{0}, syscall.UnixRights(fd), nil, 0)
}

// playAttacker connects so many times.
func playAttacker(address string, count int) error {
	lingerer, err := newLingerer()
	if err != nil {
		return err
	}
	defer lingerer.end()
	for range count {
		if err := lingerer.connect(address); err != nil {
			return err
		}
	}
	reexec.Step("attacked")
	return nil
}

// playVictim serves root on a listener of package net. It ends if it has more than so many
// threads, as every Go program does at 10,000.
func playVictim(address string, threads int) error {
	debug.SetMaxThreads(threads)
	debug.SetTraceback("none")
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	reexec.Step("listening") // the kernel keeps the connections until they are accepted
	server := grpc.NewServer(serverCreds(guard.UIDs(root)))
	healthgrpc.RegisterHealthServer(server, &service{})
	go server.Serve(listener)
	reexec.Step("serving")
	return nil
}

// Denied peers can make the server wait for the kernel in at most 512 threads, which is
// guard's limit.
func TestDeniedPeersTakeFewThreads(t *testing.T) {
	reexec.NeedRoot(t)
	needLingerer(t)
	const threads, attempts, calls = 650, 900, 20
	needBacklog(t, attempts)
	address, target := abstract()
	victim := reexec.Start(t, role{Do: "be attacked", Address: address, Count: threads})
	victim.Expect("listening")
	attacker := reexec.Start(t, role{Do: "attack", ID: alice, Address: address, Count: attempts})
	attacker.Expect("attacked")
	victim.Proceed()
	victim.Expect("serving")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Each call has a connection of its own, which is accepted after the attacker's.
	for range calls {
		if got := callCheck(ctx, dialInsecure(t, target)); got != fine {
			t.Fatalf("root's call: %v", got)
		}
	}
	attacker.Finish()
	victim.Finish()
}

// needBacklog skips the test if fewer connections can wait to be accepted.
func needBacklog(t testing.TB, connections int) {
	t.Helper()
	const setting = "/proc/sys/net/core/somaxconn"
	text, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	if most, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || most < connections {
		t.Skipf("needs a backlog of %d connections, and %s has %q", connections, setting, text)
	}
}

// After a denied server the client still reaches the right one.
func TestDeniedServerHoldsNobodyUp(t *testing.T) {
	needClients(t)
	lingerer := needLingerer(t)
	address, target := abstract()
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sendToFirst(listener, lingerer) }()

	var asked atomic.Int32
	notTheFirst := guard.Func("not the first", func(guard.Peer) error {
		if asked.Add(1) > 1 {
			return nil
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		serve(t, listener, serverCreds(guard.CurrentUser())) // the right one
		return errors.New("refused")
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := dial(t, target, grpcpeer.NewClientCredentials(notTheFirst))
	if got := callCheck(ctx, client, grpc.WaitForReady(true)); got != fine {
		t.Errorf("call: %v", got)
	}
}

// sendToFirst sends a lingering socket to the first client.
func sendToFirst(listener net.Listener, lingerer lingerer) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = lingerer.send(int(fd)) })
	return errors.Join(err, failed)
}
