//go:build openbsd

/* OpenBSD: getsockopt(2), sogetopt in sys/kern/uipc_socket.c. */

#include "credentials.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <errno.h>
#include <stddef.h>

_Static_assert(SO_PEERCRED == 0x1022, "SO_PEERCRED");
_Static_assert(sizeof(struct sockpeercred) == 12, "struct sockpeercred");
_Static_assert(offsetof(struct sockpeercred, uid) == 0, "sockpeercred.uid");
_Static_assert(offsetof(struct sockpeercred, gid) == 4, "sockpeercred.gid");
_Static_assert(offsetof(struct sockpeercred, pid) == 8, "sockpeercred.pid");

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct sockpeercred cred = { .uid = (uid_t)-1, .gid = (gid_t)-1, .pid = -1 };
	socklen_t len = sizeof(cred);
	int error;

	/*
	 * sogetopt accepts any socket whose pr_protocol is 1. That is AF_UNIX, and also
	 * ICMP.
	 */
	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return call_error();
	if (len != sizeof(cred) || cred.pid < 1 ||
	    cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1)
		return EPROTO;
	ids->pid = cred.pid;
	ids->uid = cred.uid;
	ids->gid = cred.gid;
	return 0;
}
