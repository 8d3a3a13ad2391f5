//go:build freebsd

/* FreeBSD: unix(4), sys/kern/uipc_usrreq.c. */

#include "credentials.h"

#include <sys/param.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>

#include "xucred.h"

_Static_assert(sizeof(struct xucred) == 72 + 2 * sizeof(void *), "struct xucred");
_Static_assert(offsetof(struct xucred, cr_pid) == 72 + sizeof(void *), "xucred.cr_pid");

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct xucred cred;
	int error;

	if ((error = get_xucred(fd, &cred)) != 0)
		return error;
	if (cred.cr_pid < 0)
		return EPROTO;
	/* Before 13.0 and 12.3 the kernel leaves 0 here. */
	ids->pid = cred.cr_pid;
	ids->uid = cred.cr_uid;
	ids->gid = cred.cr_groups[0];
	return 0;
}
