//go:build unix && (cgo || (!android && !ios))

package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"example.com/peercred/guard"
)

// Each connection can take two descriptors, and 256 KiB for its peer's groups.
const (
	maxConnectionsOfUser = 64
	maxConnections       = 512
)

// connectionLimit limits the open connections of each user and of all, so that one user
// cannot take all descriptors, or all memory under many uids. Its policy and its count do
// not race: one goroutine of http.Server accepts a connection, and then calls the hook.
type connectionLimit struct {
	mostOfUser, most int

	mu    sync.Mutex
	open  int
	byUID map[uint32]int
}

func newConnectionLimit(mostOfUser, most int) *connectionLimit {
	return &connectionLimit{mostOfUser: mostOfUser, most: most, byUID: map[uint32]int{}}
}

// policy denies a peer while too many connections of its user, or of all, are open.
func (l *connectionLimit) policy() guard.Policy {
	rule := fmt.Sprintf("at most %d connections of one user and %d of all", l.mostOfUser, l.most)
	return guard.Func(rule, func(p guard.Peer) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch ofUser := l.byUID[p.Credentials().UID]; {
		case ofUser >= l.mostOfUser:
			return fmt.Errorf("%d of the user are open", ofUser)
		case l.open >= l.most:
			return fmt.Errorf("%d of all are open", l.open)
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
	l.open += n
	l.byUID[uid] += n
	if l.byUID[uid] == 0 {
		delete(l.byUID, uid)
	}
}
