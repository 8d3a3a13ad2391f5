package peercred

import "net"

// GetPeerSecurityLabel asks the kernel under which label of a Linux security
// module the process at the other end of conn made its socket: an SELinux context
// ("system_u:system_r:sshd_t:s0"), an AppArmor profile with its mode
// ("/usr/bin/evince (enforce)", "unconfined") or a Smack label. It takes the same
// conns as [GetPeerCredentials].
//
// The label is an opaque string, at least one byte long and without a NUL. It is
// not parsed here. Compare it as a whole, or use the security module's own library.
// It does not say which module gave it.
//
// It is captured when the connection is made. Later changes do not show. It is the
// label of the peer's socket. That is the label of the process that made the socket,
// unless the policy lets the process choose another one (setsockcreatecon(3)).
//
// It returns a label or an error, and never "". The errors are those of
// GetPeerCredentials. The error wraps *[ErrPeerCredentialsUnavailable], and says that
// the label is unavailable, where no security module labels sockets (ENOPROTOOPT),
// where the label is empty, and on every system but Linux.
//
// A connected *net.UnixConn costs one system call, or two for a label of more than
// 255 bytes (and four more for "unixpacket"). It is safe for concurrent use.
//
// Source: unix(7), and the getpeersec_stream hooks in security/ of Linux.
func GetPeerSecurityLabel(conn net.Conn) (string, error) { return securityLabelOf.of(conn) }

var securityLabelOf = &question[string]{failed: failedSecurityLabel, ask: askSecurityLabel, trusts: true}

const failedSecurityLabel = "failed to get the peer's security label"

func askSecurityLabel(fd int) (string, error) {
	answer, err := securityLabel(fd)
	if err != nil {
		return "", refusal(failedSecurityLabel, known.SecurityLabel.Call, err)
	}
	return answer, nil
}
