package peercred

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// PeerProcess is a handle on the very process that connected: a pidfd that the
// kernel made from the socket, not from a pid. The handle
// never means another process, even if another process gets the pid.
//
// A process stays the same when it drops privileges or executes another program.
// So what [PeerProcess.Executable] and [PeerProcess.CurrentCredentials] say is as
// of now, not as of connect time, and a decision on them is one about what the
// process is now: it may have been another program when it connected, and may be
// another one next.
//
// The process is the one that connected. It may have passed the connection on, or
// have ended and left it to a child.
//
// A handle holds one descriptor, which [PeerProcess.Close] closes; a handle that
// is dropped without it is closed by the garbage collector, at some time, unless
// its Done or Wait was called and the process lives on. All methods are safe for
// concurrent use, also with Close. After Close they fail with an error that wraps
// [os.ErrClosed]; those of a handle that [OpenPeerProcess] did not return, with one that
// wraps [os.ErrInvalid].
type PeerProcess struct {
	pidfd   *os.File // its finalizer is the safety net
	watch   sync.Once
	ended   chan struct{} // closed when the process has ended
	stopped chan struct{} // closed when nobody watches any more; then failure is set
	failure error         // why it was stopped, nil if the process has ended
}

// OpenPeerProcess opens a handle on the process at the other end of conn. On a
// server's accepted conn that is the client, which called connect(2). On a client's
// conn it is the process that called listen(2). It takes the same conns as
// [GetPeerCredentials].
//
// It requires Linux 6.5 or newer. It never makes a handle from the pid, because
// another process can have the pid by then.
//
// It returns a handle or an error:
//
//   - *[ErrNotUnixSocket] as GetPeerCredentials does.
//   - An error that wraps *[ErrPeerCredentialsUnavailable] and says that the process is
//     unavailable, on other systems and on older kernels. Its Reason says which kernel
//     has it.
//   - *[ErrPeerProcessGone] if the process has been reaped. A zombie can still be
//     opened.
//   - Otherwise an error that names the system and the call and wraps the errno:
//     ENOTCONN for a socket without a peer, one that listens, and a datagram
//     socket; EMFILE and ENFILE if there is no descriptor left.
//
// It is safe for concurrent use.
//
// Source: SO_PEERPIDFD in net/core/sock.c of Linux, pidfd_open(2).
func OpenPeerProcess(conn net.Conn) (*PeerProcess, error) {
	pidfd, err := processOf.of(conn)
	if err != nil {
		return nil, err
	}
	p := &PeerProcess{pidfd: pidfd, ended: make(chan struct{}), stopped: make(chan struct{})}
	if err := p.checkOpened(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

var processOf = &question[*os.File]{failed: failedProcess, ask: askProcess, trusts: true}

const failedProcess = "failed to open the peer's process"

func askProcess(fd int) (*os.File, error) {
	pidfd, err := openProcess(fd)
	switch {
	case isGone(err):
		return nil, &ErrPeerProcessGone{}
	case err != nil:
		return nil, refusal(failedProcess, known.Process.Call, err)
	}
	return os.NewFile(uintptr(pidfd), "pidfd"), nil
}

// checkOpened refuses a process that has been reaped, of which newer kernels make
// a pidfd all the same, and a pidfd that the runtime's poller does not take.
func (p *PeerProcess) checkOpened() error {
	if err := p.pidfd.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%s: the runtime's poller does not accept the pidfd: %w", failedProcess, err)
	}
	return p.ifGone()
}

// ifGone returns *ErrPeerProcessGone if the process has been reaped, as far as a
// signal that is not sent, and else /proc, can tell.
func (p *PeerProcess) ifGone() error {
	err := p.Signal(nil)
	if err != nil && !isPeerProcessGone(err) { // not to be signalled from here, dead or alive
		_, err = p.procPID()
	}
	if isPeerProcessGone(err) {
		return err
	}
	return nil
}

// Close closes the handle and ends the goroutine behind Done. It does not touch
// the process, and does not close the channel of Done, which would say that the
// process has ended. Closing again does nothing. The error is always nil.
func (p *PeerProcess) Close() error {
	if p.isOpened() {
		p.pidfd.Close() // fails only when it is closed already
	}
	return nil
}

// Alive reports whether the process has not ended yet. A zombie, which has ended
// and was not waited for by its parent, is not alive.
//
// Source: pidfd_open(2).
func (p *PeerProcess) Alive() (bool, error) {
	var exited bool
	err := p.control("poll(pidfd)", func(pidfd int) (err error) {
		exited, err = processExited(pidfd)
		return err
	})
	return err == nil && !exited, err
}

// Done returns a channel that is closed once the process has ended, as a zombie
// too. Close does not close it; [PeerProcess.Wait] returns then. The first call
// starts a goroutine that sleeps in the runtime's poller until the process ends or
// the handle is closed. Every call returns the same channel; for a PeerProcess that
// OpenPeerProcess did not return it is nil.
func (p *PeerProcess) Done() <-chan struct{} {
	if !p.isOpened() {
		return nil
	}
	p.watch.Do(func() { go p.waitForEnd() })
	return p.ended
}

// isOpened tells a handle from nil and from a zero PeerProcess.
func (p *PeerProcess) isOpened() bool { return p != nil && p.pidfd != nil }

func (p *PeerProcess) waitForEnd() {
	p.failure = p.awaitEnd()
	if p.failure == nil {
		close(p.ended)
	}
	close(p.stopped)
}

// awaitEnd returns nil when the process has ended. The poller wakes it.
func (p *PeerProcess) awaitEnd() error {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return p.failed("poll(pidfd)", err)
	}
	var asked error
	err = raw.Read(func(pidfd uintptr) bool {
		var exited bool
		exited, asked = processExited(int(pidfd))
		return exited || asked != nil
	})
	if err != nil {
		return p.failed("poll(pidfd)", os.ErrClosed)
	}
	if asked != nil {
		return p.failed("poll(pidfd)", asked)
	}
	return nil
}

