package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/peercred"
)

// promptly calls end, which closes or reads a socket, and returns its result. That call also
// drops the descriptors that a peer sent and nobody received. If one of them is a TCP
// socket that lingers (SO_LINGER), the thread waits for as long as the peer likes. The
// kernel ends such a wait when a signal is pending, for this descriptor and for all later
// ones in the same call. So promptly sends SIGURG to the thread if the call takes a
// millisecond. Go programs get that signal at any time, because the runtime preempts
// goroutines with it.
//
// Source: sk_stream_wait_close in net/core/stream.c; src/runtime/signal_unix.go of Go.
func promptly(end func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	i := &interrupter{thread: unix.Gettid(), pause: firstInterrupt}
	i.start()
	defer i.stop()
	return end()
}

// closeLast calls end, which closes the socket, and closes the last descriptor of the socket
// promptly. Another goroutine that uses the socket keeps end's descriptor open, and would
// wait for the kernel in its own thread.
func closeLast(socket syscall.Conn, end func() error) error {
	if socket == nil {
		return promptly(end)
	}
	last, err := duplicate(socket)
	if err != nil { // there may be none left
		return promptly(end)
	}
	err = end()
	_ = promptly(func() error { return unix.Close(last) })
	return err
}

const (
	firstInterrupt = time.Millisecond
	longestBetween = time.Second
)

var self = os.Getpid()

// interrupter sends SIGURG to a thread again and again, with growing pauses. A signal that
// arrives before the thread is in the system call is handled at once and interrupts nothing.
type interrupter struct {
	thread int
	pause  time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

func (i *interrupter) start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.timer = time.AfterFunc(i.pause, i.interrupt)
}

func (i *interrupter) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stopped {
		return
	}
	_ = unix.Tgkill(self, i.thread, unix.SIGURG) // a sandbox may forbid this; the close is not interrupted then
	i.pause = min(2*i.pause, longestBetween)
	i.timer.Reset(i.pause)
}

// stop sends no further signal once it has returned.
func (i *interrupter) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = true
	i.timer.Stop()
}

