package guard

import (
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// promptly returns what end returns, which closes a socket. Descriptors that a peer sent
// and nobody received are dropped by that close(2), in its thread; a TCP socket among
// them that lingers (SO_LINGER) makes it wait for as long as the peer likes. The kernel
// ends such a wait when a signal is pending, for this descriptor and for all that come
// after it in the same call. So the thread is sent SIGURG if it takes a millisecond. Go
// programs get that signal at any time, since the runtime preempts goroutines by it.
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

const (
	firstInterrupt = time.Millisecond
	longestBetween = time.Second
)

var self = os.Getpid()

// interrupter sends a thread SIGURG, again and again with pauses that grow. A signal that
// comes before the thread is in the system call is handled at once and ends nothing.
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
	_ = unix.Tgkill(self, i.thread, unix.SIGURG) // where it is forbidden, as by a sandbox, the close takes its time
	i.pause = min(2*i.pause, longestBetween)
	i.timer.Reset(i.pause)
}

// stop returns when no further signal is sent.
func (i *interrupter) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = true
	i.timer.Stop()
}
