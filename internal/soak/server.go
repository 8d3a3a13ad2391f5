//go:build linux && (cgo || !android)

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// server is behind the doors.
type server struct {
	began   time.Time
	seed    uint64
	dir     string
	claims  string // what all claims begin with
	doors   []*door
	support peercred.Info
	label   string // everybody's, if security labels are available

	tally     *tally
	started   atomic.Int64 // client processes
	separate  atomic.Int64 // of them in namespaces of their own
	killed    atomic.Int64
	came      atomic.Int64 // connections, but those that a guard refused
	bells     atomic.Uint64
	room      chan struct{} // has an element for each visit that is served
	accepting sync.WaitGroup
	fail      func(error) // ends the run

	mu    sync.Mutex
	peers map[uint64]*peer // by number, until all of their connections are served
}

// mostVisits bounds how many connections are served at a time.
const mostVisits = 256

func newServer(seed uint64, fail func(error)) (*server, error) {
	us, err := self()
	if err != nil {
		return nil, err
	}
	s := &server{
		began: time.Now(), seed: seed, claims: fmt.Sprintf("@peercred-soak-%d.", os.Getpid()), fail: fail, support: peercred.Support(),
		tally: newTally(), room: make(chan struct{}, mostVisits), peers: map[uint64]*peer{ourselves: us},
	}
	if s.label, err = ownLabel(s.support.SecurityLabel); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "peercred-soak"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { // for the other users
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if s.doors, err = openDoors(s.dir, s.claims+"door.", s.denied); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	for _, d := range s.doors {
		s.accepting.Go(func() { s.accept(d) })
	}
	return s, nil
}

// close returns when nobody accepts any more.
func (s *server) close() error {
	err := closeDoors(s.doors)
	s.accepting.Wait()
	return errors.Join(err, os.RemoveAll(s.dir))
}

// ownLabel is our security label, which clients have too: to take another user's ids
// does not change it.
func ownLabel(label peercred.Fact) (string, error) {
	if !label.Available {
		return "", nil
	}
	ours, theirs, err := pair()
	if err != nil {
		return "", err
	}
	defer ours.Close()
	defer theirs.Close()
	return peercred.GetPeerSecurityLabel(ours)
}

// accept has all who come served.
func (s *server) accept(d *door) {
	for {
		conn, err := d.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.fail(errors.Join(fmt.Errorf("accept: %w", err), d.listener.Close())) // so that nobody waits in vain
			return
		}
		v, err := s.newVisit(conn)
		if err != nil {
			s.tally.wrong("%v", err)
			conn.Close()
			continue
		}
		s.room <- struct{}{}
		p := v.peer
		p.visits.Add(1)
		go v.serve()
		if p.number != ourselves {
			s.came.Add(1)
		}
	}
}

// newVisit looks up who must be at the other end.
func (s *server) newVisit(conn net.Conn) (*visit, error) {
	number, n, err := parseClaim(s.claims, conn.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	p := s.peers[number]
	s.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("a connection of client %d, of whom there are none any more", number)
	}
	return &visit{server: s, conn: conn, peer: p, choose: rand.New(rand.NewPCG(s.seed^number, n))}, nil
}

// denied is told whom a guard refuses. It is not told of which connection, so the pid
// is checked at the other doors alone.
func (s *server) denied(d *guard.Denied) {
	refused := users[2]
	right := !d.Failed && d.Credentials != nil && d.Credentials.UID == refused.uid && d.Credentials.GID == refused.gid
	s.tally.check("refusals", right, nil, d, "that of uid 4243 alone")
}

// connections are all, those that a guard refused too.
func (s *server) connections() int64 {
	n := s.came.Load()
	for _, d := range s.doors {
		if l, ok := d.listener.(*guard.Listener); ok {
			c := l.Counts()
			n += int64(c.Failed)
			for _, denied := range c.Denied {
				n += int64(denied)
			}
		}
	}
	return n
}

// register makes the claims of p known.
func (s *server) register(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[p.number] = p
}

// forget lets go of a peer that has ended, once all of its connections are served.
func (s *server) forget(p *peer) error {
	for _, d := range s.doors {
		if err := d.ring(claimOf(s.claims, ourselves, s.bells.Add(1)), s.tally); err != nil {
			return err
		}
	}
	p.visits.Wait()
	s.mu.Lock()
	delete(s.peers, p.number)
	s.mu.Unlock()
	if process := p.watched.Swap(nil); process != nil {
		defer process.Close()
		s.checkEnded(p, process)
	}
	return nil
}
