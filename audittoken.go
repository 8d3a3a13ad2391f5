package peercred

import "net"

// AuditToken is macOS's audit token of a process, audit_token_t. Apple's code-signing calls
// take its eight words as they are (SecCodeCopyGuestWithAttributes with
// kSecGuestAttributeAudit).
//
// Source: mach/message.h, audit_token(3) of macOS.
type AuditToken [8]uint32

// AuditUID returns the audit user id, which a login sets. It is 4294967295 if none is set.
func (t AuditToken) AuditUID() uint32 { return t[0] }

// EUID returns the effective user id.
func (t AuditToken) EUID() uint32 { return t[1] }

// EGID returns the effective group id.
func (t AuditToken) EGID() uint32 { return t[2] }

// RUID returns the real user id.
func (t AuditToken) RUID() uint32 { return t[3] }

// RGID returns the real group id.
func (t AuditToken) RGID() uint32 { return t[4] }

// PID returns the process id, 1 or greater.
func (t AuditToken) PID() int32 { return int32(t[5]) }

// SessionID returns the id of the audit session.
func (t AuditToken) SessionID() uint32 { return t[6] }

// PIDVersion returns a number that tells apart processes that had the same pid.
func (t AuditToken) PIDVersion() uint32 { return t[7] }

// GetPeerAuditToken asks macOS for the audit token of the process at the other end of conn.
// It takes the same conns as [GetPeerCredentials].
//
// The token is not as of connect time. The kernel builds it when asked, for the process that
// has the pid that last used the peer's socket. So call it right after Accept, compare
// [AuditToken.EUID] with PeerCredentials.UID, and deny the peer if they differ. Even if they
// are equal, the token does not prove that its process is the one that connected.
//
// It returns a token or an error. The errors are those of GetPeerCredentials, ENOTCONN once
// the peer has closed, and EINVAL if no process has that pid. On every system except macOS
// and iOS the error wraps *[ErrPeerCredentialsUnavailable]. It is safe for concurrent use.
//
// Source: LOCAL_PEERTOKEN in bsd/kern/uipc_usrreq.c of macOS.
func GetPeerAuditToken(conn net.Conn) (AuditToken, error) { return auditTokenOf.of(conn) }

var auditTokenOf = &question[AuditToken]{failed: failedAuditToken, ask: askAuditToken, verify: true}

const failedAuditToken = "failed to get the peer's audit token"

func askAuditToken(fd int) (AuditToken, error) {
	token, err := auditToken(fd)
	if err != nil {
		return AuditToken{}, refusal(failedAuditToken, known.AuditToken.Call, err)
	}
	return token, nil
}
