package guard

import (
	"fmt"
	"sync"
)

// limits counts the open connections of a [Listener]: in all, and of each user.
type limits struct {
	most, mostOfUID int // negative for any number

	mu    sync.Mutex
	open  int
	ofUID map[uint32]int // only uids with open connections
}

// limits returns the limits that config asks for. The defaults, which [Config] documents,
// are for a process that may have this many descriptors.
func (c Config) limits(descriptors int) *limits {
	each := 1 // descriptors of a connection
	if c.CloseOnExit || c.Prefetch&PrefetchProcess != 0 {
		each = 2
	}
	available := descriptors / each
	l := &limits{most: c.MaxConns, mostOfUID: c.MaxConnsPerUID, ofUID: map[uint32]int{}}
	if l.most == 0 {
		l.most = max(1, available/2)
	}
	switch {
	case l.mostOfUID == 0 && l.most > 0:
		l.mostOfUID = max(1, l.most/2)
	case l.mostOfUID == 0:
		l.mostOfUID = max(1, available/4)
	}
	return l
}

// enter takes a slot, which [limits.leave] gives back. If no slot is left, it returns the
// rule that denies the peer.
func (l *limits) enter(uid uint32) (rule string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mostOfUID >= 0 && l.ofUID[uid] >= l.mostOfUID:
		return fmt.Sprintf("at most %d connections of a uid", l.mostOfUID), false
	case l.most >= 0 && l.open >= l.most:
		return fmt.Sprintf("at most %d connections", l.most), false
	}
	l.open++
	l.ofUID[uid]++
	return "", true
}

func (l *limits) leave(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.ofUID[uid]--; l.ofUID[uid] == 0 {
		delete(l.ofUID, uid)
	}
}
