package peercred

import (
	"net"
	"syscall"
)

// GetLoopbackPeerUID returns the uid that owns the socket at the other end of conn, a TCP
// connection over loopback. On a server's accepted conn that is the client's socket. On a
// client's conn it is the socket that the server accepted.
//
// Use a Unix socket and [GetPeerCredentials] instead if you can. A TCP connection has no
// pid, gid or other fact, and every user can connect to a TCP port.
//
// # What the uid means
//
// The uid is the effective uid (on Linux the file system uid, which follows it) of the process
// that called socket(2), or accept(2) for a server's end, as of that call. Later changes of
// the process do not show. Root can give the socket to another user by fchown(2). The uid is 0
// to 4294967294. On Linux a uid that our user namespace does not map is the overflow id, 65534.
//
// Another process may have inherited or received the socket, even before it was connected. A
// process that has any TCP socket of another user can close its connection, or stop listening,
// and then connect it to our server. So a service that systemd or inetd starts with a TCP
// socket can pass as root.
//
// GetLoopbackPeerUID asks the kernel who owns the socket with the peer's address and port.
// While our end is connected, no other socket can be connected with the same addresses and
// ports, even if the peer has exited. GetLoopbackPeerUID checks after the answer that our end
// is connected. So the answer is never about a process that got the port later. Sockets that
// are bound to a network device (SO_BINDTODEVICE, a VRF) are an exception. So a peer with such
// a socket is not found, and conn must not be bound to a device other than lo.
//
// A proxy is the peer of the connections that it makes. Examples are docker-proxy, ssh -L,
// kubectl port-forward and slirp4netns. The uid is then the proxy's. A server that admits
// this uid admits all users of the proxy.
//
// If a firewall's rule (DNAT, REDIRECT) redirects conn, GetLoopbackPeerUID returns an error.
// Linux does not report that for MPTCP. So on a kernel that tracks connections, every MPTCP
// connection is an error. Do not trust the uid if a rule redirects connections over loopback to
// the server's port, or changes where they come from. The kernel then gives some connections
// the address of another user's socket, and a user who connects often gets one.
// A process with CAP_NET_ADMIN in the network namespace can make sockets with any addresses,
// and so impersonate every user there.
//
// # Errors
//
// conn must be a *net.TCPConn or wrap one, as [GetPeerCredentials] describes for Unix
// sockets. GetLoopbackPeerUID returns a uid or an error:
//
//   - *[ErrNotLoopback] if conn is not TCP, or if one of its addresses is neither ::1 nor in
//     127.0.0.0/8.
//   - An error that wraps *[ErrPeerCredentialsUnavailable] on every system except Linux, on
//     Linux before 5.14, on gVisor, in a sandbox that forbids AF_NETLINK sockets, on a kernel
//     without tcp_diag, and for a conn that is of another network namespace or device,
//     redirected, or MPTCP on a kernel that tracks connections.
//   - An error that wraps [net.ErrClosed] if conn is closed.
//   - Otherwise an error that begins with "failed to get the loopback peer's uid". It names
//     the system and the call, and wraps the errno if there is one.
//
// The errno is ENOTCONN if conn is not connected, was reset, or if the peer has closed its
// socket or exited. It is ENOENT if the kernel has forgotten the peer's socket, does not know
// one with that address, or if it is bound to a device. So ask right after Accept. It is EAGAIN
// on a client's conn that the server has not accepted. Then read what the server sends first,
// and ask again. It can also be EAGAIN for an MPTCP peer that has closed.
//
// On Linux a *net.TCPConn costs 12 system calls. The first question opens a netlink socket,
// which stays open. All questions share it, so they wait for one another.
//
// It is safe for concurrent use, also while another goroutine closes conn.
//
// Source: sock_diag(7), and net/ipv4/inet_diag.c of Linux.
func GetLoopbackPeerUID(conn net.Conn) (uint32, error) { return loopbackUIDOf(conn) }

// GetLoopbackPeerUIDOf is [GetLoopbackPeerUID] for a value that gives access to its
// descriptor: an *os.File (a socket inherited or received from another process), a net.Conn,
// or a type of your own. It makes the same checks and returns the same errors. For a closed
// *os.File the error wraps [os.ErrClosed].
func GetLoopbackPeerUIDOf(conn syscall.Conn) (uint32, error) { return loopbackUIDOf(conn) }

func loopbackUIDOf(conn any) (uint32, error) { return loopbackUID.ofAny(conn) }

const failedLoopbackUID = "failed to get the loopback peer's uid"

var loopbackUID = question[uint32]{failed: failedLoopbackUID, ask: askLoopbackUID, tcp: true}

func askLoopbackUID(fd int) (uint32, error) {
	uid, err := loopbackPeerUID(fd)
	switch {
	case isNotLoopback(err):
		return 0, &ErrNotLoopback{Got: "TCP over another address"}
	case err != nil:
		return 0, refusal(failedLoopbackUID, known.LoopbackUID.Call, err)
	}
	return uid, nil
}
