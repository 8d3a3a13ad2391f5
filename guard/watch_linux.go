package guard

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"example.com/peercred"
)

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

func newWatch(closer *closer) (*watch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile then gives it to the poller
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl(F_SETFL)", err)
	}
	w := &watch{epoll: os.NewFile(uintptr(fd), "epoll"), closer: closer, conns: map[int32]*Conn{}}
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
		return &peercred.ErrPeerProcessGone{PID: c.peer.conn.credentials.PID}
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
	raw, err := w.epoll.SyscallConn()
	if err != nil {
		return // closed already
	}
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
	if process, err := c.peer.Process(); err == nil {
		if alive, err := process.Alive(); err == nil && alive {
			return
		}
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
