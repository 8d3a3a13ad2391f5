//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"example.com/peercred/guard"
	"golang.org/x/sys/unix"
)

// server serves the doors and knows all clients.
type server struct {
	options
	ctx     context.Context // done when the run has failed, or was interrupted
	fail    func(error)
	dir     string
	claims  string // the beginning of the names of all connections
	doors   []*door
	serving sync.WaitGroup
	before  remains // when there were no clients

	began   time.Time
	tally   tally
	planned atomic.Int64 // connections of all clients that were started
	scarce  sync.RWMutex // held to start a client, and while descriptors are scarce
	peers   sync.Map     // *peer by number, until all are at rest
	last    atomic.Int64 // number of a peer
}

func newServer(ctx context.Context, o options) (_ *server, err error) {
	s := &server{options: o, claims: fmt.Sprintf("@peercred-soak-%d.", os.Getpid()), began: time.Now()}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	s.tally = tally{fail: s.fail, right: map[string]int{}}
	if s.dir, err = os.MkdirTemp("", "peercred-soak"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { // for the other users
		return nil, errors.Join(err, s.close())
	}
	for _, d := range []*door{
		{Kind: plain, Network: "unix", Address: s.claims + "stream"},
		{Kind: plain, Network: "unixpacket", Address: s.claims + "packet"},
		{Kind: guarded, Network: "unix", Address: filepath.Join(s.dir, "guarded")},
		{Kind: guarded, Network: "unixpacket", Address: s.claims + "guarded"},
		{Kind: exits, Network: "unix", Address: filepath.Join(s.dir, "exits")},
		{Kind: web, Network: "unix", Address: filepath.Join(s.dir, "web")},
		{Kind: loopback, Network: "tcp", Address: "127.0.0.1:0"},
		{Kind: datagrams, Network: "unixgram", Address: filepath.Join(s.dir, "datagrams")},
	} {
		if err := d.open(s); err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.doors = append(s.doors, d)
		s.serving.Go(func() {
			if err := d.serve(s); !errors.Is(err, net.ErrClosed) {
				s.fail(fmt.Errorf("the listener of %v ended: %w", d.Address, err))
			}
		})
	}
	s.before = count()
	return s, nil
}

func (s *server) close() (err error) {
	for _, d := range s.doors {
		err = errors.Join(err, d.close())
	}
	s.serving.Wait()
	s.fail(nil)
	return errors.Join(err, os.RemoveAll(s.dir))
}

// receive starts serving a connection. A guard passes it no connection of a denied peer.
func (s *server) receive(d *door, conn net.Conn) {
	v := &visit{server: s, door: d, conn: conn, peer: s.claimant(conn.RemoteAddr().String())}
	if v.peer == nil || s.plant != nil && s.plant(v) {
		conn.Close()
		return
	}
	d.came.Add(1)
	go v.serve()
}

// claimOverTCP is the address of a client's connections over TCP.
func claimOverTCP(number int64) net.IP {
	return net.IPv4(127, byte(1+number>>16), byte(number>>8), byte(number))
}

// claimant returns the client that must be at the other end. A client binds each connection
// to a name that says so. The server can read the name even if the client has ended.
func (s *server) claimant(claim string) *peer {
	var number, n int64
	_, err := fmt.Sscanf(claim, s.claims+"%d.%d", &number, &n)
	if tcp, notTCP := netip.ParseAddrPort(claim); notTCP == nil {
		ip := tcp.Addr().As4()
		number, err = int64(ip[1]-1)<<16|int64(ip[2])<<8|int64(ip[3]), nil
	}
	p, _ := s.peers.Load(number)
	if err != nil || p == nil {
		s.tally.check("claim", false, err, claim, "that of a client")
		return nil
	}
	return p.(*peer)
}

// inhabit starts clients again and again until they have made enough connections for long
// enough, and each door has run out of descriptors. After all have ended, it returns what is
// wrong.
func (s *server) inhabit(connections int64, long time.Duration) error {
	began, target := time.Now(), s.planned.Load()+connections
	living, end := context.WithCancel(s.ctx)
	var clients, others sync.WaitGroup
	others.Go(func() { s.exhaust(living) })
	others.Go(func() { s.watch(living) })
	for n := range 2 * len(users) {
		clients.Go(func() {
			for s.ctx.Err() == nil {
				lived := time.Since(began)
				ready := s.fewestShortages() > 0 || lived > long+s.patience
				if lived >= long && s.planned.Load() >= target && ready {
					return
				}
				if err := s.liveAndDie(users[n%len(users)]); err != nil {
					s.fail(err)
				}
			}
		})
	}
	clients.Wait()
	end()
	others.Wait()
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	return s.rest()
}

// exhaust makes the descriptors run out, again and again.
func (s *server) exhaust(ctx context.Context) {
	for wait(ctx, 200*time.Millisecond) {
		s.scarce.Lock()
		var limit unix.Rlimit
		err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		if err == nil {
			few := unix.Rlimit{Cur: uint64(1 + rand.IntN(100)), Max: limit.Max} // poll(2) requires 1
			err = unix.Setrlimit(unix.RLIMIT_NOFILE, &few)
			wait(ctx, 30*time.Millisecond)
			err = errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		}
		s.scarce.Unlock()
		if err != nil {
			s.fail(err)
		}
	}
}

// wait reports whether the time has passed before the context was done.
func wait(ctx context.Context, long time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(long):
		return true
	}
}

