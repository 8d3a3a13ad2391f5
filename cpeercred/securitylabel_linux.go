//go:build cgo

package cpeercred

/*
#cgo noescape cpeercred_security_label
#cgo nocallback cpeercred_security_label
#include "cpeercred.h"
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// SecurityLabelCall names the system's call behind [SecurityLabel].
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
func SecurityLabel(fd int) (string, error) {
	if !isDescriptor(fd) {
		return "", syscall.EBADF
	}
	var short [shortLabel]byte
	label := short[:]
	for {
		var length C.size_t
		errno := syscall.Errno(C.cpeercred_security_label(C.int(fd), (*C.char)(unsafe.Pointer(&label[0])), C.size_t(len(label)), &length))
		switch {
		case errno == 0 && length == 0:
			return "", unsupportedError("the label is empty")
		case errno == 0:
			return string(label[:length]), nil
		case errno == syscall.ENOPROTOOPT:
			return "", unsupportedError("no Linux security module labels this socket")
		case errno != syscall.ERANGE:
			return "", errno
		case length <= C.size_t(len(label)) || length > maxLabel:
			return "", syscall.EPROTO
		}
		label = make([]byte, length)
	}
}
