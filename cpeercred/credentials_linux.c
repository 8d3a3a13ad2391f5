/* Linux and Android: unix(7), sk_getsockopt in net/core/sock.c. */

#define _GNU_SOURCE

#include "credentials.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <errno.h>
#include <stddef.h>

#include "callerror.h"

_Static_assert(sizeof(struct ucred) == 12, "struct ucred");
_Static_assert(offsetof(struct ucred, pid) == 0, "ucred.pid");
_Static_assert(offsetof(struct ucred, uid) == 4, "ucred.uid");
_Static_assert(offsetof(struct ucred, gid) == 8, "ucred.gid");

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	/* Poisoned: success that leaves the buffer alone must not read as root. */
	struct ucred cred = { .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return call_error();
	if (len != sizeof(cred) || cred.pid < 0)
		return EPROTO;
	/* Without a peer Linux succeeds with (0, -1, -1). */
	if (cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1)
		return ENOTCONN;
	ids->pid = cred.pid;
	ids->uid = cred.uid;
	ids->gid = cred.gid;
	return 0;
}
