package peercred

import (
	"fmt"
	"net"
	"syscall"
)

// GetLoopbackPeerUID returns the uid that owns the socket at the other end of conn, a TCP
// connection over loopback. On a server's accepted conn that is the client's socket, and on
// a client's conn the socket that the server accepted.
//
// Use a Unix socket and [GetPeerCredentials] if you can choose. A TCP connection has no pid,
// gid or other fact, and every user can connect to a TCP port.
//
// # What the uid means
//
// The uid is the effective uid of the process that called socket(2), for a server's end
// accept(2), as of that call. Later changes of the process do not show. The process may have
// passed the socket on, or a child may have inherited it. Only root can give the socket to
// another user, by fchown(2). The uid is 0 to 4294967294. On Linux a uid that our user
// namespace does not map is the overflow id, 65534.
//
// While our end is connected, the kernel lets no other socket have the addresses of the
// peer's socket. GetLoopbackPeerUID asks the kernel who owns the socket with those addresses,
// and then checks that our end is still connected. So the answer is not about another socket
// that got the port later.
//
// A proxy is the peer of the connections that it makes. Examples are docker-proxy, ssh -L,
// kubectl port-forward and slirp4netns. The uid is that of the proxy, and not of the process
// that talks through it. A server that trusts the uid of a proxy trusts all its users.
//
// A rule of the firewall that redirects connections gives the two ends different addresses.
// Then the peer is usually not found, which is an error. A process with CAP_NET_ADMIN in the
// network namespace can give a socket any addresses and so impersonate any user in it.
//
// # Errors
//
// conn must be a *net.TCPConn or wrap one, as [GetPeerCredentials] describes for Unix
// sockets. GetLoopbackPeerUID returns a uid or an error:
//
//   - *[ErrNotLoopback] if conn is not TCP, or if an address is not in 127.0.0.0/8 and not ::1.
//   - An error that wraps *[ErrPeerCredentialsUnavailable] on every system except Linux, on
//     Linux before 5.14, on gVisor, where a sandbox forbids AF_NETLINK sockets, and if conn
//     belongs to another network namespace than the calling thread.
//   - An error that wraps [net.ErrClosed] if conn is closed.
//   - Otherwise an error that begins with "failed to get the loopback peer's uid". It names
//     the system and the call, and wraps the errno if there is one.
//
// The errno is ENOTCONN if conn is not connected, if it was reset, or if the peer has closed
// its socket or exited. So ask right after Accept. It is ENOENT if no socket of our network
// namespace has the peer's addresses. It is EAGAIN if the server has not accepted the
// connection yet, which only a client sees: read what the server sends first, and ask again.
//
// Each question takes 13 system calls on Linux. They use a netlink socket that
// the first question opens and that stays open, so questions wait for one another. It is safe
// for concurrent use, also while another goroutine closes conn.
//
// Source: sock_diag(7), and net/ipv4/inet_diag.c of Linux.
func GetLoopbackPeerUID(conn net.Conn) (uint32, error) { return loopbackUIDOf(conn) }

// GetLoopbackPeerUIDOf is [GetLoopbackPeerUID] for a value that gives access to its
// descriptor: an *os.File (a socket inherited or received from another process), a net.Conn,
// or a type of your own. It makes the same checks and returns the same errors. For a closed
// *os.File the error wraps [os.ErrClosed].
func GetLoopbackPeerUIDOf(conn syscall.Conn) (uint32, error) { return loopbackUIDOf(conn) }

func loopbackUIDOf(conn any) (uint32, error) {
	q := &question[uint32]{
		failed: failedLoopbackUID, tcp: true,
		ask: func(fd int) (uint32, error) { return askLoopbackUID(fd, conn) },
	}
	return q.ofAny(conn)
}

const failedLoopbackUID = "failed to get the loopback peer's uid"

// askLoopbackUID asks about the descriptor of conn.
func askLoopbackUID(fd int, conn any) (uint32, error) {
	uid, err := loopbackPeerUID(fd)
	switch {
	case isNotLoopback(err):
		return 0, &ErrNotLoopback{Got: "TCP" + betweenAddresses(conn)}
	case err != nil:
		return 0, refusal(failedLoopbackUID, known.LoopbackUID.Call, err)
	}
	return uid, nil
}

// betweenAddresses describes the addresses, if conn knows them.
func betweenAddresses(conn any) string {
	if c, ok := conn.(net.Conn); ok {
		return fmt.Sprintf(" from %v to %v", c.RemoteAddr(), c.LocalAddr())
	}
	return " over another address"
}
