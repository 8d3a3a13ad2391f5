package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// AuditTokenCall names the kernel's call behind [AuditToken].
const AuditTokenCall = "getsockopt(LOCAL_PEERTOKEN)"

// AuditToken returns the audit token of the process that last used the socket at
// the other end of the Unix socket fd, which the kernel builds when asked: auid,
// euid, egid, ruid, rgid, pid, asid, pidversion.
//
// The error is ENOTCONN for a socket without a peer and once the peer has closed,
// EINVAL if no process has that pid, EAFNOSUPPORT for what is not a Unix socket,
// EBADF, and EPROTO for an answer that is not an audit_token_t.
//
// Source: uipc_ctloutput in bsd/kern/uipc_usrreq.c.
func AuditToken(fd int) (token [8]uint32, err error) {
	if err := checkUnixFamily(fd); err != nil {
		return token, err
	}
	t := poisonedAuditToken()
	length, err := getsockopt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERTOKEN, unsafe.Pointer(&t), unsafe.Sizeof(t))
	if err != nil {
		return token, err
	}
	return t.decode(length)
}
