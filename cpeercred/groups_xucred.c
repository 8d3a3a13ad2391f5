//go:build darwin || freebsd || dragonfly

/* macOS, iOS, FreeBSD and DragonFly: the groups of LOCAL_PEERCRED, 16 at most. */

#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include "cpeercred.h"

#include <sys/param.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>

#include "xucred.h"

/* The first group is the effective gid, and no supplementary one. */
int
cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count)
{
	struct xucred cred;
	size_t i, n;
	int error;

	if ((error = get_xucred(fd, &cred)) != 0)
		return error;
	n = (size_t)cred.cr_ngroups - 1;
	for (i = 0; i < n; i++)
		if (cred.cr_groups[i + 1] == (gid_t)-1)
			return EPROTO;
	*count = n;
	if (n > capacity)
		return ERANGE;
	for (i = 0; i < n; i++)
		groups[i] = cred.cr_groups[i + 1];
	return 0;
}
