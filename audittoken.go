package peercred

import "net"

// GetPeerAuditToken asks macOS for the audit token of the process at the other end
// of conn: auid, euid, egid, ruid, rgid, pid, asid and pidversion, which is what
// Apple's code-signing calls take (SecCodeCopyGuestWithAttributes with
// kSecGuestAttributeAudit). conn may be what it may be for [GetPeerCredentials].
//
// The token is not from connect time. The kernel builds it when it is asked, for
// whatever process then has the pid that last used the peer's socket. So compare
// its second word, the effective uid, with PeerCredentials.UID, and refuse the peer
// if they differ; and ask right after Accept. The pidversion makes a token of a
// reused pid another token, but does not show that the process with this one is
// the process that connected.
//
// It returns a token or an error. The errors are those of GetPeerCredentials, with
// ENOTCONN once the peer has closed and EINVAL if no process has that pid. On every
// system but macOS and iOS the error wraps *[ErrPeerCredentialsUnavailable], and says
// that the token is unavailable. It is safe for concurrent use.
//
// Source: LOCAL_PEERTOKEN in bsd/kern/uipc_usrreq.c of macOS, audit_token_t in
// mach/message.h.
func GetPeerAuditToken(conn net.Conn) ([8]uint32, error) { return auditTokenOf.ofConn(conn) }

var auditTokenOf = &question[[8]uint32]{failed: failedAuditToken, ask: askAuditToken, trusts: true}

const failedAuditToken = "failed to get the peer's audit token"

func askAuditToken(fd int) (token [8]uint32, err error) {
	token, err = auditToken(fd)
	if err != nil {
		return [8]uint32{}, refusal(failedAuditToken, known.AuditToken.Call, err)
	}
	return token, nil
}
