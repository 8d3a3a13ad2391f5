/* macOS and iOS: unix(4), getpeereid(3), bsd/kern/uipc_usrreq.c. */

#define _DARWIN_C_SOURCE

#include "credentials.h"

#include <sys/param.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <unistd.h>

#include "callerror.h"
#include "xucred.h"

_Static_assert(sizeof(struct xucred) == 76, "struct xucred");
_Static_assert(LOCAL_PEERPID == 2, "LOCAL_PEERPID");

/* libc's getpeereid(3) must read the same ids. */
static int
check_getpeereid(int fd, const struct xucred *cred)
{
	uid_t euid = (uid_t)-1;
	gid_t egid = (gid_t)-1;

	if (getpeereid(fd, &euid, &egid) == -1)
		return call_error();
	if (euid != cred->cr_uid || egid != cred->cr_groups[0])
		return EPROTO;
	return 0;
}

/* ENOTCONN once the peer has closed: then the kernel tells no pid, only ids. */
static int
get_pid(int fd, pid_t *result)
{
	pid_t pid = -1;
	socklen_t len = sizeof(pid);

	if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &len) == -1) {
		if (errno != ENOTCONN)
			return call_error();
		pid = 0;
	} else if (len != sizeof(pid) || pid < 0) {
		return EPROTO;
	}
	*result = pid;
	return 0;
}

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct xucred cred;
	pid_t peer;
	int error;

	if ((error = get_xucred(fd, &cred)) != 0 ||
	    (error = check_getpeereid(fd, &cred)) != 0 ||
	    (error = get_pid(fd, &peer)) != 0)
		return error;
	ids->pid = peer;
	ids->uid = cred.cr_uid;
	ids->gid = cred.cr_groups[0];
	return 0;
}
