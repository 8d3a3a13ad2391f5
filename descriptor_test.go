package peercred

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

// stranger is a syscall.Conn and its own RawConn. Its fields are its results.
type stranger struct {
	syscall.RawConn
	err     error
	control func(ask func(fd uintptr)) error
}

func (s stranger) SyscallConn() (syscall.RawConn, error) { return s, s.err }
func (s stranger) Control(ask func(fd uintptr)) error    { return s.control(ask) }

// The error of a foreign type is wrapped, even if it is a nil pointer of one of our types.
func TestForeignErrors(t *testing.T) {
	if !supported {
		t.Skip("needs a system that asks the foreign type")
	}
	for _, err := range []error{(*ErrNotUnixSocket)(nil), &ErrNotUnixSocket{ConnType: "theirs"}, io.EOF} {
		for name, conn := range map[string]stranger{
			"SyscallConn": {err: err},
			"Control":     {control: func(func(uintptr)) error { return err }},
		} {
			_, got := credentialsOf.of(conn)
			if !errors.Is(got, err) || !strings.HasPrefix(got.Error(), failedCredentials+": ") {
				t.Errorf("%s fails with %T: %v, want an error that wraps it", name, err, got)
			}
		}
	}
}

// Once Control has returned, failed or panicked, its function asks nothing.
func TestNothingIsAskedLate(t *testing.T) {
	asked := 0
	q := &question[int]{failed: "failed", ask: func(int) (int, error) { asked++; return 0, nil }}
	err := onSocketpair(func(fd int) {
		for name, end := range map[string]func() error{
			"returns": func() error { return nil },
			"fails":   func() error { return io.EOF },
			"panics":  func() error { panic(io.EOF) },
		} {
			var late func(fd uintptr)
			_, err := q.of(stranger{control: func(ask func(uintptr)) error { late = ask; return end() }})
			late(uintptr(fd))
			if err == nil || asked != 0 {
				t.Errorf("Control %s: %v, and asked %d times later, want an error and none", name, err, asked)
			}
			asked = 0
		}
	})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
