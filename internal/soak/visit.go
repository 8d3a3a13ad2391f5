//go:build linux && (cgo || !android)

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"example.com/peercred"
	"example.com/peercred/guard"
	"golang.org/x/sys/unix"
)

// visit is a connection that is served.
type visit struct {
	*server
	conn    net.Conn // *net.UnixConn or *guard.Conn
	peer    *peer
	choose  *rand.Rand
	closing bool // somebody else may have closed it by now
}

// welcome is what a guarded door says to whom it lets in.
const welcome = "welcome"

// scripts are what a server does with a connection of an unguarded door, before it
// closes it: one of these. Clients that wait for something have written, or shut down
// their half, before.
var scripts = [][]func(*visit){
	{(*visit).ask},
	{(*visit).ask, (*visit).write},
	{(*visit).receive, (*visit).ask},
	{(*visit).ask, (*visit).receive, (*visit).write, (*visit).ask},
	{(*visit).closeWrite, (*visit).ask, (*visit).receive},
	{(*visit).askWhileClosing},
}

// guardedScripts are those of a guarded door.
var guardedScripts = [][]func(*visit){
	{(*visit).write, (*visit).askGuard},
	{(*visit).askGuard, (*visit).write},
	{(*visit).write, (*visit).receive, (*visit).askGuard, (*visit).ask},
	{(*visit).write, (*visit).askGuard, (*visit).receive, (*visit).askGuardAfterClose},
}

func (v *visit) serve() {
	defer func() { <-v.room }()
	defer v.peer.visits.Done()
	defer v.conn.Close()
	choices := scripts
	if _, guarded := v.conn.(*guard.Conn); guarded {
		v.tally.check("admissions", v.peer.letIn, nil, v.peer.want, "only those that are to be let in")
		choices = guardedScripts
	}
	for _, step := range choices[v.choose.IntN(len(choices))] {
		step(v)
	}
}

func (v *visit) write() {
	_, err := io.WriteString(v.conn, welcome)
	v.tally.failed("write", err)
}

func (v *visit) closeWrite() {
	err := v.conn.(*net.UnixConn).CloseWrite()
	v.tally.failed("shutdown", err)
}

// receive takes once what comes, with a descriptor if there is one.
func (v *visit) receive() {
	conn, plain := v.conn.(*net.UnixConn)
	data, control := make([]byte, 128), make([]byte, unix.CmsgSpace(4))
	var n, controls int
	var err error
	if plain && v.choose.IntN(4) > 0 { // else the kernel drops the descriptor
		n, controls, _, _, err = conn.ReadMsgUnix(data, control)
	} else {
		n, err = v.conn.Read(data)
	}
	if !errors.Is(err, io.EOF) {
		v.tally.failed("read", err)
	}
	if n >= 0 && controls > 0 {
		v.askAboutDescriptor(control[:controls])
	}
}

// askAboutDescriptor takes an end of a socketpair, whose peer is who made it.
func (v *visit) askAboutDescriptor(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		v.tally.wrong("a control message: %v", err)
		return
	}
	descriptors, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(descriptors) != 1 {
		v.tally.wrong("a descriptor: %v", err)
		return
	}
	file := os.NewFile(uintptr(descriptors[0]), "handed over")
	defer file.Close()
	got, err := peercred.GetPeerCredentialsOf(file)
	v.check("handed over", got != nil && *got == v.peer.want, err, got, &v.peer.want)
}

// hidden hides a connection, which NetConn gives.
type hidden struct{ net.Conn }

func (h hidden) NetConn() net.Conn { return h.Conn }

// wrappers are those through which a connection is asked about.
var wrappers = []func(net.Conn) net.Conn{
	func(conn net.Conn) net.Conn { return conn },
	func(conn net.Conn) net.Conn { return hidden{conn} },
	func(conn net.Conn) net.Conn { return tls.Server(conn, &tls.Config{}) },
	func(conn net.Conn) net.Conn {
		if conn, ok := conn.(*net.UnixConn); ok {
			return struct{ *net.UnixConn }{conn}
		}
		return struct{ *guard.Conn }{conn.(*guard.Conn)}
	},
}