// watch prints the progress, and fails if there are no more answers.
func (s *server) watch(ctx context.Context) {
	last, came, shown := 0, time.Now(), time.Now()
	for wait(ctx, 100*time.Millisecond) {
		if now := s.tally.total(); now != last {
			last, came = now, time.Now()
		}
		if time.Since(came) > s.patience {
			s.fail(fmt.Errorf("lost: no answer for %v: a client waits", s.patience))
		}
		if time.Since(shown) >= 10*time.Second {
			fmt.Println(s.progress())
			shown = time.Now()
		}
	}
}

func (s *server) progress() string {
	return fmt.Sprintf("  %v: %d connections, %d right answers, each listener %d times or more without a descriptor",
		time.Since(s.began).Round(time.Second), s.planned.Load(), s.tally.total(), s.fewestShortages())
}

// fewestShortages returns the smallest number of shortages of a door.
func (s *server) fewestShortages() int64 {
	n := s.doors[0].shortages()
	for _, d := range s.doors {
		n = min(n, d.shortages())
	}
	return n
}

// rest waits until all connections have come and nothing is left over. It forgets all
// clients, and returns what is wrong.
func (s *server) rest() (err error) {
	for deadline := time.Now().Add(s.patience); ; time.Sleep(time.Millisecond) {
		err = nil
		for _, d := range s.doors {
			if got, want := d.fates(); got != want {
				err = errors.Join(err, fmt.Errorf("lost: %v: admitted, denied, undecided, reported, received: %d, want %d", d.Address, got, want))
			}
		}
		if now := count(); now.descriptors > s.before.descriptors || now.goroutines > s.before.goroutines {
			err = errors.Join(err, fmt.Errorf("left over: %+v, and %+v before", now, s.before))
		}
		if err == nil || time.Now().After(deadline) {
			break
		}
	}
	s.peers.Clear()
	if s.fewestShortages() == 0 {
		err = errors.Join(err, errors.New("not every listener ran out of descriptors, so nothing is known about that"))
	}
	return errors.Join(err, context.Cause(s.ctx))
}

// checkDenied checks a denied peer. It does not know which connection that was.
func (s *server) checkDenied(d *door, denial *guard.Denied) {
	right := d.Kind == datagrams && errors.Is(denial, unix.ENOBUFS) // its descriptor could not be received
	if right {
		d.retried.Add(1)
	}
	if tcp := denial.Loopback; tcp != nil {
		right = tcp.UID == nil && denial.Failed // it had closed
		for _, u := range users {
			right = right || tcp.UID != nil && *tcp.UID == u.uid && u.outcome != admitted && denial.Failed == (u.outcome == undecided)
		}
	}
	for _, u := range users {
		if c := denial.Credentials; c != nil && c.UID == u.uid && c.GID == u.gid {
			right = u.outcome != admitted && denial.Failed == (u.outcome == undecided)
			right = right || u.outcome == admitted && d.Kind == exits // it ended, or could not be watched
		}
	}
	s.tally.check("denial", right, nil, denial, "users that must not be admitted")
}
