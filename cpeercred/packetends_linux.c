/* Linux, and the kernels that imitate it: whether they tell the ends of a connection apart. */
#define _GNU_SOURCE
#include "cpeercred.h"

#include <sys/socket.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "callerror.h"

/* Connects fd to what is bound and does not listen, which must be refused. */
static int
connect_to_deaf(int fd, int deaf)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(sa_family_t); /* of no name: the kernel chooses one */

	memset(&address, 0, sizeof(address));
	address.ss_family = AF_UNIX;
	if (bind(deaf, (const struct sockaddr *)&address, len) == -1)
		return call_error();
	len = sizeof(address);
	if (getsockname(deaf, (struct sockaddr *)&address, &len) == -1)
		return call_error();
	if (connect(fd, (const struct sockaddr *)&address, len) == 0)
		return EPROTO;
	return errno == ECONNREFUSED ? 0 : call_error();
}

/*
 * Linux names nobody as the peer of a socket that was refused, and gVisor itself
 * (release 20260905, whose connectioned.go exchanges the credentials of a SOCK_STREAM
 * alone).
 */
static int
ask_refused(int fd, int deaf)
{
	struct cpeercred_reply reply;
	int error;

	if ((error = connect_to_deaf(fd, deaf)) != 0)
		return error;
	cpeercred_credentials(fd, &reply);
	switch (reply.error) {
	case 0:
		return CPEERCRED_CONFUSED_ENDS;
	case ENOTCONN:
		return 0;
	default:
		return reply.error;
	}
}

static int
ask_kernel(void)
{
	int deaf, fd, error;

	if ((deaf = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		return call_error();
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1) {
		error = call_error();
	} else {
		error = ask_refused(fd, deaf);
		(void)close(fd);
	}
	(void)close(deaf);
	return error;
}

static atomic_int packet_ends_are_right;

int
cpeercred_check_packet_ends(void)
{
	int error;

	if (atomic_load(&packet_ends_are_right))
		return 0;
	if ((error = ask_kernel()) == 0)
		atomic_store(&packet_ends_are_right, 1);
	return error;
}