// duplicate returns a second descriptor of a socket, which is closed on exec. Unlike
// [net.UnixListener.File] it leaves the socket in non-blocking mode for good: the Fd method
// of that file makes it blocking, for both.
func duplicate(socket syscall.Conn) (fd int, err error) {
	fd = -1
	err = onDescriptor(socket, func(from int) (err error) {
		fd, err = unix.FcntlInt(uintptr(from), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl(F_DUPFD_CLOEXEC)", err)
	})
	return fd, err
}

// read does not wait for descriptors that the peer sent along, which read(2) drops.
func (c *Conn) read(b []byte) (int, error) {
	socket, ok := c.Conn.(*net.UnixConn)
	if !ok || c.quick || len(b) == 0 {
		return c.Conn.Read(b)
	}
	n, err := readPromptly(socket, b)
	switch {
	case err != nil:
		return 0, c.readError(err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func readPromptly(socket *net.UnixConn, b []byte) (n int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var read error
	err = raw.Read(func(fd uintptr) bool {
		_ = promptly(func() error {
			n, read = unix.Read(int(fd), b)
			return nil
		})
		return !errors.Is(read, unix.EAGAIN) && !errors.Is(read, unix.EINTR)
	})
	if err == nil {
		err = os.NewSyscallError("read", read)
	}
	return max(n, 0), err
}

// refuseDescriptors makes the kernel refuse descriptors (SCM_RIGHTS) that peers send to the
// connections of a listening socket. The sender gets EPERM. A descriptor that was sent and
// not received is dropped when its connection is closed. If it is a socket that lingers, or
// a file of a file system that the sender serves, that can take as long as the sender likes.
// Linux has the option since 6.16. refuseDescriptors does nothing on older kernels and on
// emulators of Linux.
//
// Source: SO_PASSRIGHTS in net/core/sock.c and net/unix/af_unix.c.
func refuseDescriptors(_, _ string, socket syscall.RawConn) error {
	var set error
	err := socket.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	})
	switch set {
	case unix.ENOPROTOOPT, unix.EINVAL, unix.EOPNOTSUPP:
		set = nil // an older kernel or an emulator does not know the option
	}
	return errors.Join(err, os.NewSyscallError("setsockopt(SO_PASSRIGHTS)", set))
}

// descriptorsAreRefused reports whether the kernel refuses descriptors on a connection, or
// on the connections of a listening socket that are made from now on.
func descriptorsAreRefused(socket syscall.Conn) bool {
	passes := 1
	err := onDescriptor(socket, func(fd int) (err error) {
		passes, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
		return err
	})
	return err == nil && passes == 0
}

// hasNoDescriptors shuts a connection down, so that its peer can send nothing more, and
// reports whether it holds no descriptors. On a stream they come with at least one byte.
func hasNoDescriptors(conn net.Conn) bool {
	socket, _ := conn.(*net.UnixConn)
	if socket == nil || socket.LocalAddr().Network() != "unix" {
		return false
	}
	unread := -1
	err := onDescriptor(socket, func(fd int) (err error) {
		shut := unix.Shutdown(fd, unix.SHUT_RDWR)
		unread, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return errors.Join(shut, err)
	})
	return err == nil && unread == 0
}

// watch closes a connection when its peer's process ends. One goroutine serves all
// connections of a [Listener]. An epoll instance watches the pidfds, and the runtime's
// poller watches the epoll instance.
//
// Source: pidfd_open(2), epoll(7).
type watch struct {
	epoll  *os.File
	closer *closer

	mu     sync.Mutex
	conns  map[int32]*Conn // by pidfd
	closed bool            // the listener is closed, and no connection is added
}

// closerOfEnded returns the closer that all watches of the process share. Denied peers have
// another, so they delay nothing here.
var closerOfEnded = sync.OnceValue(func() *closer { return newCloser(descriptorLimit()) })

func newWatch() (*watch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile then gives it to the poller
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl(F_SETFL)", err)
	}
	w := &watch{epoll: os.NewFile(uintptr(fd), "epoll"), closer: closerOfEnded(), conns: map[int32]*Conn{}}
	go w.run()
	return w, nil
}

// add watches the process of c. If it cannot, it returns the reason:
// *peercred.ErrPeerProcessGone if the process has ended.
func (w *watch) add(c *Conn) error {
	process, err := c.peer.Process()
	if err != nil {
		return err
	}
	switch alive, err := process.Alive(); {
	case err != nil:
		return err
	case !alive:
		pid, _ := c.peer.pid() // 0 means that it is not known
		return &peercred.ErrPeerProcessGone{PID: pid}
	}
	return onDescriptor(process, func(fd int) error { return w.addDescriptor(int32(fd), c) })
}

func (w *watch) addDescriptor(pidfd int32, c *Conn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return os.ErrClosed
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: pidfd}
	err := onDescriptor(w.epoll, func(fd int) error {
		return os.NewSyscallError("epoll_ctl", unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, int(pidfd), &event))
	})
	if err != nil {
		return err
	}
	w.conns[pidfd] = c
	c.pidfd = pidfd
	return nil
}

// remove forgets c. The pidfd leaves the epoll instance when it is closed.
func (w *watch) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns[c.pidfd] == c { // not a newer one with the same number
		delete(w.conns, c.pidfd)
	}
	w.endIfDone()
}

// close ends the goroutine once the last connection is closed.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.endIfDone()
}

func (w *watch) endIfDone() {
	if w.closed && len(w.conns) == 0 {
		w.epoll.Close()
	}
}

func (w *watch) run() {
	raw, _ := w.epoll.SyscallConn() // fails only for a nil *os.File
	var events [64]unix.EpollEvent
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0) // n is -1 for an error; only EINTR is possible
			return n > 0
		})
		if err != nil {
			return // closed
		}
		for _, event := range events[:n] {
			w.ended(event.Fd)
		}
	}
}

// ended closes the connection of a process that has ended. The pidfd of the event may be
// closed by now, and its number may be that of a living process.
func (w *watch) ended(pidfd int32) {
	w.mu.Lock()
	c := w.conns[pidfd]
	w.mu.Unlock()
	if c == nil {
		return
	}
	process, _ := c.peer.Process()          // which add has opened
	if alive, _ := process.Alive(); alive { // false with an error
		return
	}
	if !c.quick {
		shutDown(c)
	}
	w.closer.close(c)
}

// shutDown ends a connection for its peer at once, however long its close takes.
func shutDown(c *Conn) {
	_ = onDescriptor(c, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
}
