//go:build linux && (cgo || !android)

package main

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"

	"example.com/peercred"
	"example.com/peercred/guard"
	"golang.org/x/sys/unix"
)

// visit is a connection that the server serves.
type visit struct {
	*server
	door    *door
	conn    net.Conn // *net.UnixConn or *guard.Conn
	peer    *peer
	closing bool // another goroutine may have closed conn by now
}

// welcome is what a guarded door sends to a peer that it admits.
const welcome = "welcome"

// steps are the steps of the server with a connection, in any order. A client that waits for
// the server has shut down its own half, so no read waits forever.
var steps = []func(*visit){(*visit).ask, (*visit).ask, (*visit).read, (*visit).closeWrite, (*visit).closeMeanwhile}

func (v *visit) serve() {
	defer v.conn.Close()
	if v.door.Kind != plain {
		v.tally.check("admission", v.peer.outcome == admitted, nil, v.peer.want, "users that must be admitted")
	}
	_, _ = io.WriteString(v.conn, welcome) // the client may have hung up
	for range 1 + rand.IntN(4) {
		steps[rand.IntN(len(steps))](v)
	}
}

func (v *visit) closeWrite() { _ = v.conn.(interface{ CloseWrite() error }).CloseWrite() }

// read reads once. It asks about the socket that a client sends, which is an end of a
// socketpair. Its peer is the process that made it.
func (v *visit) read() {
	conn, plain := v.conn.(*net.UnixConn)
	if !plain || rand.IntN(4) == 0 { // then the kernel drops the descriptor
		if _, err := v.conn.Read(make([]byte, 128)); errors.Is(err, net.ErrClosed) {
			v.check("open connection", false, err, nil, v.peer.want)
		}
		return
	}
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 128), control)
	if err != nil || n == 0 {
		return
	}
	var descriptors []int
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err == nil && len(messages) == 1 {
		descriptors, err = unix.ParseUnixRights(&messages[0])
	}
	if err != nil || len(descriptors) == 0 {
		v.check("handed over", false, err, descriptors, "a descriptor")
	}
	for _, fd := range descriptors {
		file := os.NewFile(uintptr(fd), "handed over")
		got, err := peercred.GetPeerCredentialsOf(file)
		v.check("handed over", got != nil && *got == v.peer.want, err, got, &v.peer.want)
		file.Close()
	}
}

// closeMeanwhile closes the connection while questions about it are asked.
func (v *visit) closeMeanwhile() {
	v.closing = true
	go v.conn.Close()
	v.ask()
}

// ask asks for the credentials, and sometimes for more.
func (v *visit) ask() {
	if v.door.Kind == loopback {
		v.askOverTCP()
		return
	}
	conn := []net.Conn{v.conn, tls.Server(v.conn, &tls.Config{})}[rand.IntN(2)] // which wraps it
	got, err := peercred.GetPeerCredentials(conn)
	v.check("credentials", got != nil && *got == v.peer.want, err, got, &v.peer.want)
	if plain, ok := conn.(*net.UnixConn); ok {
		got, err := peercred.GetPeerCredentialsOf(plain)
		v.check("credentials", got != nil && *got == v.peer.want, err, got, &v.peer.want)
	}
	v.checkGroups(peercred.GetPeerGroups(conn))
	if rand.IntN(4) == 0 {
		process, err := peercred.OpenPeerProcess(conn)
		v.checkProcess(process, err)
		if err == nil && !v.peer.watched.CompareAndSwap(nil, process) {
			process.Close()
		}
	}
	if conn, ok := conn.(*guard.Conn); ok { // it has asked already
		p := conn.Peer()
		v.check("guard's credentials", *p.Credentials() == v.peer.want, nil, p.Credentials(), &v.peer.want)
		v.checkGroups(p.Groups())
		if rand.IntN(4) == 0 {
			v.checkProcess(p.Process()) // closed with the connection
		}
	}
}

