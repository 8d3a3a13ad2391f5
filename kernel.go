package peercred

import (
	"os"
	"sync/atomic"
)

// self is our own pid, which never changes.
var self = int32(os.Getpid())

// kernelIsRight remembers that the kernel passed checkKernel.
var kernelIsRight atomic.Bool

// checkKernel returns an error if the kernel names the caller as every peer. It is called
// only if an answer names this process. Such an answer may be right, because a process can
// connect to itself. A kernel that passed is not checked again. If the check itself failed,
// for example because no descriptor was left, it is repeated the next time.
func checkKernel() error {
	if kernelIsRight.Load() {
		return nil
	}
	return probeKernel()
}

func probeKernel() error {
	switch wrong, err := answersForCaller(); {
	case err != nil:
		return unavailable(failedCredentials, "the answer names this process itself, and it is not known whether the kernel gives that answer for every peer: socket, "+known.UID.Call+": "+err.Error())
	case wrong:
		return unavailable(failedCredentials, "the kernel names this process itself as the peer of every Unix socket (as gVisor before November 2025 does)")
	}
	kernelIsRight.Store(true)
	return nil
}
