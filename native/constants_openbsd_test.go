package native

import "golang.org/x/sys/unix"

// The numbers that the C shim asserts of the headers are those of x/sys. If they differ, this
// file does not compile (make cross).
var (
	_ [0]byte = [unix.SO_PEERCRED - 0x1022]byte{}
)
