//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
)

// This program starts itself again in another role, which one of these variables names.
const (
	connectTo = "PEERCRED_BENCH_CONNECT" // an address, and hold the connection
	execute   = "PEERCRED_BENCH_EXECUTE" // the subject of that name, for those who count
)

// playRole plays the role that this process was started for. It returns false if there is
// none.
func playRole() bool {
	switch address, name := os.Getenv(connectTo), os.Getenv(execute); {
	case address != "":
		must(holdConnection(address))
	case name != "":
		must(executeSubject(name))
	default:
		return false
	}
	return true
}

// acceptPeer starts another process that connects, since peers are other processes. It
// ends when the connection does.
func acceptPeer(listener net.Listener) (*net.UnixConn, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	peer := exec.Command(self)
	peer.Env = append(os.Environ(), connectTo+"="+listener.Addr().String())
	peer.Stderr = os.Stderr
	if err := peer.Start(); err != nil {
		return nil, err
	}
	conn, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

func holdConnection(address string) error {
	conn, err := net.Dial("unix", address)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return errors.Join(err, conn.Close())
}

// executions is the number of times that executeSubject executes a subject.
const executions = 1000

func executeSubject(name string) error {
	all, err := subjects()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s subject) bool { return s.name == name })
	if i < 0 {
		return fmt.Errorf("this build has no subject %q", name)
	}
	s := all[i]
	runtime.LockOSThread() // valgrind counts by thread
	for range executions {
		if s.ask != nil {
			counted(s.ask)
		} else {
			s.run(1)
		}
	}
	return nil
}

// counted is the function whose instructions valgrind counts. It is one execution, so that
// valgrind loses no more when the scheduler interrupts it.
//
//go:noinline
func counted(ask question) {
	_, err := ask()
	must(err)
}