// askOverTCP accepts that the client has closed its end by now.
func (v *visit) askOverTCP() {
	uid, err := peercred.GetLoopbackPeerUID(v.conn)
	if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ENOENT) {
		v.check("loopback uid", uid == v.peer.want.UID, err, uid, v.peer.want.UID)
	}
	uid, err = v.conn.(*guard.Conn).Peer().UID()
	v.check("guard's loopback uid", uid == v.peer.want.UID, err, uid, v.peer.want.UID)
}

// readPackets checks the sender of each datagram, and closes what came with it.
func (s *server) readPackets(d *door) error {
	for {
		packet, err := d.packets.ReadPacket(make([]byte, 16))
		if err != nil {
			return err
		}
		d.came.Add(1)
		for _, file := range packet.Files {
			file.Close()
		}
		process, err := packet.Sender.Process()
		if err == nil {
			process.Close()
		} else if isShort(err) {
			d.retried.Add(1)
		}
		v := &visit{server: s, door: d, peer: s.claimant(packet.From.String())}
		if v.peer == nil || s.plant != nil && s.plant(v) {
			continue
		}
		got := packet.Sender.Credentials()
		s.tally.check("sender", *got == v.peer.want && v.peer.outcome == admitted, nil, got, &v.peer.want)
		if !isShort(err) && !errors.Is(err, os.ErrProcessDone) {
			s.tally.check("sender's process", err == nil, err, nil, "a handle")
		}
	}
}

func (v *visit) checkGroups(got []uint32, err error) {
	slices.Sort(got)
	v.check("groups", slices.Equal(got, v.peer.groups), err, got, v.peer.groups)
}

func (v *visit) checkProcess(process *peercred.PeerProcess, err error) {
	if err != nil {
		v.checkHandle("process", false, err, nil)
		return
	}
	if rand.IntN(2) == 0 {
		process.Done() // a goroutine
	}
	alive, err := process.Alive()
	v.checkHandle("process", alive || v.peer.ending.Load(), err, "has ended")
	pid, err := process.PID()
	v.checkHandle("process", pid == v.peer.want.PID, err, pid)
	ids, err := process.CurrentCredentials()
	v.checkHandle("current credentials", ids != nil && ids.EffectiveUID == v.peer.want.UID && ids.EffectiveGID == v.peer.want.GID, err, ids)
}

// checkHandle is check, but accepts that the process has ended if it may have.
func (v *visit) checkHandle(question string, right bool, err error, got any) {
	if !isShort(err) && !(errors.Is(err, os.ErrProcessDone) && v.peer.reaping.Load()) {
		v.check(question, right, err, got, v.peer.want)
	}
}

// isShort reports whether no descriptor was left. A handle on a process takes some.
func isShort(err error) bool { return errors.Is(err, unix.EMFILE) }

// check is [tally.check], but accepts that the connection is closed if it may be.
func (v *visit) check(question string, right bool, err error, got, want any) {
	closing := v.closing || v.door.Kind == exits && v.peer.ending.Load()
	if closing && (errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed)) {
		return
	}
	v.tally.check(question, right, err, got, want)
}

// checkWeb serves the requests that the route's policy admits.
func (s *server) checkWeb(w http.ResponseWriter, r *http.Request) {
	got, known := guard.FromContext(r.Context())
	if p := s.claimant(r.RemoteAddr); p != nil {
		s.tally.check("web peer", known && *got.Credentials() == p.want && p.outcome == admitted, nil, got, p.want)
	}
	_, _ = io.WriteString(w, welcome)
}

// checkWebDenied checks the requests that it denies.
func (s *server) checkWebDenied(r *http.Request, denial *guard.Denied) {
	if p := s.claimant(r.RemoteAddr); p != nil {
		right := *denial.Credentials == p.want && p.outcome != admitted && denial.Failed == (p.outcome == undecided)
		s.tally.check("web denial", right, nil, denial, p.want)
	}
}
