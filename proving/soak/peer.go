//go:build linux && (cgo || !android)

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"

	"example.com/peercred"
	"example.com/peercred/internal/reexec"
)

// peer is a client process, with the facts that the server must get.
type peer struct {
	want    peercred.PeerCredentials
	groups  []uint32
	outcome outcome
	ending  atomic.Bool                          // it may have ended
	reaping atomic.Bool                          // it may have been waited for
	watched atomic.Pointer[peercred.PeerProcess] // the first handle on it
}

// nobody replaces a handle on a process that has ended.
var nobody = new(peercred.PeerProcess)

// liveAndDie runs one client until it ends. Some run in a new pid namespace.
func (s *server) liveAndDie(u user) error {
	p := &peer{outcome: u.outcome, groups: []uint32{5001, 5002, 5003, 5004}[:rand.IntN(5)]}
	o := orders{
		Claims: s.claims, Doors: s.doors, Outcome: u.outcome, Connections: 1 + rand.Int64N(1500), Killed: rand.IntN(2) == 0,
		Server: peercred.PeerCredentials{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())},
	}
	attributes := &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: p.groups},
		Setpgid:    true, // an interrupt from the terminal is for the server alone
		Pdeathsig:  syscall.SIGKILL,
	}
	if rand.IntN(4) == 0 {
		attributes.Cloneflags = syscall.CLONE_NEWPID
		o.Server.PID = 0
		o.Connections = 1 + o.Connections/20
	}
	s.planned.Add(o.Connections)
	o.Number = s.last.Add(1)
	cmd, err := reexec.Command(o)
	if err != nil {
		return err
	}
	cmd.Dir, cmd.SysProcAttr = "/", attributes // other users may have no access to our folder
	s.scarce.RLock()
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	err = errors.Join(inErr, outErr, cmd.Start())
	s.scarce.RUnlock()
	if err != nil {
		return fmt.Errorf("start a client: %w", err)
	}
	defer context.AfterFunc(s.ctx, func() { cmd.Process.Kill() })()
	p.want = peercred.PeerCredentials{PID: int32(cmd.Process.Pid), UID: u.uid, GID: u.gid}
	s.peers.Store(o.Number, p)
	_, _ = stdin.Write([]byte{0}) // it may come

	var r report
	err = json.NewDecoder(stdout).Decode(&r)
	p.ending.Store(true)
	if o.Killed {
		err = errors.Join(err, cmd.Process.Kill())
	}
	stdin.Close()
	_, _ = io.Copy(io.Discard, stdout) // until it has ended
	p.reaping.Store(true)
	ended := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && o.Killed && status.Signal() == syscall.SIGKILL {
		ended = nil
	}
	if err := errors.Join(err, ended); err != nil {
		return fmt.Errorf("a client: %w", err)
	}
	s.tally.add(r.Right)
	for n, made := range r.Made {
		s.doors[n].made[p.outcome].Add(made)
	}
	if process := p.watched.Swap(nobody); process != nil {
		defer process.Close()
		err := process.Wait(s.ctx)
		_, gone := process.PID()
		s.tally.check("ended process", errors.Is(gone, os.ErrProcessDone) || isShort(gone), err, gone, os.ErrProcessDone)
	}
	return nil
}
