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

// PeerProcess is a handle on the process that connected. It is a pidfd that the kernel
// made from the socket, not from a pid. The handle always refers to that process, even if
// another process gets the pid.
//
// The process may have passed the connection on, or may have ended and left it to a child.
//
// A process can drop privileges or execute another program, and the handle still refers to
// it. So [PeerProcess.Executable] and [PeerProcess.CurrentCredentials] report the state as
// of now, not as of connect time. The process may have been another program when it
// connected, and may execute another one next.
//
// A handle holds one descriptor. [PeerProcess.Close] closes it. The garbage collector
// eventually closes a handle that is no longer used, except if Done or Wait was called and
// the process is still alive.
//
// All methods are safe for concurrent use, also with Close. After Close they return an
// error that wraps [os.ErrClosed]. On a PeerProcess that [OpenPeerProcess] did not return
// they return an error that wraps [os.ErrInvalid].
type PeerProcess struct {
	pidfd   *os.File // its finalizer closes a handle that is no longer used
	watch   sync.Once
	ended   chan struct{} // closed when the process has ended
	stopped chan struct{} // closed after failure is set, when watching has stopped
	failure error         // why watching stopped, nil if the process has ended
}

// OpenPeerProcess opens a handle on the process at the other end of conn. On a
// server's accepted conn that is the client, which called connect(2). On a client's
// conn it is the process that called listen(2). It takes the same conns as
// [GetPeerCredentials].
//
// It requires Linux 6.5 or newer. It never makes a handle from the pid, because another
// process may have the pid now.
//
// It returns a handle or an error:
//
//   - *[ErrNotUnixSocket] as GetPeerCredentials does.
//   - An error that wraps *[ErrPeerCredentialsUnavailable], on other systems and on older
//     kernels. Its Reason says which kernels have the call.
//   - *[ErrPeerProcessGone] if the process has been reaped. A zombie can still be
//     opened.
//   - Otherwise an error that names the system and the call and wraps the errno. It is
//     ENOTCONN for a socket without a peer, a listening socket and a datagram socket. It
//     is EMFILE or ENFILE if no descriptor is left.
//
// It is safe for concurrent use.
//
// Source: SO_PEERPIDFD in net/core/sock.c of Linux, pidfd_open(2).
func OpenPeerProcess(conn net.Conn) (*PeerProcess, error) {
	pidfd, err := processOf.of(conn)
	if err != nil {
		return nil, err
	}
	return newPeerProcess(pidfd)
}

// newPeerProcess closes pidfd on an error.
func newPeerProcess(pidfd *os.File) (*PeerProcess, error) {
	p := &PeerProcess{pidfd: pidfd, ended: make(chan struct{}), stopped: make(chan struct{})}
	if err := p.checkOpened(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

var processOf = &question[*os.File]{failed: failedProcess, ask: askProcess, verify: true}

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

// checkOpened returns an error if the runtime's poller does not accept the pidfd, or if the
// process has been reaped. Since Linux 6.16 the kernel makes a pidfd of a reaped process.
func (p *PeerProcess) checkOpened() error {
	if err := p.pidfd.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%s: the runtime's poller does not accept the pidfd: %w", failedProcess, err)
	}
	return p.ifGone()
}

// ifGone returns *ErrPeerProcessGone if the process has been reaped. It tries signal 0, and
// then /proc. It returns nil if neither answers.
func (p *PeerProcess) ifGone() error {
	err := p.Signal(nil)
	if err != nil && !isPeerProcessGone(err) { // we may not signal it
		_, err = p.procPID()
	}
	if isPeerProcessGone(err) {
		return err
	}
	return nil
}

// Close closes the handle and ends the goroutine that Done started. It does not affect the
// process. It does not close the channel of Done, because a closed channel means that the
// process has ended. Closing again does nothing. The error is always nil.
func (p *PeerProcess) Close() error {
	if p.isOpened() {
		p.pidfd.Close() // fails only when it is closed already
	}
	return nil
}

// Alive reports whether the process is alive. A zombie, whose parent has not waited for it
// yet, is not alive.
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

// Done returns a channel that is closed when the process has ended. A zombie has ended.
// Every call returns the same channel. On a PeerProcess that OpenPeerProcess did not return
// it is nil.
//
// Close does not close the channel, but it makes [PeerProcess.Wait] return. The first call
// starts a goroutine that sleeps in the runtime's poller until the process ends or the
// handle is closed.
func (p *PeerProcess) Done() <-chan struct{} {
	if !p.isOpened() {
		return nil
	}
	p.watch.Do(func() { go p.waitForEnd() })
	return p.ended
}

// isOpened reports whether OpenPeerProcess returned p. It is false for nil.
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

// Wait waits until the process has ended, and returns nil. A zombie has ended. If ctx is
// done first, Wait returns ctx's error. If the handle is closed first, the error wraps
// [os.ErrClosed].
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

// PID returns the pid of the process in our pid namespace, 1 or greater, or 0 if it has
// none there. Another process can get the pid as soon as this one is reaped. So use the
// handle instead of the pid where possible.
//
// The error is *[ErrPeerProcessGone] once the process has been reaped. PID requires /proc
// before Linux 6.13, and for a process that has no pid in our namespace. If /proc is not
// mounted or belongs to another pid namespace, the error wraps
// *[ErrPeerCredentialsUnavailable]. The mount options hidepid and subset do not matter.
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

// pidFromFdinfo reads the pid from /proc if PIDFD_GET_INFO did not report it. asked is the
// error of PIDFD_GET_INFO. The kernel may be older than 6.13, or the process may have no
// pid in our namespace, or it may have been reaped.
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

// ifReaped returns *ErrPeerProcessGone if asked, an error of PIDFD_GET_INFO, means that the
// process has been reaped. Before Linux 6.15 the same errno can mean that the process is
// not visible.
func (p *PeerProcess) ifReaped(asked error) error {
	if !isGone(asked) {
		return nil
	}
	return p.ifGone()
}

// Signal sends a [syscall.Signal] to the process. The signal cannot reach another process
// that got the pid. Signal 0 or nil sends nothing, and reports by the error whether a
// signal could be sent. A zombie accepts every signal and ignores it.
//
// The error is *[ErrPeerProcessGone] once the process has been reaped. It wraps EPERM if we
// may not signal the process. It wraps EINVAL for an invalid signal. It also wraps EINVAL
// if the process is in a pid namespace that is neither ours nor below ours, even if the
// process has been reaped.
//
// Source: pidfd_send_signal(2).
func (p *PeerProcess) Signal(signal os.Signal) error {
	return p.control("pidfd_send_signal", func(pidfd int) error { return signalProcess(pidfd, signal) })
}

// SyscallConn gives access to the pidfd, for example for polkit and systemd over D-Bus,
// waitid(2) or setns(2). Do not close it.
func (p *PeerProcess) SyscallConn() (syscall.RawConn, error) {
	if !p.isOpened() {
		return nil, os.ErrInvalid
	}
	return p.pidfd.SyscallConn()
}

// control runs ask on the pidfd. The pidfd stays open until ask returns.
func (p *PeerProcess) control(call string, ask func(pidfd int) error) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return p.failed(call, err)
	}
	var asked error
	err = raw.Control(func(pidfd uintptr) { asked = ask(int(pidfd)) })
	switch {
	case err != nil: // the file is closed, but err does not wrap os.ErrClosed
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
