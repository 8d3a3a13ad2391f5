//go:build !cgo

package cpeercred

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Without cgo every function returns an error that says why.
func TestUnsupported(t *testing.T) {
	for name, ask := range map[string]func() (answer, nothing any, err error){
		"Credentials": func() (any, any, error) {
			pid, uid, gid, err := Credentials(0)
			return []any{pid, uid, gid}, []any{int32(0), uint32(0), uint32(0)}, err
		},
		"Kind":             func() (any, any, error) { kind, err := Kind(0); return kind, "", err },
		"CheckCanHavePeer": func() (any, any, error) { return nil, nil, CheckCanHavePeer(0) },
		"Listens":          func() (any, any, error) { listens, err := Listens(0); return listens, false, err },
		"AnswersForCaller": func() (any, any, error) { answers, err := AnswersForCaller(); return answers, false, err },
		"OnSocketpair": func() (any, any, error) {
			called := false
			err := OnSocketpair(func(int) { called = true })
			return called, false, err
		},
		"Groups":          func() (any, any, error) { groups, err := Groups(0); return groups, []uint32(nil), err },
		"SecurityLabel":   func() (any, any, error) { label, err := SecurityLabel(0); return label, "", err },
		"AuditToken":      func() (any, any, error) { token, err := AuditToken(0); return token, [8]uint32{}, err },
		"LoopbackPeerUID": func() (any, any, error) { uid, err := LoopbackPeerUID(0); return uid, uint32(0), err },
		"OpenProcess":     func() (any, any, error) { pidfd, err := OpenProcess(0); return pidfd, -1, err },
		"ProcessExited":   func() (any, any, error) { exited, err := ProcessExited(0); return exited, false, err },
		"ProcessPID":      func() (any, any, error) { pid, err := ProcessPID(0); return pid, int32(0), err },
		"ProcessIDs":      func() (any, any, error) { ids, err := ProcessIDs(0); return ids, [8]uint32{}, err },
		"SignalProcess":   func() (any, any, error) { return nil, nil, SignalProcess(0, os.Interrupt) },
		"SinceBoot":       func() (any, any, error) { since, err := SinceBoot(); return int64(since), int64(0), err },
	} {
		answer, nothing, err := ask()
		if diff := cmp.Diff(nothing, answer); diff != "" {
			t.Errorf("%s answers (-want +got):\n%s", name, diff)
		}
		const reason = "no C shim is linked (CGO_ENABLED=0)"
		if !errors.Is(err, errors.ErrUnsupported) || err.Error() != reason {
			t.Errorf("%s: %v, want errors.ErrUnsupported: %s", name, err, reason)
		}
	}
}
