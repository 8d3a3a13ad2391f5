//go:build unix && (cgo || (!android && !ios))

package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"example.com/peercred/guard"
)

const maxConnectionsOfUser = 64

// connectionLimit keeps one user from taking all descriptors. Its policy and its
// counting do not race: http.Server accepts a connection and calls the hook for a
// new one in turn, in one goroutine.
type connectionLimit struct {
	most int // of one user
	mu   sync.Mutex
	open map[uint32]int // by uid
}

func newConnectionLimit(most int) *connectionLimit {
	return &connectionLimit{most: most, open: map[uint32]int{}}
}

// policy refuses a user who has most connections already.
func (l *connectionLimit) policy() guard.Policy {
	return guard.Func(fmt.Sprintf("at most %d connections of one user", l.most), func(p guard.Peer) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if open := l.open[p.Credentials().UID]; open >= l.most {
			return fmt.Errorf("%d are open", open)
		}
		return nil
	})
}

// track is a hook for http.Server.ConnState.
func (l *connectionLimit) track(conn net.Conn, state http.ConnState) {
	peer := conn.(*guard.Conn).Peer()
	switch state {
	case http.StateNew:
		l.add(peer.Credentials().UID, 1)
	case http.StateClosed:
		l.add(peer.Credentials().UID, -1)
	}
}

func (l *connectionLimit) add(uid uint32, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[uid] += n
	if l.open[uid] == 0 {
		delete(l.open, uid)
	}
}
