//go:build cgo

package cpeercred

/*
#cgo noescape cpeercred_audit_token
#cgo nocallback cpeercred_audit_token
#include "cpeercred.h"
*/
import "C"

import "syscall"

// AuditTokenCall names the system's call behind [AuditToken].
const AuditTokenCall = "getsockopt(LOCAL_PEERTOKEN)"

// AuditToken returns the audit token of the process that last used the socket at
// the other end of the Unix socket fd, which the kernel builds when asked: auid,
// euid, egid, ruid, rgid, pid, asid, pidversion.
//
// The error is ENOTCONN for a socket without a peer and once the peer has closed,
// EINVAL if no process has that pid, EAFNOSUPPORT for what is not a Unix socket,
// EBADF, and EPROTO for an answer that is not an audit_token_t.
func AuditToken(fd int) (token [8]uint32, err error) {
	if !isDescriptor(fd) {
		return token, syscall.EBADF
	}
	var told [8]C.uint32_t
	if errno := C.cpeercred_audit_token(C.int(fd), &told[0]); errno != 0 {
		return token, syscall.Errno(errno)
	}
	for i, word := range told {
		token[i] = uint32(word)
	}
	return token, nil
}
