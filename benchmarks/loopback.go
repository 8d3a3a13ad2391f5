//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cakturk/go-netstat/netstat"
	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// manyConns is the number of connections that are open while a question is asked about one.
const manyConns = 10_000

// loopbackSubjects ask who is at the other end of a TCP connection over loopback.
func loopbackSubjects() ([]subject, error) {
	conn, err := acceptTCP()
	if err != nil {
		return nil, err
	}
	bare, err := newBareDiag(conn)
	if err != nil {
		return nil, err
	}
	ask := question(func() (uint32, error) { return peercred.GetLoopbackPeerUID(conn) })
	for _, try := range []question{bare.ask, ask} {
		if _, err := try(); err != nil {
			return nil, err
		}
	}
	table := question(func() (uint32, error) { return inProcNetTCP(conn) })
	library := question(func() (uint32, error) { return askNetstat(conn) })
	plain, require := webClient(nil), webClient(guardedWeb)
	const exchange, one = "sendto, recvfrom (sock_diag)", "GetLoopbackPeerUID"
	return []subject{
		{kernel, exchange, exchange, 100, question(bare.ask).run, question(bare.ask).run, nil},
		{ours, one, exchange, 100, question(bare.ask).run, ask.run, ask},
		{scaling, fmt.Sprintf("%s beside %d connections", one, manyConns), one, 5000, ask.run, besideMany(ask), nil},
		{serving, "HTTP with guard.Require, kept alive", "HTTP over TCP", 20, plain, require, nil},
		{others, "reading proc net tcp", exchange, 1, question(bare.ask).run, table.run, nil},
		{others, "cakturk/go-netstat", exchange, 1, question(bare.ask).run, library.run, nil},
	}, nil
}

func listenTCP() (net.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return config.Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// otherEnds keeps connections from being closed by the garbage collector.
var otherEnds []net.Conn

func acceptTCP() (*net.TCPConn, error) {
	listener, err := listenTCP()
	if err != nil {
		return nil, err
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	otherEnds = append(otherEnds, client)
	conn, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// bareDiag asks inet_diag one question, and checks nothing.
type bareDiag struct {
	fd       int
	question []byte
	answer   [256]byte
}

func newBareDiag(conn net.Conn) (*bareDiag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	own, peer := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	q := make([]byte, 72) // struct nlmsghdr and struct inet_diag_req_v2
	order := binary.NativeEndian
	order.PutUint32(q, 72)
	order.PutUint16(q[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(q[6:], unix.NLM_F_REQUEST)
	q[16], q[17] = unix.AF_INET, unix.IPPROTO_TCP
	order.PutUint32(q[20:], ^uint32(0))
	binary.BigEndian.PutUint16(q[24:], uint16(peer.Port))
	binary.BigEndian.PutUint16(q[26:], uint16(own.Port))
	copy(q[28:], peer.IP.To4())
	copy(q[44:], own.IP.To4())
	order.PutUint64(q[64:], ^uint64(0))
	return &bareDiag{fd: fd, question: q}, nil
}

func (b *bareDiag) ask() (uint32, error) {
	if err := unix.Sendto(b.fd, b.question, 0, nil); err != nil {
		return 0, err
	}
	n, err := unix.Read(b.fd, b.answer[:])
	if err == nil && n < 88 {
		err = errors.New("no answer of sock_diag")
	}
	return binary.NativeEndian.Uint32(b.answer[80:]), err
}

// besideMany asks while many connections are open. Nobody accepts them, which saves half of
// the descriptors.
func besideMany(ask question) func(n int) time.Duration {
	return func(n int) time.Duration {
		const waiting = 2000 // fewer than the kernel lets wait
		for range manyConns / waiting {
			listener, err := listenTCP()
			must(err)
			defer listener.Close()
			for range waiting {
				client, err := net.Dial("tcp", listener.Addr().String())
				must(err)
				defer client.Close()
			}
		}
		return ask.run(n)
	}
}

// inProcNetTCP is what programs do that read the table of all connections.
func inProcNetTCP(conn *net.TCPConn) (uint32, error) {
	file, err := os.Open("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	word := func(a net.Addr) string {
		tcp := a.(*net.TCPAddr)
		return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(tcp.IP.To4()), tcp.Port)
	}
	want := word(conn.RemoteAddr()) + " " + word(conn.LocalAddr())
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), want); ok {
			var uid uint32
			_, err := fmt.Sscan(strings.Fields(rest)[4], &uid)
			return uid, err
		}
	}
	return 0, errors.New("the connection is not in /proc/net/tcp")
}

func askNetstat(conn *net.TCPConn) (uint32, error) {
	own, peer := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	found, err := netstat.TCPSocks(func(e *netstat.SockTabEntry) bool {
		return int(e.LocalAddr.Port) == peer.Port && int(e.RemoteAddr.Port) == own.Port
	})
	if err == nil && len(found) == 0 {
		err = errors.New("netstat does not have the connection")
	}
	if err != nil {
		return 0, err
	}
	return found[0].UID, nil
}

// guardedWeb guards a server on loopback.
func guardedWeb(server *http.Server, inner net.Listener) net.Listener {
	listener, err := guard.NewListener(inner, guard.Config{Policy: guard.CurrentUser(), AllowLoopbackTCP: true})
	must(err)
	server.ConnContext = guard.ConnContext
	server.Handler = guard.Require(guard.CurrentUser())(server.Handler)
	return listener
}

// webClient returns what sends n requests to a server over one connection.
func webClient(protect func(*http.Server, net.Listener) net.Listener) func(n int) time.Duration {
	start := sync.OnceValue(func() string {
		listener, err := listenTCP()
		must(err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })}
		if protect != nil {
			listener = protect(server, listener)
		}
		go server.Serve(listener)
		return "http://" + listener.Addr().String()
	})
	client := &http.Client{Transport: new(http.Transport)}
	return func(n int) time.Duration {
		url := start()
		began := time.Now()
		for range n {
			response, err := client.Get(url)
			must(err)
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		return time.Since(began)
	}
}
