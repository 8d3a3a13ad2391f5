package peercred

import (
	"os"
	"sync/atomic"
)

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
