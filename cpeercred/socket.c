//go:build unix

/* The functions that do not depend on how a system reports credentials. */

#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#elif defined(__NetBSD__)
#define _NETBSD_SOURCE
#elif defined(__sun)
#define __EXTENSIONS__
#elif defined(_AIX)
#define _ALL_SOURCE
#else
#define _GNU_SOURCE
#endif

#include "cpeercred.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int
get_int(int fd, int option, int *value)
{
	int v = -1;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, SOL_SOCKET, option, &v, &len) == -1)
		return call_error();
	if (len != sizeof(v) || v == -1)
		return EPROTO;
	*value = v;
	return 0;
}

/* No socket has a type below 1. */
static int
get_type(int fd, int *type)
{
	int t, error;

	if ((error = get_int(fd, SO_TYPE, &t)) != 0)
		return error;
	if (t < 1)
		return EPROTO;
	*type = t;
	return 0;
}

static int
internet_kind(int fd, int *kind)
{
	int type, error;

	if ((error = get_type(fd, &type)) != 0)
		return error;
	switch (type) {
	case SOCK_STREAM:
		*kind = CPEERCRED_KIND_TCP;
		break;
	case SOCK_DGRAM:
		*kind = CPEERCRED_KIND_UDP;
		break;
	default:
		*kind = CPEERCRED_KIND_UNKNOWN;
		break;
	}
	return 0;
}

/*
 * Linux reports the family of every socket by SO_DOMAIN. getsockname(2) fails for some
 * families, such as AF_XDP and AF_SMC, or returns another family.
 */
static int
address_family(int fd, int *family)
{
#if defined(__linux__)
	return get_int(fd, SO_DOMAIN, family);
#else
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (getsockname(fd, (struct sockaddr *)&address, &len) == -1)
		return call_error();
	*family = address.ss_family;
#if defined(__DragonFly__)
	/* An unnamed Unix socket has no address here (golang.org/issue/3349). */
	if (*family == AF_UNSPEC && address.ss_len == 0)
		*family = AF_UNIX;
#endif
	return 0;
#endif
}

int
cpeercred_kind(int fd, int *kind)
{
	int family, error;

	switch (error = address_family(fd, &family)) {
	case 0:
		break;
	case ENOTSOCK:
		*kind = CPEERCRED_KIND_UNKNOWN;
		return 0;
	default:
		return error;
	}
	switch (family) {
	case AF_UNIX:
		*kind = CPEERCRED_KIND_UNIX;
		return 0;
	case AF_INET:
	case AF_INET6:
		return internet_kind(fd, kind);
	default:
		*kind = CPEERCRED_KIND_UNKNOWN;
		return 0;
	}
}

int
cpeercred_check_unix_family(int fd)
{
	int kind, error;

	if ((error = cpeercred_kind(fd, &kind)) != 0)
		return error;
	return kind == CPEERCRED_KIND_UNIX ? 0 : EAFNOSUPPORT;
}

int
cpeercred_check_can_have_peer(int fd)
{
	int type, listens, error;

	if ((error = get_type(fd, &type)) != 0)
		return error;
	/* It can be connected to another socket after the kernel captured the credentials. */
	if (type == SOCK_DGRAM)
		return ENOTCONN;
	if (type == SOCK_SEQPACKET && (error = cpeercred_check_packet_ends()) != 0)
		return error;
	if ((error = cpeercred_listens(fd, &listens)) != 0)
		return error;
	return listens ? ENOTCONN : 0;
}

int
cpeercred_listens(int fd, int *listens)
{
	int accepts, error;

	error = get_int(fd, SO_ACCEPTCONN, &accepts);
#if defined(__OpenBSD__)
	/* Older ones lack the option. Their listeners answer the credentials with ENOTCONN. */
	if (error == ENOPROTOOPT) {
		*listens = 0;
		return 0;
	}
#endif
	if (error != 0)
		return error;
	*listens = accepts;
	return 0;
}

/*
 * A child that another thread forks must not inherit the descriptor. If the system has no
 * SOCK_CLOEXEC, only Go's own forks wait: the caller holds syscall.ForkLock.
 */
#if defined(SOCK_CLOEXEC)
#define STREAM (SOCK_STREAM | SOCK_CLOEXEC)
#else
#define STREAM SOCK_STREAM
#endif

static void
close_on_exec(int fd)
{
#if defined(SOCK_CLOEXEC)
	(void)fd;
#else
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
}

static int
unconnected_socket(int *fd)
{
	int s;

	if ((s = socket(AF_UNIX, STREAM, 0)) == -1)
		return call_error();
	close_on_exec(s);
	*fd = s;
	return 0;
}

int
cpeercred_socketpair(int fds[2])
{
	int pair[2] = { -1, -1 };

	if (socketpair(AF_UNIX, STREAM, 0, pair) == -1)
		return call_error();
	/* Such descriptors are not ours, so do not close them. */
	if (pair[0] < 0 || pair[1] < 0 || pair[0] == pair[1])
		return EPROTO;
	close_on_exec(pair[0]);
	close_on_exec(pair[1]);
	fds[0] = pair[0];
	fds[1] = pair[1];
	return 0;
}

int
cpeercred_answers_for_caller(int *answers)
{
	struct cpeercred_reply reply;
	int fd = -1, error;

	if ((error = unconnected_socket(&fd)) != 0)
		return error;
	cpeercred_credentials(fd, &reply);
	(void)close(fd);
	switch (reply.error) {
	case 0:
		*answers = 1;
		return 0;
	case ENOTCONN:
#if defined(__NetBSD__)
	case EINVAL: /* NetBSD's errno for a socket without a peer */
#endif
		*answers = 0;
		return 0;
	default:
		return reply.error;
	}
}
