//go:build linux

/*
 * The uid of the socket at the other end of a TCP connection over loopback, on Linux and
 * Android: sock_diag(7), net/ipv4/inet_diag.c, net/netfilter/nf_conntrack_proto.c.
 */

#define _GNU_SOURCE

#include "cpeercred.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "inetdiag.h"

/* The index of lo in every network namespace. */
enum { LOOPBACK_DEVICE = 1 };

/* One end of a connection. An IPv4 address is mapped to IPv6. */
struct end {
	uint8_t address[16];
	uint16_t port; /* big-endian */
};

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static int
is_mapped(const struct end *e)
{
	return memcmp(e->address, mapped, sizeof(mapped)) == 0;
}

static int
is_loopback(const struct end *e)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (is_mapped(e))
		return e->address[12] == 127;
	return memcmp(e->address, loopback, sizeof(loopback)) == 0;
}

static int
is_same(const struct end *a, const struct end *b)
{
	return memcmp(a->address, b->address, sizeof(a->address)) == 0 && a->port == b->port;
}

/* All zeroes if family is neither AF_INET nor AF_INET6. */
static void
set_end(struct end *e, int family, const uint8_t *address, uint16_t port)
{
	memset(e, 0, sizeof(*e));
	switch (family) {
	case AF_INET:
		memcpy(e->address, mapped, sizeof(mapped));
		memcpy(e->address + sizeof(mapped), address, 4);
		break;
	case AF_INET6:
		memcpy(e->address, address, sizeof(e->address));
		break;
	default:
		return;
	}
	e->port = port;
}

/* Poisoned: value is not all ones if the kernel wrote it. */
static int
get_option(int fd, int level, int option, void *value, socklen_t size)
{
	const unsigned char *bytes = value;
	socklen_t len = size, i;

	memset(value, 0xff, size);
	if (getsockopt(fd, level, option, value, &len) == -1)
		return call_error();
	for (i = 0; i < size; i++)
		if (len == size && bytes[i] != 0xff)
			return 0;
	return EPROTO;
}

/* Another family or type with the same number has no name that get_end accepts. */
static int
check_tcp(int fd)
{
	int protocol, error;

	if ((error = get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, sizeof(protocol))) != 0)
		return error;
	return protocol == IPPROTO_TCP || protocol == CPEERCRED_IPPROTO_MPTCP ? 0 : EPROTOTYPE;
}

/* Room for an address of either family. */
union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int
decode_name(const union name *name, socklen_t len, struct end *e)
{
	if (name->any.sa_family == AF_INET && len == sizeof(name->v4))
		set_end(e, AF_INET, (const uint8_t *)&name->v4.sin_addr, name->v4.sin_port);
	else if (name->any.sa_family == AF_INET6 && len == sizeof(name->v6))
		set_end(e, AF_INET6, name->v6.sin6_addr.s6_addr, name->v6.sin6_port);
	else
		return EPROTO;
	return 0;
}

/* get is getsockname or getpeername. */
static int
get_end(int fd, int (*get)(int, struct sockaddr *, socklen_t *), struct end *e)
{
	union name name;
	socklen_t len = sizeof(name);

	memset(&name, 0xff, sizeof(name));
	if (get(fd, &name.any, &len) == -1)
		return call_error();
	return decode_name(&name, len, e);
}

/* The address that the client connected to. The kernel reports no length. */
static int
get_original(int fd, int is_v4, struct end *e)
{
	union name name;
	socklen_t size = is_v4 ? sizeof(name.v4) : sizeof(name.v6);
	int error = get_option(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, CPEERCRED_SO_ORIGINAL_DST, &name, size);

	return error != 0 ? error : decode_name(&name, size, e);
}

static int
check_no_tracking(void)
{
	struct end e;
	int fd, error;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP)) == -1)
		return call_error();
	error = get_original(fd, 1, &e);
	(void)close(fd);
	return error == ENOPROTOOPT ? 0 : CPEERCRED_MULTIPATH;
}

static int
check_device(int fd)
{
	int device, error;

	if ((error = get_option(fd, SOL_SOCKET, CPEERCRED_SO_BINDTOIFINDEX, &device, sizeof(device))) != 0)
		return error;
	return device == 0 || device == LOOPBACK_DEVICE ? 0 : CPEERCRED_OTHER_DEVICE;
}

/*
 * A firewall's rule (DNAT, REDIRECT) may have changed the address that the client connected
 * to. The client's socket then has that address, and the socket that has ours can be
 * anybody's. The kernel does not know the original address if it tracks no connections, or
 * not this one. Then usually no rule applies to it.
 *
 * The kernel does not report what happens in a zone of conntrack, or that the client's own
 * address was changed. It changes that for a rule (SNAT), and if it gave the address to a
 * connection that it redirected.
 */
