//go:build linux && (cgo || !android)

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"example.com/peercred"
	"golang.org/x/sys/unix"
)

// orders are the orders of a client process.
type orders struct {
	Number      int64
	Claims      string
	Doors       []*door
	Server      peercred.PeerCredentials // as the client must see it
	Outcome     outcome                  // at the guarded doors
	Connections int64                    // to make
	Killed      bool                     // while connections are open
}

// report is a client's report at the end.
type report struct {
	Made  []int64        // connections, by door
	Right map[string]int // answers
}

const (
	lanes     = 4  // connections that a client makes at the same time
	mostFlood = 16 // connections of one flood
)

// client comes to the server's doors.
type client struct {
	orders
	tally *tally
	mu    sync.Mutex // held while connecting
	last  int64      // connection
	made  []int64
}

// playClient runs until stdin ends. Its stdout is for the report, so it prints its own errors.
func playClient(o orders) error {
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil { // wait until the server knows us
		log.Fatal(err)
	}
	fail := func(err error) { log.Fatalf("client %d: %v", o.Number, err) }
	c := &client{orders: o, tally: &tally{fail: fail, right: map[string]int{}}, made: make([]int64, len(o.Doors))}
	ended := make(chan struct{}, lanes)
	var all sync.WaitGroup
	for range lanes {
		all.Go(func() {
			l := &lane{client: c}
			for l.visit(rand.IntN(len(c.Doors))) {
			}
			ended <- struct{}{}
		})
	}
	if <-ended; !c.Killed { // otherwise other goroutines may still be busy
		all.Wait()
	}
	c.mu.Lock() // never unlocked: nobody connects after the report
	c.tally.mu.Lock()
	if err := json.NewEncoder(os.Stdout).Encode(report{c.made, c.tally.right}); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// lane makes one connection after another.
type lane struct {
	*client
	open []net.Conn
}

// errands are the things that a client does at a door before it hangs up. It waits for the
// server only after it has written, or shut down its half.
var errands = map[kind][]func(*lane, socket){
	plain:   {hangUp, write, drain, (*lane).askWhoServes, (*lane).handOver},
	guarded: {hangUp, write, drain, (*lane).askWhoServes, (*lane).handOver, (*lane).listen},
	exits:   {hangUp, write, drain, (*lane).handOver}, // here a client may be denied
	web:     {hangUp, write, (*lane).get},

	loopback: {hangUp, write, drain, reset, (*lane).listen},

	datagrams: {hangUp},
}

// socket is a *net.UnixConn or a *net.TCPConn.
type socket interface {
	net.Conn
	CloseWrite() error
}

// visit reports whether there are connections left to make.
func (l *lane) visit(door int) bool {
	conn := l.dial(door)
	if conn == nil {
		return false
	}
	l.open = append(l.open, conn)
	choices := errands[l.Doors[door].Kind]
	switch choice := rand.IntN(len(choices) + 2); choice {
	case len(choices): // keep it open until after the next
		return true
	case len(choices) + 1: // make many before the first is closed
		for range rand.IntN(mostFlood) {
			if conn := l.dial(door); conn != nil {
				l.open = append(l.open, conn)
			}
		}
	default:
		choices[choice](l, conn)
	}
	for _, conn := range l.open {
		conn.Close()
	}
	l.open = nil
	return true
}

// dial returns nil if all connections were made. It tries again while too many wait to be
// accepted.
func (l *lane) dial(door int) socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == l.Connections {
		return nil
	}
	l.last++
	l.made[door]++
	d := l.Doors[door]
	if d.Kind == loopback {
		conn, err := net.DialTCP("tcp", &net.TCPAddr{IP: claimOverTCP(l.Number)}, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(d.Address)))
		if err != nil {
			l.tally.fail(err)
		}
		return conn
	}
	claim := net.UnixAddr{Name: fmt.Sprintf("%s%d.%d", l.Claims, l.Number, l.last), Net: d.Network}
	for {
		conn, err := net.DialUnix(d.Network, &claim, &net.UnixAddr{Name: d.Address, Net: d.Network})
		if err == nil && d.Kind == datagrams {
			sendOne(l, conn)
		}
		if err == nil {
			return conn
		}
		if !errors.Is(err, unix.EAGAIN) {
			l.tally.fail(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// sendOne sends a datagram, sometimes with a descriptor.
func sendOne(l *lane, conn *net.UnixConn) {
	var control []byte
	if rand.IntN(4) == 0 {
		control = unix.UnixRights(0)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var sent error
		err = raw.Write(func(fd uintptr) bool {
			sent = unix.Sendmsg(int(fd), []byte("x"), control, nil, 0)
			return !errors.Is(sent, unix.EAGAIN)
		})
		err = errors.Join(err, sent)
	}
	if err != nil {
		l.tally.fail(err)
	}
}

// The server may close a connection at any time, so an errand may fail.

func hangUp(*lane, socket) {}

func reset(_ *lane, conn socket) { _ = conn.(*net.TCPConn).SetLinger(0) }

func write(_ *lane, conn socket) { _, _ = conn.Write(make([]byte, 1+rand.IntN(100))) }

func drain(_ *lane, conn socket) { _ = hearOut(conn) }

// hearOut shuts down half of the connection, and returns everything that it reads until the
// other end closes. It reads on after the first end of file. On a packet connection that can
// come before a packet that is there: see __unix_dgram_recvmsg in Linux's net/unix/af_unix.c.
func hearOut(conn socket) string {
	_ = conn.CloseWrite()
	said, _ := io.ReadAll(conn)
	rest, _ := io.ReadAll(conn)
	return string(said) + string(rest)
}

// listen learns whether it is admitted.
func (l *lane) listen(conn socket) {
	if rand.IntN(2) == 0 {
		write(l, conn)
	}
	got, want := hearOut(conn), map[outcome]string{admitted: welcome}[l.Outcome]
	l.tally.check("welcome", got == want, nil, got, want)
}

// askWhoServes may ask from another pid namespace.
func (l *lane) askWhoServes(conn socket) {
	got, err := peercred.GetPeerCredentials(conn)
	l.tally.check("server", got != nil && *got == l.Server, err, got, &l.Server)
}

// handOver sends one end of a socketpair. A guard may not accept it.
func (l *lane) handOver(conn socket) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.tally.fail(err)
	}
	_, _, _ = conn.(*net.UnixConn).WriteMsgUnix([]byte{0}, unix.UnixRights(ends[0]), nil)
	unix.Close(ends[0])
	unix.Close(ends[1])
	if rand.IntN(2) == 0 {
		drain(l, conn)
	}
}

const requestText = "GET / HTTP/1.1\r\nHost: soak\r\n\r\n"

// get sends some requests at once, and mostly reads the answers.
func (l *lane) get(conn socket) {
	want := map[outcome]string{admitted: "200 " + welcome, denied: "403 ", undecided: "500 "}[l.Outcome]
	requests := 1 + rand.IntN(3)
	_, _ = io.WriteString(conn, strings.Repeat(requestText, requests))
	if rand.IntN(3) == 0 {
		return
	}
	answers := bufio.NewReader(conn)
	for range requests {
		got := ""
		answer, err := http.ReadResponse(answers, nil)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(answer.Body)
			got = fmt.Sprintf("%d %s", answer.StatusCode, body)
		}
		l.tally.check("web answer", got == want, err, got, want)
	}
}
