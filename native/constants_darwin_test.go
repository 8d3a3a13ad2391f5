package native

import "golang.org/x/sys/unix"

// The numbers that the C shim asserts of the headers are those of x/sys: what
// does not compile here (make cross) is a difference.
var (
	_ [0]byte = [unix.SOL_LOCAL - 0]byte{}
	_ [0]byte = [unix.LOCAL_PEERCRED - 1]byte{}
	_ [0]byte = [unix.LOCAL_PEERPID - 2]byte{}
)
