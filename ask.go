package peercred

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
)

// The questions to a descriptor, and what makes a kernel's answer an error.

const failedCredentials = "failed to get peer credentials"

var credentialsOf = &question[PeerCredentials]{failed: failedCredentials, ask: askCredentials}

func askCredentials(fd int) (PeerCredentials, error) {
	var r reply
	r.pid, r.uid, r.gid, r.err = credentials(fd)
	return r.judge()
}

// known is what is known of this system. It names the calls.
var known = supportOn(runtime.GOOS, Implementation)

// self is our own pid, which a process keeps for life.
var self = int32(os.Getpid())

// kernelIsRight remembers that the kernel passed checkKernel.
var kernelIsRight atomic.Bool

// checkKernel refuses a kernel that names the caller as everybody's peer. It is
// asked only when an answer names us, which may be right: we may have connected
// to ourselves. A kernel that passed is not asked again; one that could not be
// asked (no descriptor left, say) is, the next time.
func checkKernel() error {
	if kernelIsRight.Load() {
		return nil
	}
	return probeKernel()
}

func probeKernel() error {
	switch wrong, err := answersForCaller(); {
	case err != nil:
		return unavailable(failedCredentials, "the answer names this process itself, and we cannot tell whether the kernel gives that answer for every peer: socket, "+known.UID.Call+": "+err.Error())
	case wrong:
		return unavailable(failedCredentials, "the kernel names this process itself as the peer of every Unix socket (gVisor before November 2025 does)")
	}
	kernelIsRight.Store(true)
	return nil
}

// refusal is the error for a call that gave none of the answers to hand out.
func refusal(failed, call string, err error) error {
	switch {
	case errors.Is(err, errors.ErrUnsupported) && call == "":
		return unavailable(failed, err.Error())
	case errors.Is(err, errors.ErrUnsupported):
		return unavailable(failed, call+": "+err.Error())
	}
	return fmt.Errorf("%s: %w", failed, callError(call, err))
}

// callError names the system and the call.
func callError(call string, err error) error {
	return fmt.Errorf("%s: %s: %w", runtime.GOOS, call, err)
}

// unavailable returns an error that wraps *ErrPeerCredentialsUnavailable. Its text
// begins with failed, unless the credentials are what is unavailable.
func unavailable(failed, reason string) error {
	err := &ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: reason}
	if failed == failedCredentials {
		return err
	}
	return &factUnavailable{failed, err}
}

// factUnavailable means that a fact other than the credentials is unavailable. The
// credentials may be available, so the text of the wrapped error would be wrong.
type factUnavailable struct {
	failed string
	err    *ErrPeerCredentialsUnavailable
}

func (e *factUnavailable) Error() string {
	return e.failed + ": unavailable on " + e.err.Platform + ": " + e.err.Reason
}

func (e *factUnavailable) Unwrap() error { return e.err }
