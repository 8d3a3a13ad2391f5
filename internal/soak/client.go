//go:build linux && (cgo || !android)

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"example.com/peercred"
	"golang.org/x/sys/unix"
)

// orders are what a client process is told.
type orders struct {
	Number uint64
	Seed   uint64
	Claims string
	Doors  []*door
	Server peercred.PeerCredentials // as the client is to see it
	LetIn  bool                     // by the guards
}

const (
	inParallel  = 4                      // visitors in a client
	mostHeld    = 4                      // connections that each keeps open
	reportEvery = 200 * time.Millisecond // reports to the server
)

// client comes to the server's doors, and asks in turn who serves.
type client struct {
	orders
	told     atomic.Bool // to end
	attempts atomic.Uint64
	tally    *tally
}

// playClient lives until stdin ends. Its stdout is for reports, so it complains itself.
func playClient(o orders) error {
	c := &client{orders: o, tally: newTally()}
	if err := c.live(); err != nil {
		log.Fatalf("client %d: %v", o.Number, err)
	}
	return nil
}

func (c *client) live() error {
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil { // the doors are open
		return ignoreEOF(err)
	}
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		c.told.Store(true)
		close(end)
	}()
	failures := make(chan error, inParallel)
	for lane := range uint64(inParallel) {
		go func() { failures <- c.visitAll(rand.New(rand.NewPCG(c.Seed^c.Number, lane))) }()
	}
	reports := json.NewEncoder(os.Stdout)
	for ticker := time.NewTicker(reportEvery); ; {
		select {
		case <-ticker.C:
			if err := reports.Encode(c.tally.take()); err != nil {
				return err
			}
		case <-end:
			var err error
			for range inParallel {
				err = errors.Join(err, <-failures)
			}
			return errors.Join(err, reports.Encode(c.tally.take()))
		case err := <-failures:
			return err // before it was told to end
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// visitor is one of those in a client.
type visitor struct {
	*client
	choose *rand.Rand
	held   []net.Conn
}

func (c *client) visitAll(choose *rand.Rand) error {
	v := &visitor{client: c, choose: choose}
	defer v.letGo(0)
	for !c.told.Load() {
		if err := v.visit(c.Doors[choose.IntN(len(c.Doors))]); err != nil {
			return err
		}
	}
	return nil
}

// errands are what a client does at an unguarded door, before it closes the
// connection. It waits for the server only when it has written, or shut down its half.
var errands = []func(*visitor, *net.UnixConn){
	func(*visitor, *net.UnixConn) {},
	(*visitor).write,
	(*visitor).askWhoServes,
	(*visitor).handOver,
	func(v *visitor, conn *net.UnixConn) { v.write(conn); v.drain(conn) },
	func(v *visitor, conn *net.UnixConn) { v.closeWrite(conn); v.drain(conn) },
	func(v *visitor, conn *net.UnixConn) { v.handOver(conn); v.drain(conn) },
}

// guardedErrands are those at a guarded door.
var guardedErrands = []func(*visitor, *net.UnixConn){
	func(*visitor, *net.UnixConn) {},
	(*visitor).write,
	func(v *visitor, conn *net.UnixConn) { v.write(conn); v.listen(conn) },
	func(v *visitor, conn *net.UnixConn) { v.closeWrite(conn); v.listen(conn) },
	func(v *visitor, conn *net.UnixConn) { v.askWhoServes(conn); v.closeWrite(conn); v.listen(conn) },
}

func (v *visitor) visit(d *door) error {
	conn, err := d.dial(claimOf(v.Claims, v.Number, v.attempts.Add(1)), v.tally)
	if err != nil {
		return err
	}
	choices := errands
	if d.Guarded {
		choices = guardedErrands
	}
	choice := v.choose.IntN(len(choices) + 1)
	if choice == len(choices) { // keep it for a while
		v.letGo(mostHeld - 1)
		v.held = append(v.held, conn)
		return nil
	}
	choices[choice](v, conn)
	return conn.Close()
}

// letGo closes what is held but a number of connections, the oldest first.
func (v *visitor) letGo(but int) {
	for len(v.held) > but {
		v.held[0].Close()
		v.held = v.held[1:]
	}
}

func (v *visitor) write(conn *net.UnixConn) {
	_, err := conn.Write(make([]byte, 1+v.choose.IntN(100)))
	v.tally.failed("write", err)
}

func (v *visitor) closeWrite(conn *net.UnixConn) { v.tally.failed("shutdown", conn.CloseWrite()) }

func (v *visitor) drain(conn *net.UnixConn) {
	_, err := io.Copy(io.Discard, conn)
	v.tally.failed("read", err)
}

// listen learns whether it was let in.
func (v *visitor) listen(conn *net.UnixConn) {
	want := ""
	if v.LetIn {
		want = welcome
	}
	got, err := hearOut(conn)
	v.tally.failed("read", err)
	v.tally.check("doors", got == want, nil, fmt.Sprintf("told %q", got), fmt.Sprintf("%q", want))
}

// askWhoServes asks from here, which may be in other namespaces, who listens, and who
// made a socketpair.
func (v *visitor) askWhoServes(conn *net.UnixConn) {
	got, err := peercred.GetPeerCredentials(conn)
	v.tally.check("who serves", got != nil && *got == v.Server, err, got, &v.Server)
	ours, theirs, err := pair()
	if err != nil {
		v.tally.failed("socketpair", err)
		return
	}
	defer ours.Close()
	defer theirs.Close()
	want := peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	got, err = peercred.GetPeerCredentials(ours)
	v.tally.check("oneself", got != nil && *got == want, err, got, &want)
}

// handOver passes on one end of a socketpair.
func (v *visitor) handOver(conn *net.UnixConn) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		v.tally.failed("socketpair", err)
		return
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	_, _, err = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(ends[0]), nil)
	v.tally.failed("hand over", err)
}

// pair returns both ends of a socketpair.
func pair() (ours, theirs net.Conn, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if ours, err = connOf(ends[0]); err != nil {
		unix.Close(ends[1])
		return nil, nil, err
	}
	if theirs, err = connOf(ends[1]); err != nil {
		ours.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// connOf takes over a descriptor, also if it fails.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "socketpair")
	defer file.Close()
	return net.FileConn(file)
}
