//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/cpeercred"
	"example.com/peercred/native"
)

// subject is a thing to measure.
type subject struct {
	kind kind
	name string
	// over names what the subject is compared with.
	over string
	// burst is the number of executions between two looks at the clock: many enough
	// for the clock, and few enough that the scheduler interrupts few bursts.
	burst int
	// base executes what is compared with, and run the subject, n times. Each returns
	// how long that took.
	base, run func(n int) time.Duration
	// ask is the question that run asks. It is nil if the subject is not a question.
	ask question
}

// kind is the name of the benchmark that a subject belongs to.
type kind string

const (
	kernel  kind = "Kernel" // the bare system call, and the least that package net makes of it
	ours    kind = "Ours"
	others  kind = "Others"  // other libraries, and what people write themselves
	scaling kind = "Scaling" // a question on all processors at once, and beside many connections
	serving kind = "Serving" // requests
)

// allocations returns those of one execution. It rounds the rare ones of the runtime away.
func (s subject) allocations() int {
	return int(testing.AllocsPerRun(10, func() { s.run(s.burst) })/float64(s.burst) + 0.5)
}

// question is asked about one open connection. It returns a part of the answer, so that
// the compiler does not leave it out.
type question func() (uint32, error)

func (ask question) run(n int) time.Duration {
	start := time.Now()
	for range n {
		_, err := ask()
		must(err)
	}
	return time.Since(start)
}

// onProcessors asks n times on each of so many processors at once. If the question scales,
// that takes the same time on more processors.
func (ask question) onProcessors(count int) func(n int) time.Duration {
	return func(n int) time.Duration {
		start := time.Now()
		var all sync.WaitGroup
		for range count {
			all.Go(func() { ask.run(n) })
		}
		all.Wait()
		return time.Since(start)
	}
}

// must panics on errors that cannot occur after a subject has been tried.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// subjects returns all that this build can ask this kernel. Their descriptors stay open
// until the process ends.
var subjects = sync.OnceValues(openSubjects)

func openSubjects() ([]subject, error) {
	listener, err := net.Listen("unix", fmt.Sprintf("@peercred-bench-%d", os.Getpid()))
	if err != nil {
		return nil, err
	}
	conn, err := acceptPeer(listener)
	if err != nil {
		return nil, err
	}
	file, err := conn.File()
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())

	var all []subject
	var unanswered error
	add := func(kind kind, name, over string, base, ask question) {
		switch _, err := ask(); {
		case errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			unanswered = errors.Join(unanswered, err)
		default:
			all = append(all, subject{kind, name, over, 100, base.run, ask.run, ask})
		}
	}
	bare := func() (uint32, error) { return bareCredentials(fd) }
	get := func() (uint32, error) { return uid(peercred.GetPeerCredentials(conn)) }
	const credentials = "getsockopt"
	add(kernel, credentials, credentials, bare, bare)
	add(kernel, "getsockopt within Control", credentials, bare, func() (uint32, error) { return controlledCredentials(conn) })
	add(ours, "GetPeerCredentials", credentials, bare, get)
	add(ours, "GetPeerCredentialsOf(*net.UnixConn)", credentials, bare, func() (uint32, error) { return uid(peercred.GetPeerCredentialsOf(conn)) })
	add(ours, "GetPeerCredentialsOf(*os.File)", credentials, bare, func() (uint32, error) { return uid(peercred.GetPeerCredentialsOf(file)) })
	add(ours, "native.Credentials", credentials, bare, func() (uint32, error) {
		_, uid, _, err := native.Credentials(fd)
		return uid, err
	})
	add(ours, "cpeercred.Credentials", credentials, bare, func() (uint32, error) {
		_, uid, _, err := cpeercred.Credentials(fd)
		return uid, err
	})
	add(others, "SyscallConn + GetsockoptUcred", credentials, bare, func() (uint32, error) { return recipeControl(conn) })
	add(others, "File + GetsockoptUcred", credentials, bare, func() (uint32, error) { return recipeFile(conn) })
	add(others, "tailscale/peercred", credentials, bare, func() (uint32, error) { return askTailscale(conn) })
	add(others, "containerd/ttrpc", credentials, bare, func() (uint32, error) { return askTTRPC(conn) })
	add(others, "grpc credentials/local", credentials, bare, func() (uint32, error) { return askGRPC(conn) })

	add(ours, "GetPeerGroups", "getsockopt (groups)",
		func() (uint32, error) { _, err := getsockopt[[64]uint32](fd, unix.SO_PEERGROUPS); return 0, err },
		func() (uint32, error) { groups, err := peercred.GetPeerGroups(conn); return uint32(len(groups)), err })
	add(ours, "GetPeerSecurityLabel", "getsockopt (label)",
		func() (uint32, error) { _, err := getsockopt[[256]byte](fd, unix.SO_PEERSEC); return 0, err },
		func() (uint32, error) {
			label, err := peercred.GetPeerSecurityLabel(conn)
			return uint32(len(label)), err
		})
	add(ours, "OpenPeerProcess and Close", "getsockopt (pidfd) and close",
		func() (uint32, error) { return 0, bareProcess(fd) },
		func() (uint32, error) { return 0, openProcess(conn) })

	for _, open := range []func() ([]subject, error){
		func() ([]subject, error) { return acceptSubjects(listener) }, loopbackSubjects, receiveSubjects,
	} {
		more, err := open()
		all = append(all, more...)
		unanswered = errors.Join(unanswered, err)
	}
	all = append(all,
		onAllProcessors(credentials, bare),
		onAllProcessors("GetPeerCredentials", get))
	return all, unanswered
}

// onAllProcessors is about the same connection on all, which is the hardest case.
func onAllProcessors(name string, ask question) subject {
	return subject{scaling, name + " on all processors", name + " on one", 10000, ask.onProcessors(1), ask.onProcessors(runtime.GOMAXPROCS(0)), nil}
}

func uid(p *peercred.PeerCredentials, err error) (uint32, error) {
	if err != nil {
		return 0, err
	}
	return p.UID, nil
}

func openProcess(conn net.Conn) error {
	process, err := peercred.OpenPeerProcess(conn)
	if err != nil {
		return err
	}
	return process.Close()
}
