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
		return unavailable("the answer names this process itself, and whether the kernel says so of every peer could not be found out: socket, " + call + ": " + err.Error())
	case wrong:
		return unavailable("the kernel names this process itself as the peer of every Unix socket (gVisor before November 2025 does)")
	}
	kernelIsRight.Store(true)
	return nil
}

// refusal is the error for a call that gave none of the answers to hand out.
func refusal(failed, call string, err error) error {
	switch {
	case errors.Is(err, errors.ErrUnsupported) && call == none:
		return unavailable(err.Error())
	case errors.Is(err, errors.ErrUnsupported):
		return unavailable(call + ": " + err.Error())
	}
	return fmt.Errorf("%s: %w", failed, callError(call, err))
}

// none is the name of the call where there is none.
const none = "none"

// callError names the system and the call.
func callError(call string, err error) error {
	return fmt.Errorf("%s: %s: %w", runtime.GOOS, call, err)
}

func unavailable(reason string) error {
	return &ErrPeerCredentialsUnavailable{Platform: runtime.GOOS, Reason: reason}
}
