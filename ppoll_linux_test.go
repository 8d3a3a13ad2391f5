//go:build linux && (arm64 || riscv64 || loong64)

package peercred_test

import (
	"golang.org/x/sys/unix"

	"example.com/peercred/internal/seccomp"
)

// pollCalls are the calls that poll(3) makes.
var pollCalls = []seccomp.Call{seccomp.Any(unix.SYS_PPOLL)}
