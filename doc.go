// Package peercred identifies the process at the other end of a Unix socket. The
// kernel vouches for the answer: pid, uid and gid, supplementary groups, security
// label, and a handle on the process.
//
//	conn, err := listener.Accept()
//	...
//	peer, err := peercred.GetPeerCredentials(conn)
//	if err != nil || peer.UID != uint32(os.Geteuid()) {
//		conn.Close() // deny on error too
//		continue
//	}
//
// # Which process the ids belong to
//
// The ids are effective ids. On a server's accepted connection they are the
// peer's ids as of its connect(2). Later changes of the peer's ids do not show.
//
// On a client's connection the ids belong to the process that called listen(2). On OpenBSD
// they belong to the process that called bind(2). On illumos and Solaris they belong to the
// process that made the server's end. Under socket activation that process is the service
// manager, not the service that accepts.
//
// On Linux and current OpenBSD a socketpair names the process that made it. Other systems
// may not answer about a socketpair. A datagram socket is an error, because it can be
// connected to another socket after the kernel captured the credentials.
//
// On macOS the pid is not as of connect time. It names the process that last used the
// peer's socket, so uid and pid can describe two processes. It is 0 once the peer has
// closed.
//
// On NetBSD only the accepted end has an answer. The connecting end is an error, because
// its answer depends on the revision of uipc_usrreq.c, which no call reports. Up to r1.152
// the kernel names the process that called bind(2). From r1.162 to about r1.208 it names
// the caller itself. Since r1.209 (July 2025) it names the process that called listen(2).
// A peer that bound a name before it connected is an error too.
//
// Never call bind(2) on an accepted connection. On OpenBSD and NetBSD that replaces
// the peer's ids with ours.
//
// Sources: unix(7) and net/core/sock.c of Linux; unix(4), getpeereid(3) and
// uipc_usrreq.c of macOS, FreeBSD, DragonFly and NetBSD; getsockopt(2) and
// uipc_socket.c of OpenBSD; getpeerucred(3C) of illumos and Solaris; getsockopt
// and sys/socket.h of AIX.
//
// # Other facts about the peer
//
// [GetPeerGroups] returns the peer's supplementary groups, as of the same moment as its
// credentials.
//
// [GetPeerSecurityLabel] returns the label that a Linux security module gave the peer's socket.
//
// [OpenPeerProcess] opens a handle on the process that connected. A process that reuses
// the pid cannot impersonate it. The handle reports whether the process is alive, reads
// its files in /proc safely, and sends signals to this process only.
//
// [GetPeerAuditToken] returns the token that macOS uses for code signing.
//
// [GetLoopbackPeerUID] returns the uid of the socket at the other end of a TCP connection
// over loopback, on Linux. That is for servers that cannot use a Unix socket. The uid is of
// the process that made the socket. It is the only fact, and a proxy hides who is behind it.
//
// A [Receiver] returns each message of a Unix socket with the process that sent it, on Linux.
// That is for datagram servers, whose sockets have no peer. It also shows whether a connection
// changed hands.
//
// If a system or kernel does not support a fact, the error wraps
// *[ErrPeerCredentialsUnavailable]. [Support] reports which facts are available here, and
// how reliable each is. It requires no connection.
//
// # Limits
//
// The process that connected may not be the one that writes. A connected descriptor can
// be inherited or passed on. The credentials still name the process that connected. On Linux
// a [Receiver] names the one that writes.
//
// A pid does not identify a process. Another process can get the pid as soon as the first
// is reaped. Decide on uid, gid, groups and label, which come from the socket. Never look
// up a uid by pid. Use [OpenPeerProcess] to refer to the process itself.
//
// A pid of 0 means that the kernel does not report it. An example is a peer in a pid
// namespace that is not visible in ours. In a Linux user namespace an id that is not
// mapped reads as the overflow id, 65534. The user nobody usually has that id too.
//
// gVisor before November 2025 names the caller as the peer of every Unix socket. gVisor
// of September 2026 names each end of a SOCK_SEQPACKET connection as its own peer. This
// package detects both and returns an error.
//
// # Two implementations
//
// A build with CGO_ENABLED=1 uses small C shims (package cpeercred). A build with
// CGO_ENABLED=0 uses golang.org/x/sys (package native). [Implementation] names the linked
// one. The two are independent, and the tests compare their answers on the same sockets.
package peercred
