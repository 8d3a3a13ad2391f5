//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"example.com/peercred/guard"
	"golang.org/x/sys/unix"
)

// outcome is the required outcome of a user's connections at a guarded door.
type outcome int

const (
	admitted outcome = iota
	denied
	undecided // the policy panics
)

// user is a user of clients.
type user struct {
	uid, gid uint32
	outcome  outcome
}

var users = [...]user{{0, 0, admitted}, {4242, 2424, denied}, {4243, 3434, admitted}, {4244, 4444, undecided}}

// policy admits the users that must be admitted.
var policy = guard.AnyOf(
	guard.AllOf(guard.GIDs(users[0].gid, users[2].gid), guard.UIDs(users[0].uid, users[2].uid)),
	guard.Func("settled", func(p guard.Peer) error {
		if p.Credentials().UID == users[3].uid {
			panic("what now")
		}
		return errors.New("another user")
	}))

// loopbackPolicy does the same by the uid, which is all that TCP reports.
var loopbackPolicy = guard.AnyOf(guard.UIDs(users[0].uid, users[2].uid), guard.Func("settled", func(p guard.Peer) error {
	if uid, _ := p.UID(); uid == users[3].uid {
		panic("what now")
	}
	return errors.New("another user")
}))

type kind int

const (
	plain     kind = iota
	guarded        // by policy
	exits          // the same, and the peer's exit closes a connection
	web            // HTTP: the listener admits everybody, and the route has the policy
	loopback       // TCP, by loopbackPolicy
	datagrams      // each connection sends one
)

// door is a listener, where clients of all kinds come.
type door struct {
	Kind             kind
	Network, Address string

	listener net.Listener
	packets  *guard.PacketConn // instead of it
	came     atomic.Int64      // connections, unless Kind is web
	retried  atomic.Int64      // for lack of descriptors, if Kind is plain or datagrams
	reported atomic.Int64      // denials, to OnDeny
	made     [3]atomic.Int64   // connections, as the clients say, by outcome
}

// maxConns is more than clients have open, and less than they make. So if slots are not
// released, they run out.
const maxConns = 1024

func (d *door) open(s *server) (err error) {
	config := guard.Config{
		Policy: policy, MaxConns: maxConns, MaxConnsPerUID: maxConns, CloseOnExit: d.Kind == exits,
		OnDeny: func(denial *guard.Denied) { d.reported.Add(1); s.checkDenied(d, denial) },
	}
	if d.Kind == loopback {
		config.Policy = loopbackPolicy
		if d.listener, err = guard.Listen(context.Background(), d.Network, d.Address, config); err == nil {
			d.Address = d.listener.Addr().String()
		}
		return err
	}
	if d.Kind == datagrams {
		config.MaxConns, config.MaxConnsPerUID, config.Mode = 0, 0, 0o666
		config.Prefetch, config.ReceiveDescriptors = guard.PrefetchProcess, true
		d.packets, err = guard.ListenPacket(context.Background(), d.Network, d.Address, config)
		return err
	}
	if strings.HasPrefix(d.Address, "@") {
		config.Prefetch = guard.PrefetchGroups | guard.PrefetchSecurityLabel | guard.PrefetchProcess
	} else {
		config.Mode = 0o666
	}
	switch d.Kind {
	case plain:
		d.listener, err = net.Listen(d.Network, d.Address)
		return err
	case web:
		config.Policy = guard.Func("anybody", func(guard.Peer) error { return nil })
	}
	d.listener, err = guard.Listen(context.Background(), d.Network, d.Address, config)
	return err
}

// serve returns when the listener is closed.
func (d *door) serve(s *server) error {
	if d.Kind == web {
		return (&http.Server{
			Handler:     guard.Require(policy, s.checkWebDenied)(http.HandlerFunc(s.checkWeb)),
			ConnContext: guard.ConnContext,
			ErrorLog:    log.New(io.Discard, "", 0),
		}).Serve(d.listener)
	}
	if d.Kind == datagrams {
		return s.readPackets(d)
	}
	for {
		conn, err := d.listener.Accept()
		switch {
		case err == nil:
			s.receive(d, conn)
		case d.Kind == plain && errors.Is(err, unix.EMFILE):
			d.retried.Add(1)
			time.Sleep(time.Millisecond)
		default:
			return err
		}
	}
}

// shortages returns how often accept failed because no descriptor was left.
func (d *door) shortages() int64 {
	if l, ok := d.listener.(*guard.Listener); ok {
		return int64(l.Counts().Retried)
	}
	return d.retried.Load()
}

// fate counts the connections that were admitted, denied and undecided, those that were
// reported to OnDeny, and those that were received.
type fate [5]int64

// fates returns the counts of all connections, and the required counts.
func (d *door) fates() (got, want fate) {
	for o := range d.made {
		want[o] = d.made[o].Load()
	}
	if counted, ok := d.counted(); ok {
		c := counted.Counts()
		got = fate{int64(c.Accepted), 0, int64(c.Failed), d.reported.Load() + int64(c.Unreported), d.came.Load()}
		for _, n := range c.Denied {
			got[denied] += int64(n)
		}
	} else {
		got = fate{d.came.Load(), 0, 0, 0, d.came.Load()}
	}
	switch d.Kind {
	case plain:
		want = fate{want.sum(), 0, 0, 0, want.sum()}
	case guarded:
		want[3], want[4] = want[denied]+want[undecided], want[admitted]
	case exits, loopback, datagrams: // it also denies those who ended, or closed, before it asked
		want = fate{want.sum(), 0, 0, got[denied] + got[undecided], got[admitted]}
		got = fate{got.sum(), 0, 0, got[3], got[4]}
	case web:
		want = fate{want.sum()}
	}
	return got, want
}

// counted returns the door's counts, and ok=false if it has none.
func (d *door) counted() (c interface{ Counts() guard.Counts }, ok bool) {
	if d.packets != nil {
		return d.packets, true
	}
	c, ok = d.listener.(*guard.Listener)
	return c, ok
}

func (d *door) close() error {
	if d.packets != nil {
		return d.packets.Close()
	}
	return d.listener.Close()
}

// sum returns the number of connections.
func (f fate) sum() int64 { return f[admitted] + f[denied] + f[undecided] }
