//go:build aix

/* AIX: getpeereid in libc, and SO_PEERID of getsockopt(2) for the pid. */

#define _ALL_SOURCE

#include "credentials.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

_Static_assert(SO_PEERID == 0x1009, "SO_PEERID");
_Static_assert(sizeof(struct peercred_struct) == 24, "struct peercred_struct");
_Static_assert(offsetof(struct peercred_struct, pid) == 0, "peercred_struct.pid");
_Static_assert(offsetof(struct peercred_struct, euid) == 16, "peercred_struct.euid");
_Static_assert(offsetof(struct peercred_struct, egid) == 20, "peercred_struct.egid");

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct peercred_struct cred;
	socklen_t len = sizeof(cred);
	uid_t euid = (uid_t)-1;
	gid_t egid = (gid_t)-1;
	int error;

	/* SO_PEERID answers for TCP too, with a pid only. */
	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	if (getpeereid(fd, &euid, &egid) == -1)
		return call_error();
	memset(&cred, 0xff, sizeof(cred));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERID, &cred, &len) == -1)
		return call_error();
	if (len != sizeof(cred) || cred.pid < 1 ||
	    euid == (uid_t)-1 || egid == (gid_t)-1 ||
	    cred.euid != euid || cred.egid != egid)
		return EPROTO;
	ids->pid = cred.pid;
	ids->uid = euid;
	ids->gid = egid;
	return 0;
}
