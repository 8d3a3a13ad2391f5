package native

import "golang.org/x/sys/unix"

// The numbers that the C shim asserts of the headers are those of x/sys: what
// does not compile here (make cross) is a difference.
var (
	_ [0]byte = [unix.SO_PEERID - 0x1009]byte{}
)
