package peercred

import "net"

// GetPeerSecurityLabel returns the label that a Linux security module gave the socket at
// the other end of conn. It is an SELinux context ("system_u:system_r:sshd_t:s0"), an
// AppArmor profile with its mode ("/usr/bin/evince (enforce)", "unconfined"), or a Smack
// label. It takes the same conns as [GetPeerCredentials].
//
// The label is an opaque string, at least one byte long and without a NUL. It does not say
// which module gave it. Compare it as a whole, or use the security module's own library.
//
// The kernel captures the label when the connection is made. Later changes do not show.
// It is the label of the process that made the peer's socket, except if the policy allows
// the process to choose another one (setsockcreatecon(3)).
//
// It returns a label or an error. The errors are those of GetPeerCredentials. The error
// also wraps *[ErrPeerCredentialsUnavailable] if no security module labels sockets
// (ENOPROTOOPT), if the label is empty, and on every system except Linux.
//
// A connected *net.UnixConn costs one system call, or two for a label of more than
// 255 bytes (and four more for "unixpacket"). It is safe for concurrent use.
//
// Source: unix(7), and the getpeersec_stream hooks in security/ of Linux.
func GetPeerSecurityLabel(conn net.Conn) (string, error) { return securityLabelOf.of(conn) }

var securityLabelOf = &question[string]{failed: failedSecurityLabel, ask: askSecurityLabel, verify: true}

const failedSecurityLabel = "failed to get the peer's security label"

func askSecurityLabel(fd int) (string, error) {
	answer, err := securityLabel(fd)
	if err != nil {
		return "", refusal(failedSecurityLabel, known.SecurityLabel.Call, err)
	}
	return answer, nil
}
