package native

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SecurityLabelCall names the kernel's call behind [SecurityLabel].
const SecurityLabelCall = "getsockopt(SO_PEERSEC)"

// shortLabel is room for most labels, maxLabel more than any security module
// makes.
const (
	shortLabel = 256
	maxLabel   = 1 << 20
)

// SecurityLabel returns the label that a Linux security module (SELinux,
// AppArmor, Smack) gave the socket at the other end of the Unix socket fd, without
// the NUL that some of them count. It is not empty.
//
// The error is errors.ErrUnsupported if no security module labels the socket
// (ENOPROTOOPT), or the label is empty; EBADF; ENOTSOCK; and EPROTO for a label
// with a NUL within. A socket that has no peer may have a label all the same: ask
// [Credentials] and [CheckCanHavePeer] too where that is in doubt.
//
// Source: the getpeersec_stream hooks in security/.
func SecurityLabel(fd int) (string, error) {
	return readLabel(func(buffer []byte) (length uint32, err error) {
		return getsockopt(fd, unix.SOL_SOCKET, unix.SO_PEERSEC, unsafe.Pointer(&buffer[0]), uintptr(len(buffer)))
	})
}

// readLabel asks again, with more room, for a label that does not fit.
func readLabel(ask func(buffer []byte) (length uint32, err error)) (string, error) {
	label := make([]byte, shortLabel)
	for {
		length, err := ask(label)
		switch {
		case err == nil:
			return decodeLabel(label, length)
		case errors.Is(err, unix.ENOPROTOOPT):
			return "", unsupportedError("no Linux security module labels this socket")
		case !errors.Is(err, unix.ERANGE):
			return "", err
		case int(length) <= len(label) || length > maxLabel:
			return "", unix.EPROTO
		}
		label = make([]byte, length)
	}
}
