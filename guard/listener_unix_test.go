//go:build unix

package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", errno)}
}

// After a temporary failure Accept tries again, with pauses that grow. Any other error is
// returned. So is the error of a deadline, although its Temporary returns true.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing []scripted
		for range 10 {
			failing = append(failing, scripted{err: acceptError(syscall.EMFILE)})
		}
		listener := guardScript(t, &script{answers: failing})
		began := time.Now()
		if conn, err := listener.Accept(); conn != nil || err != io.EOF {
			t.Errorf("Accept = %v, %v, want nil and io.EOF", conn, err)
		}
		// 5, 10, 20, ..., 640 ms, and twice the longest pause.
		if waited, want := time.Since(began), 1275*time.Millisecond+2*time.Second; waited != want {
			t.Errorf("10 failures were waited out in %v, want %v", waited, want)
		}
		if got := listener.Counts().Retried; got != 10 {
			t.Errorf("%d were counted", got)
		}
	})
	for _, errno := range []syscall.Errno{syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ENOSPC, syscall.EINTR} {
		listener := guardScript(t, &script{answers: []scripted{{err: acceptError(errno)}}})
		if conn, err := listener.Accept(); conn != nil || err != io.EOF || listener.Counts().Retried != 1 {
			t.Errorf("after %v: %v, %v, want nil and io.EOF", errno, conn, err)
		}
	}
	for _, err := range []error{
		acceptError(syscall.EINVAL), acceptError(syscall.EBADF), net.ErrClosed, errors.New("another"),
		&net.OpError{Op: "accept", Err: os.ErrDeadlineExceeded},
	} {
		listener := guardScript(t, &script{answers: []scripted{{err: err}}})
		if conn, got := listener.Accept(); conn != nil || got != err {
			t.Errorf("Accept = %v, %v, want nil and %v", conn, got, err)
		}
	}
}

// After a connection the pauses start from the shortest again.
func TestPauseBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe, other := net.Pipe()
		defer other.Close()
		listener := guardScript(t, &script{answers: []scripted{
			{err: acceptError(syscall.EMFILE)}, {err: acceptError(syscall.EMFILE)}, {conn: pipe}, {err: acceptError(syscall.EMFILE)},
		}})
		began := time.Now()
		listener.Accept()
		if waited, want := time.Since(began), 20*time.Millisecond; waited != want {
			t.Errorf("it waited for %v, want %v", waited, want)
		}
	})
}

// Close ends a pause.
func TestCloseEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing []scripted
		for range 20 {
			failing = append(failing, scripted{err: acceptError(syscall.ENFILE)})
		}
		inner := &script{answers: failing}
		listener := guardScript(t, inner)
		done := make(chan error)
		go func() {
			_, err := listener.Accept()
			done <- err
		}()
		time.Sleep(1500 * time.Millisecond) // of the bubble's clock
		for range 2 {
			if err := listener.Close(); err != io.ErrClosedPipe {
				t.Errorf("Close = %v, want what the inner one says", err)
			}
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
		if inner.closed != 1 {
			t.Errorf("the inner listener was closed %d times", inner.closed)
		}
	})
}