static int
check_not_redirected(int fd, const struct end *own, const struct end *peer)
{
	struct end original;
	int error = get_original(fd, is_mapped(own), &original);

	if (error == ENOPROTOOPT || error == ENOENT)
		return 0;
	if (error == EOPNOTSUPP) /* MPTCP */
		return check_no_tracking();
	if (error != 0)
		return error;
	/* own at the server's end, peer at the client's */
	return is_same(&original, own) || is_same(&original, peer) ? 0 : CPEERCRED_REDIRECTED;
}

static int
is_connected(uint8_t state)
{
	switch (state) {
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		return 1;
	default:
		return 0;
	}
}

/*
 * The first byte of struct tcp_info is the state. An MPTCP socket reports the state of its
 * first subflow, and has the same addresses as that subflow. getpeername(2) is not enough,
 * because the connection can survive the subflow.
 */
static int
check_connected(int fd)
{
	uint8_t state;
	int error;

	if ((error = get_option(fd, IPPROTO_TCP, TCP_INFO, &state, sizeof(state))) != 0)
		return error;
	return is_connected(state) ? 0 : ENOTCONN;
}

/* Of the socket or of its network namespace. */
static int
get_cookie(int fd, int option, uint64_t *cookie)
{
	int error = get_option(fd, SOL_SOCKET, option, cookie, sizeof(*cookie));

	return error == ENOPROTOOPT ? CPEERCRED_NO_NETNS_COOKIE : error;
}

/*
 * A socket of NETLINK_SOCK_DIAG, which all questions share, because to make one takes longer
 * than to ask. It knows the sockets of one network namespace.
 */
static struct {
	int open, fd;
	uint64_t cookie; /* no other socket has it */
	uint64_t netns;
	uint32_t serial; /* of the last question */
} sock_diag;

static void
close_sock_diag(void)
{
	if (sock_diag.open)
		(void)close(sock_diag.fd);
	sock_diag.open = 0;
}

/*
 * Makes it a socket of the network namespace, if this thread is in it.
 *
 * The program may have closed all descriptors, and the number may mean another file by now.
 */
static int
enter_netns(uint64_t netns)
{
	uint64_t cookie;
	int error;

	(void)get_cookie(sock_diag.fd, CPEERCRED_SO_COOKIE, &cookie); /* all ones if it fails */
	if (cookie != sock_diag.cookie)
		sock_diag.open = 0;
	if (sock_diag.open && sock_diag.netns == netns)
		return 0;
	close_sock_diag();
	if ((sock_diag.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, CPEERCRED_NETLINK_SOCK_DIAG)) == -1)
		return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? CPEERCRED_NO_SOCK_DIAG : call_error();
	sock_diag.open = 1;
	if ((error = get_cookie(sock_diag.fd, CPEERCRED_SO_NETNS_COOKIE, &sock_diag.netns)) != 0 ||
	    (error = get_cookie(sock_diag.fd, CPEERCRED_SO_COOKIE, &sock_diag.cookie)) != 0) {
		close_sock_diag();
		return error;
	}
	return sock_diag.netns == netns ? 0 : CPEERCRED_OTHER_NETNS;
}

struct question {
	struct cpeercred_netlink_header header;
	struct cpeercred_diag_request request;
};

/* Enough for the message and the attributes that nobody asked for. */
union answer {
	unsigned char bytes[1024];
	struct {
		struct cpeercred_netlink_header header;
		union {
			struct cpeercred_diag_message message;
			int32_t error; /* of struct nlmsgerr */
		};
	};
};

/*
 * What the kernel says in length bytes. EPROTO means that it is not an answer to the
 * question.
 *
 * If there is no such socket, the kernel may answer with a listening one. A socket without
 * an inode belongs to no process. Its uid reads as root, except on newer kernels.
 */
static int
decode_answer(const union answer *a, size_t length, uint32_t serial, const struct end *from, const struct end *to, uint32_t *uid)
{
	const struct cpeercred_diag_message *m = &a->message;
	struct end src, dst;

	if (a->header.len != length || a->header.seq != serial ||
	    (a->header.flags & (CPEERCRED_NLM_F_MULTI | CPEERCRED_NLM_F_DUMP_INTR)) != 0)
		return EPROTO;
	if (a->header.type == CPEERCRED_NLMSG_ERROR) {
		if (length < sizeof(a->header) + sizeof(a->error) || a->error > -1 || a->error < -4095)
			return EPROTO;
		return -a->error;
	}
	if (a->header.type != CPEERCRED_SOCK_DIAG_BY_FAMILY || length < sizeof(a->header) + sizeof(*m))
		return EPROTO;
	if (m->state == TCP_SYN_RECV) /* a connection for which the listener has no room yet */
		return EAGAIN;
	if (!is_connected(m->state))
		return ENOTCONN;
	set_end(&src, m->family, m->id.src, m->id.sport);
	set_end(&dst, m->family, m->id.dst, m->id.dport);
	if (!is_same(&src, from) || !is_same(&dst, to) || m->uid == (uid_t)-1)
		return EPROTO;
	if (m->inode == 0)
		return m->state == TCP_ESTABLISHED ? EAGAIN : ENOTCONN;
	*uid = m->uid;
	return 0;
}