// ask asks for the credentials, and now and then for more.
func (v *visit) ask() {
	conn := wrappers[v.choose.IntN(len(wrappers))](v.conn)
	var got *peercred.PeerCredentials
	var err error
	if plain, ok := conn.(*net.UnixConn); ok && v.choose.IntN(2) == 0 {
		got, err = peercred.GetPeerCredentialsOf(plain)
	} else {
		got, err = peercred.GetPeerCredentials(conn)
	}
	v.check("credentials", got != nil && *got == v.peer.want, err, got, &v.peer.want)
	if v.choose.IntN(2) == 0 {
		groups, err := peercred.GetPeerGroups(conn)
		v.checkGroups(groups, err)
	}
	if v.choose.IntN(8) == 0 {
		label, err := peercred.GetPeerSecurityLabel(conn)
		v.checkLabel(label, err)
	}
	if v.choose.IntN(8) == 0 {
		process, err := peercred.OpenPeerProcess(conn)
		if v.checkProcess(process, err) && !v.peer.watch(process) {
			process.Close()
		}
	}
}

// askWhileClosing asks while the connection is closed, after which [net.ErrClosed] is
// right too.
func (v *visit) askWhileClosing() {
	var closed sync.WaitGroup
	v.closing = true
	closed.Go(func() { v.conn.Close() })
	for range v.choose.IntN(3) {
		runtime.Gosched()
	}
	v.ask()
	closed.Wait()
}

// askGuard asks what the guard has found out.
func (v *visit) askGuard() {
	p := v.conn.(*guard.Conn).Peer()
	got := p.Credentials()
	v.check("a guard's credentials", *got == v.peer.want, nil, got, &v.peer.want)
	if v.choose.IntN(2) == 0 {
		groups, err := p.Groups()
		v.checkGroups(groups, err)
	}
	if v.choose.IntN(8) == 0 {
		label, err := p.SecurityLabel()
		v.checkLabel(label, err)
	}
	if v.choose.IntN(8) == 0 {
		v.checkProcess(p.Process()) // closed with the connection
	}
}

// askGuardAfterClose asks what the guard knows without the connection.
func (v *visit) askGuardAfterClose() {
	v.conn.Close()
	v.closing = true
	v.askGuard()
}

// check is [tally.check], with the error of a connection that is closed meanwhile.
func (v *visit) check(question string, right bool, err error, got, want any) {
	if v.closing && (errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed)) {
		v.tally.failed(question, err)
		return
	}
	v.tally.check(question, right, err, got, want)
}

func (v *visit) checkGroups(got []uint32, err error) {
	if v.refused("groups", v.support.Groups, err) {
		return
	}
	slices.Sort(got)
	v.check("groups", slices.Equal(got, v.peer.groups), err, got, v.peer.groups)
}

func (v *visit) checkLabel(got string, err error) {
	if v.refused("label", v.support.SecurityLabel, err) {
		return
	}
	v.check("label", got == v.label, err, got, v.label)
}

// checkProcess reports whether there is a handle to close.
func (v *visit) checkProcess(process *peercred.PeerProcess, err error) bool {
	if v.refused("process", v.support.Process, err) || v.gone(err) {
		return false
	}
	if err != nil {
		v.check("process", false, err, nil, v.peer.want.PID)
		return false
	}
	if v.choose.IntN(2) == 0 {
		process.Done() // a goroutine
	}
	alive, err := process.Alive()
	right := alive || v.peer.ending.Load()
	pid, pidErr := process.PID()
	if v.gone(pidErr) {
		return true
	}
	v.check("process", right && pid == v.peer.want.PID, errors.Join(err, pidErr), []any{alive, pid}, v.peer.want.PID)
	return true
}

// refused counts that a question is not answered on this kernel, to anybody.
func (v *visit) refused(question string, fact peercred.Fact, err error) bool {
	var unavailable *peercred.ErrPeerCredentialsUnavailable
	if fact.Available || !errors.As(err, &unavailable) {
		return false
	}
	v.tally.failed(question, err)
	return true
}

// gone counts that the process is no more, if that may be.
func (v *visit) gone(err error) bool {
	if !errors.Is(err, os.ErrProcessDone) || !v.peer.reaping.Load() {
		return false
	}
	v.tally.failed("process", err)
	return true
}

// checkEnded holds a handle that was opened in time to the end of its process.
func (s *server) checkEnded(p *peer, process *peercred.PeerProcess) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := process.Wait(ctx)
	_, pidErr := process.PID()
	s.tally.check("ends", errors.Is(pidErr, os.ErrProcessDone), err, pidErr, os.ErrProcessDone)
}
