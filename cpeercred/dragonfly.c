//go:build dragonfly

/* DragonFly: unix(4), sys/kern/uipc_usrreq.c. It does not report a pid. */

#include "credentials.h"

#include <sys/param.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>

#include "xucred.h"

_Static_assert(sizeof(struct xucred) == 72 + 2 * sizeof(void *), "struct xucred");

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct xucred cred;
	int error;

	if ((error = get_xucred(fd, &cred)) != 0)
		return error;
	ids->pid = 0;
	ids->uid = cred.cr_uid;
	ids->gid = cred.cr_groups[0];
	return 0;
}
