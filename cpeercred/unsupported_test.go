//go:build !cgo

package cpeercred

import (
	"errors"
	"testing"
)

// Without cgo nothing is answered, and every error says that it is unsupported.
func TestUnsupported(t *testing.T) {
	pid, uid, gid, err := Credentials(0)
	if pid != 0 || uid != 0 || gid != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Credentials = %d, %d, %d, %v, want errors.ErrUnsupported", pid, uid, gid, err)
	}
	if kind, err := Kind(0); kind != "" || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Kind = %q, %v, want errors.ErrUnsupported", kind, err)
	}
	if err := CheckCanHavePeer(0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CheckCanHavePeer = %v, want errors.ErrUnsupported", err)
	}
	if listens, err := Listens(0); listens || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Listens = %v, %v, want errors.ErrUnsupported", listens, err)
	}
	if wrong, err := AnswersForCaller(); wrong || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("AnswersForCaller = %v, %v, want errors.ErrUnsupported", wrong, err)
	}
}
