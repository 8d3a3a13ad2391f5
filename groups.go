package peercred

import "net"

// GetPeerGroups returns the supplementary groups of the process at the other end of conn.
// The kernel captures them at the same moment as the credentials that [GetPeerCredentials]
// returns. Later changes do not show. It takes the same conns as GetPeerCredentials.
//
// The groups are in the kernel's order, each 0 to 4294967294. If there are none, the
// result is an empty slice. The effective group, PeerCredentials.GID, is among them only
// if it is a supplementary group too. So a rule about groups must check both. On Linux a
// group that our user namespace does not map is the overflow id, 65534.
//
// On macOS, FreeBSD and DragonFly the kernel reports at most 16 groups, counting the
// effective one. So on those systems the process may be in a group that is missing here.
// [Support] reports the limit.
//
// The groups come from the kernel, not from the user database. A process keeps the
// groups that it got at login, even if the database changes.
//
// It returns groups or an error. The errors are those of GetPeerCredentials. The error
// also wraps *[ErrPeerCredentialsUnavailable] on OpenBSD, NetBSD and AIX, on Linux before
// 4.13, and on illumos and Solaris in a build with CGO_ENABLED=0.
//
// On Linux a connected *net.UnixConn costs one system call, or two if there are
// more than 64 groups (and four more for "unixpacket"), and one allocation. It is safe
// for concurrent use.
//
// Source: SO_PEERGROUPS in net/core/sock.c of Linux; unix(4) of macOS, FreeBSD and
// DragonFly; ucred_get(3C) of illumos.
func GetPeerGroups(conn net.Conn) ([]uint32, error) { return groupsOf.of(conn) }

var groupsOf = &question[[]uint32]{failed: failedGroups, ask: askGroups, verify: true}

const failedGroups = "failed to get the peer's groups"

func askGroups(fd int) ([]uint32, error) {
	answer, err := groups(fd)
	if err != nil {
		return nil, refusal(failedGroups, known.Groups.Call, err)
	}
	return answer, nil
}