// Wait waits until the process has ended, as a zombie too, and returns nil then.
// It returns ctx's error if that is done first, and an error that wraps
// [os.ErrClosed] if the handle is closed first.
func (p *PeerProcess) Wait(ctx context.Context) error {
	if !p.isOpened() {
		return p.failed("poll(pidfd)", os.ErrInvalid)
	}
	p.Done()
	select {
	case <-p.stopped:
		return p.failure
	default:
	}
	select {
	case <-p.stopped:
		return p.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// PID returns the pid of the process in our pid namespace, 1 or greater, or 0 if
// it has none there. It comes from the handle, so it is right when it returns; but
// it is free for another process as soon as this one is reaped, so use the handle
// instead of the pid wherever that is possible.
//
// The error is *[ErrPeerProcessGone] once the process has been reaped. Before Linux
// 6.13, and for a process that has no pid here, PID needs /proc: the error wraps
// *[ErrPeerCredentialsUnavailable] if that is not mounted or is that of another pid
// namespace. The mount options of /proc (hidepid, subset) do not matter to PID.
//
// Source: PIDFD_GET_INFO in fs/pidfs.c; before Linux 6.13 /proc/self/fdinfo.
func (p *PeerProcess) PID() (int32, error) {
	const call = "ioctl(PIDFD_GET_INFO)"
	var pid int32
	var asked error
	err := p.control(call, func(pidfd int) error {
		pid, asked = processPID(pidfd)
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case asked == nil && pid > 0:
		return pid, nil
	case asked == nil, isGone(asked), errors.Is(asked, errors.ErrUnsupported):
		return p.pidFromFdinfo(asked)
	}
	return 0, p.failed(call, asked)
}

// pidFromFdinfo tells what PIDFD_GET_INFO, which said asked, leaves open: which pid
// it is before Linux 6.13, and whether a process without a pid here has been
// reaped.
func (p *PeerProcess) pidFromFdinfo(asked error) (int32, error) {
	if err := p.ifReaped(asked); err != nil {
		return 0, err
	}
	pid, err := p.procPID()
	switch {
	case isPeerProcessGone(err):
		return 0, err
	case asked == nil, err == nil && pid == 0:
		return 0, nil
	case err != nil:
		return 0, err
	}
	if err := checkOwnProc(); err != nil {
		return 0, err
	}
	return pid, nil
}

// ifReaped returns *ErrPeerProcessGone if asked means that and not, as with
// PIDFD_GET_INFO before Linux 6.15, that the process is not visible.
func (p *PeerProcess) ifReaped(asked error) error {
	if !isGone(asked) {
		return nil
	}
	return p.ifGone()
}

// Signal sends the process a signal, a [syscall.Signal], which cannot reach
// another process that has its pid by now. Signal 0 or nil sends nothing and tells
// whether one could be sent; a zombie takes every signal and ignores it.
//
// The error is *[ErrPeerProcessGone] once the process has been reaped, and else
// wraps EPERM if we may not signal it, or EINVAL for what is no signal and for a
// process in a pid namespace that is neither ours nor below it, reaped or not.
//
// Source: pidfd_send_signal(2).
func (p *PeerProcess) Signal(signal os.Signal) error {
	return p.control("pidfd_send_signal", func(pidfd int) error { return signalProcess(pidfd, signal) })
}

// SyscallConn gives access to the pidfd, for what takes one: polkit and systemd
// over D-Bus, waitid(2), setns(2). Do not close it.
func (p *PeerProcess) SyscallConn() (syscall.RawConn, error) {
	if !p.isOpened() {
		return nil, os.ErrInvalid
	}
	return p.pidfd.SyscallConn()
}

// control runs ask on the pidfd, which stays open meanwhile.
func (p *PeerProcess) control(call string, ask func(pidfd int) error) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return p.failed(call, err)
	}
	var asked error
	err = raw.Control(func(pidfd uintptr) { asked = ask(int(pidfd)) })
	switch {
	case err != nil: // only a closed file refuses, and its error does not wrap os.ErrClosed
		return p.failed(call, os.ErrClosed)
	case isGone(asked):
		return &ErrPeerProcessGone{}
	case asked != nil:
		return p.failed(call, asked)
	}
	return nil
}

func (p *PeerProcess) failed(call string, err error) error {
	return fmt.Errorf("peer process: %w", callError(call, err))
}
