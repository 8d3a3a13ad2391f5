//go:build linux && (arm64 || riscv64 || loong64)

package seccomp

import "golang.org/x/sys/unix"

// Poll is what poll(3) may be.
var Poll = []Call{Any(unix.SYS_PPOLL)}
