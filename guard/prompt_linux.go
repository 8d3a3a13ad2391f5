package guard

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
// arrives before the thread is in the system call is handled at once and ends nothing.
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
