// Package peercred tells which process is at the other end of a Unix socket, as
// the kernel vouches for it: pid, uid and gid, supplementary groups, security
// label, and a handle on the process itself.
//
//	conn, err := listener.Accept()
//	...
//	peer, err := peercred.GetPeerCredentials(conn)
//	if err != nil || peer.UID != uint32(os.Geteuid()) {
//		conn.Close() // no answer is no admission
//		continue
//	}
//
// # What the kernel says, and as of when
//
// The ids are effective ids. On a server's accepted connection they are the
// peer's ids as of its connect(2). Later changes of the peer's ids do not show.
//
// On a client's connection the ids belong to the process that called listen(2). OpenBSD
// names the process that called bind(2), and illumos and Solaris the process that made
// the server's end. Under socket activation that process is the service manager, not the
// service that accepts.
//
// On Linux and current OpenBSD a socketpair names the process that made it. Other systems
// may not answer about a socketpair. A datagram socket is an error, because it can be
// connected to another socket after the kernel took the credentials.
//
// On macOS the pid is not as of connect time. It names the process that last used the
// peer's socket, so uid and pid can describe two processes. It is 0 once the peer has
// closed.
//
// On NetBSD only the accepted end has an answer. On the connecting end the kernel names
// the process that called bind(2) up to r1.152 of uipc_usrreq.c, the caller itself from
// r1.162 to about r1.208, and the process that called listen(2) since r1.209 (July
// 2025). No call tells the revision, so the connecting end is an error. A peer that
// bound a name before it connected is an error too.
//
// Never call bind(2) on an accepted connection. On OpenBSD and NetBSD that replaces
// the peer's ids with ours.
//
// Sources: unix(7) and net/core/sock.c of Linux; unix(4), getpeereid(3) and
// uipc_usrreq.c of macOS, FreeBSD, DragonFly and NetBSD; getsockopt(2) and
// uipc_socket.c of OpenBSD; getpeerucred(3C) of illumos and Solaris; getsockopt
// and sys/socket.h of AIX.
//
// # More than three numbers
//
// [GetPeerGroups] tells the supplementary groups that the peer had, as of the same
// moment as its credentials, and [GetPeerSecurityLabel] the label that a Linux
// security module gave it. [OpenPeerProcess] opens a handle on the very process
// that connected, which a reused pid cannot impersonate: on it are whether the
// process lives, a safe way to read /proc, and a signal that reaches nobody else.
// [GetPeerAuditToken] is macOS's token for code signing. Where a system or a
// kernel has no answer they say so with *[ErrPeerCredentialsUnavailable]; and
// [Support] tells as data, before any connection is there, what can be asked here
// and what each answer is worth.
//
// # What the kernel cannot say
//
// The connector is not the writer: a connected descriptor can be inherited or
// passed on, and the credentials keep naming the process that connected.
//
// A pid is not an identity: it can belong to another process as soon as its
// owner is reaped. Decide on uid, gid, groups and label, which come from the socket;
// never look a uid up by the pid. For the process itself use [OpenPeerProcess].
//
// A pid of 0 means that the kernel does not tell, as for a peer in a pid
// namespace that we do not see. Under Linux's user namespaces an id that is not
// mapped in ours is the overflow id, 65534, which is also the usual id of
// nobody.
//
// Under gVisor before November 2025 every Unix socket seems to be connected to
// the caller itself, and under that of September 2026 every SOCK_SEQPACKET connection
// to its own end. This package detects both, and fails there.
//
// # Two implementations
//
// The answer comes from small C shims (package cpeercred) in a build with
// CGO_ENABLED=1, and from golang.org/x/sys (package native) in one with
// CGO_ENABLED=0. [Implementation] names the linked one. Neither calls the other,
// and the tests hold them against each other on the same sockets.
package peercred
