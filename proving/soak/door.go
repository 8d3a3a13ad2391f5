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

// outcome is what must become of the connections of a user at a guarded door.
type outcome int

const (
	admitted outcome = iota
	denied
	undecided // the policy panics
)

// user is one that clients run as.
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

type kind int

const (
	plain   kind = iota
	guarded      // by policy
	exits        // the same, and the peer's exit closes a connection
	web          // HTTP: the listener admits everybody, the route goes by policy
)

// door is a listener, where clients of all kinds come.
type door struct {
	Kind             kind
	Network, Address string

	listener net.Listener
	came     atomic.Int64    // connections, unless Kind is web
	retried  atomic.Int64    // for lack of descriptors, if Kind is plain
	reported atomic.Int64    // denials, to OnDeny
	made     [3]atomic.Int64 // connections, as the clients say, by outcome
}

// maxConns is more than clients have open, and less than they make: slots that are not
// given back run out.
const maxConns = 1024

func (d *door) open(s *server) (err error) {
	config := guard.Config{
		Policy: policy, MaxConns: maxConns, MaxConnsPerUID: maxConns, CloseOnExit: d.Kind == exits,
		OnDeny: func(denial *guard.Denied) { d.reported.Add(1); s.checkDenied(d, denial) },
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

// shortages is how often there was no descriptor to accept with.
func (d *door) shortages() int64 {
	if l, ok := d.listener.(*guard.Listener); ok {
		return int64(l.Counts().Retried)
	}
	return d.retried.Load()
}

// fate is how many connections were admitted, denied and undecided, how many of these were
// reported to OnDeny, and how many were received.
type fate [5]int64

// fates returns what has become of all connections, and what must have.
func (d *door) fates() (got, want fate) {
	for o := range d.made {
		want[o] = d.made[o].Load()
	}
	if l, ok := d.listener.(*guard.Listener); ok {
		c := l.Counts()
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
	case exits: // it also denies those who ended before it asked
		want = fate{want.sum(), 0, 0, got[denied] + got[undecided], got[admitted]}
		got = fate{got.sum(), 0, 0, got[3], got[4]}
	case web:
		want = fate{want.sum()}
	}
	return got, want
}

// sum is how many connections there were.
func (f fate) sum() int64 { return f[admitted] + f[denied] + f[undecided] }
