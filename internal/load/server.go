//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/peercred/guard"
	"example.com/peercred/internal/remains"
	"golang.org/x/sys/unix"
)

// welcome is what a peer is told that was let in.
const welcome = "welcome"

// server greets whom it lets in, and checks that nobody else comes.
type server struct {
	dir, path string
	listener  *guard.Listener
	made      atomic.Int64 // connections, of which the clients told
	reported  atomic.Int64 // refusals that the hook was told of
	wrong     atomic.Int64 // peers that were let in and should not have been
	failures  chan error
}

func startServer() (*server, error) {
	dir, err := os.MkdirTemp("", "peercred-load")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, path: filepath.Join(dir, "s"), failures: make(chan error, 1)}
	if err := os.Chmod(dir, 0o755); err != nil { // for the other users
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.listener, err = guard.Listen(context.Background(), "unix", s.path, guard.Config{
		Mode: 0o666,
		Policy: guard.AnyOf(guard.UIDs(welcomed), guard.Func("settled", func(p guard.Peer) error {
			if p.Credentials().UID == unsettled {
				panic("what now")
			}
			return errors.New("another user")
		})),
		Prefetch: guard.PrefetchGroups | guard.PrefetchProcess,
		OnDeny:   func(*guard.Denied) { s.reported.Add(1) },
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go s.accept()
	return s, nil
}

func (s *server) remove() {
	s.listener.Close()
	os.RemoveAll(s.dir)
}

func (s *server) accept() {
	for {
		conn, err := s.listener.AcceptPeer()
		if err != nil {
			s.failures <- err
			return
		}
		go s.greet(conn)
	}
}

func (s *server) greet(conn *guard.Conn) {
	defer conn.Close()
	if conn.Peer().Credentials().UID != welcomed {
		s.wrong.Add(1)
	}
	_, _ = io.WriteString(conn, welcome) // some do not wait for it
}

// warmUp has one peer of each user come, so that what is made once is made.
func (s *server) warmUp() error {
	return s.visit(1, func() error { return nil })
}

// load lets descriptors run out, and all clients come. The garbage collector is off
// meanwhile, so that it does not close what was forgotten.
func (s *server) load() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	debug.SetGCPercent(-1)
	s.made.Store(0)
	stop := make(chan struct{})
	var progress sync.WaitGroup
	progress.Go(func() { s.showProgress(stop) })
	defer progress.Wait()
	defer close(stop)
	return s.visit(perProcess, func() error {
		open := uint64(remains.Count().Descriptors)
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: open + spare, Max: limit.Max})
	})
}

// visit starts the client processes, does what is to be done when all are there, and
// waits for them.
func (s *server) visit(connections int, then func() error) error {
	ended := make(chan error, processes)
	for n := range processes {
		uid, welcome := uint32(welcomed), welcome
		if n%2 == 1 {
			uid, welcome = []uint32{refused, unsettled}[n/2%2], ""
		}
		cmd, dots, err := startClient(uid, orders{s.path, connections, welcome})
		if err != nil {
			return err
		}
		defer cmd.Process.Kill() // one that is left, after an error
		go func() { ended <- s.follow(cmd, dots) }()
	}
	if err := then(); err != nil {
		return err
	}
	for range processes {
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
		case err := <-s.failures:
			return fmt.Errorf("the listener died: %w", err)
		}
	}
	return nil
}

// follow counts the dots of a client until it ends.
func (s *server) follow(cmd *exec.Cmd, dots io.Reader) error {
	for buffer := make([]byte, 4096); ; {
		n, err := dots.Read(buffer)
		s.made.Add(int64(n))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("a client: %w", err)
	}
	return nil
}

// showProgress shows a line that grows, or on what is no terminal one for each tenth.
func (s *server) showProgress(stop <-chan struct{}) {
	const all = 2 * ofOneOutcome
	terminal := false
	if info, err := os.Stdout.Stat(); err == nil {
		terminal = info.Mode()&os.ModeCharDevice != 0
	}
	line := func(made int64) string {
		counts := s.listener.Counts()
		return fmt.Sprintf("  %5d of %d connections, %d let in, %d times no descriptor", made, all, counts.Accepted, counts.Retried)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for shown := int64(0); ; {
		select {
		case <-stop:
			if terminal {
				fmt.Printf("\r%s\n", line(s.made.Load()))
			}
			return
		case <-ticker.C:
		}
		made := s.made.Load()
		switch {
		case terminal:
			fmt.Print("\r", line(made))
		case made*10/all != shown*10/all:
			fmt.Println(line(made))
			shown = made
		}
	}
}

// outcome is what became of the peers.
type outcome struct{ accepted, denied, failed, told uint64 }

func (s *server) outcome() (o outcome) {
	counts := s.listener.Counts()
	o.accepted, o.failed = counts.Accepted, counts.Failed
	for _, n := range counts.Denied {
		o.denied += n
	}
	o.told = uint64(s.reported.Load()) + counts.Unreported
	return o
}

// check holds what came of it against what had to.
func (s *server) check(before remains.Remains) error {
	const each = processes/2 + ofOneOutcome // with the warm-up
	want := outcome{accepted: each, denied: each / 2, failed: each / 2, told: each}
	got, after := s.settle(want, before)
	retried := s.listener.Counts().Retried
	fmt.Printf("  let in %d, refused %d, undecided %d, reported %d, wrongly let in %d; %d times no descriptor\n",
		got.accepted, got.denied, got.failed, got.told, s.wrong.Load(), retried)
	fmt.Printf("  left over: %d descriptors, %d goroutines\n", after.Descriptors-before.Descriptors, after.Goroutines-before.Goroutines)
	switch {
	case got != want:
		return fmt.Errorf("the outcome is %+v, want %+v", got, want)
	case s.wrong.Load() != 0:
		return fmt.Errorf("%d peers were let in wrongly", s.wrong.Load())
	case retried == 0:
		return errors.New("descriptors never ran out, so this proves nothing about that")
	case after != before:
		return fmt.Errorf("descriptors and goroutines are %+v, were %+v before", after, before)
	}
	if err := s.warmUp(); err != nil {
		return fmt.Errorf("the listener does not live: %w", err)
	}
	fmt.Println("  the listener lives")
	return nil
}

// settle waits until the peers that died at once have been accepted too, and what
// was served is over; for no more than 10 seconds.
func (s *server) settle(want outcome, before remains.Remains) (got outcome, after remains.Remains) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		got, after = s.outcome(), remains.Count()
		if got == want && after == before || time.Now().After(deadline) {
			return got, after
		}
		time.Sleep(time.Millisecond)
	}
}

// endUnderAStranger has another socket take the file's place, which Close must leave.
func (s *server) endUnderAStranger() error {
	if err := os.Remove(s.path); err != nil {
		return err
	}
	stranger, err := net.Listen("unix", s.path)
	if err != nil {
		return err
	}
	defer stranger.Close()
	if err := s.listener.Close(); err != nil {
		return err
	}
	if _, err := os.Lstat(s.path); err != nil {
		return fmt.Errorf("to close it removed a stranger's socket: %w", err)
	}
	if err := <-s.failures; !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("to accept after that: %w", err)
	}
	fmt.Println("  Close left the socket of a stranger that had taken its place")
	return nil
}