/* Sends the question. The kernel answers during sendto(2). */
static int
exchange(const struct question *q, union answer *a, size_t *length)
{
	struct cpeercred_netlink_name sender;
	socklen_t len = sizeof(sender);
	ssize_t n;

	if (sendto(sock_diag.fd, q, sizeof(*q), 0, NULL, 0) == -1)
		return call_error();
	memset(a, 0xff, sizeof(*a));
	memset(&sender, 0xff, sizeof(sender));
	n = recvfrom(sock_diag.fd, a, sizeof(*a), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender, &len);
	if (n == -1)
		return errno == EAGAIN ? EPROTO : call_error(); /* EAGAIN: there is none */
	if ((size_t)n > sizeof(*a) || len != sizeof(sender) || sender.family != AF_NETLINK || sender.pid != 0)
		return EPROTO;
	*length = (size_t)n;
	return 0;
}

/*
 * Asks for the one socket from one end to another that is bound to no device, or to this one.
 *
 * It closes the netlink socket if the kernel does not answer, so that no later question gets
 * a late answer.
 */
static int
ask_owner(const struct end *from, const struct end *to, uint32_t device, uint32_t *uid)
{
	struct question q;
	union answer a;
	size_t skip = 0, n = sizeof(from->address), length;
	int error;

	memset(&q, 0, sizeof(q));
	q.header.len = sizeof(q);
	q.header.type = CPEERCRED_SOCK_DIAG_BY_FAMILY;
	q.header.flags = CPEERCRED_NLM_F_REQUEST;
	q.header.seq = ++sock_diag.serial;
	q.request.family = AF_INET6;
	if (is_mapped(from)) {
		q.request.family = AF_INET;
		skip = sizeof(mapped);
		n -= skip;
	}
	q.request.protocol = IPPROTO_TCP;
	q.request.states = ~UINT32_C(0);
	memcpy(q.request.id.src, from->address + skip, n);
	memcpy(q.request.id.dst, to->address + skip, n);
	q.request.id.sport = from->port;
	q.request.id.dport = to->port;
	q.request.id.device = device;
	q.request.id.cookie[0] = q.request.id.cookie[1] = CPEERCRED_INET_DIAG_NOCOOKIE;
	if ((error = exchange(&q, &a, &length)) != 0) {
		close_sock_diag();
		return error;
	}
	if ((error = decode_answer(&a, length, q.header.seq, from, to, uid)) == EPROTO)
		close_sock_diag();
	return error;
}

/*
 * The uid of the socket from one end to another, in the network namespace of fd.
 *
 * The kernel reads the owner of a socket before its inode. accept(2) may set both between
 * the two, and the owner of a socket that was not accepted reads as root before Linux 6.17.
 * So the socket must have an inode in one answer, and the next tells the uid.
 */
static int
get_owner(int fd, const struct end *from, const struct end *to, uint32_t *uid)
{
	uint64_t netns;
	int error;

	if ((error = get_cookie(fd, CPEERCRED_SO_NETNS_COOKIE, &netns)) != 0 || (error = enter_netns(netns)) != 0)
		return error;
	error = ask_owner(from, to, 0, uid);
	/* Without tcp_diag there is no answer about our own end either. */
	if (error == ENOENT && ask_owner(to, from, LOOPBACK_DEVICE, uid) == ENOENT)
		return CPEERCRED_NO_TCP_DIAG;
	return error != 0 ? error : ask_owner(from, to, 0, uid);
}

/*
 * While our end is open, the kernel lets no other socket of the network namespace be
 * connected with the addresses of its peer. So our end must be connected after the answer
 * too. Data that arrived can be read from an end that was reset, whose addresses are free.
 *
 * That is not so for sockets that are bound to different devices (SO_BINDTODEVICE). So the
 * peer must not be bound to a device, and our end to none but lo.
 */
int
cpeercred_loopback_peer_uid(int fd, uint32_t *uid)
{
	struct end own, peer;
	uint32_t told = 0;
	int error, lost;

	if ((error = check_tcp(fd)) != 0 || (error = get_end(fd, getsockname, &own)) != 0 ||
	    (error = get_end(fd, getpeername, &peer)) != 0)
		return error;
	if (!is_loopback(&own) || !is_loopback(&peer))
		return EADDRNOTAVAIL;
	if ((error = check_device(fd)) != 0 || (error = check_not_redirected(fd, &own, &peer)) != 0)
		return error;
	error = get_owner(fd, &peer, &own, &told);
	if ((lost = check_connected(fd)) != 0)
		return lost;
	if (error == 0)
		*uid = told;
	return error;
}
