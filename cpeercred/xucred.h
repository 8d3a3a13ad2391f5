/*
 * The call that Darwin, FreeBSD and DragonFly share, and cpeercred_groups, which uses it.
 * SYSTEM.c includes this after <sys/ucred.h>, <sys/socket.h> and <sys/un.h>.
 */
#ifndef CPEERCRED_XUCRED_H
#define CPEERCRED_XUCRED_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Level and option are 0 and 1, which ask an IP socket for IP_OPTIONS. */
#ifndef SOL_LOCAL
#define SOL_LOCAL 0
#endif
_Static_assert(SOL_LOCAL == 0, "SOL_LOCAL");
_Static_assert(LOCAL_PEERCRED == 1, "LOCAL_PEERCRED");

#define XUCRED_GROUPS \
	(sizeof(((struct xucred *)0)->cr_groups) / sizeof(gid_t))

_Static_assert(XUCRED_VERSION == 0, "XUCRED_VERSION");
_Static_assert(offsetof(struct xucred, cr_version) == 0, "xucred.cr_version");
_Static_assert(offsetof(struct xucred, cr_uid) == 4, "xucred.cr_uid");
_Static_assert(offsetof(struct xucred, cr_ngroups) == 8, "xucred.cr_ngroups");
_Static_assert(offsetof(struct xucred, cr_groups) == 12, "xucred.cr_groups");
_Static_assert(XUCRED_GROUPS == 16, "xucred.cr_groups");

/*
 * The family must be checked first, and then the full length. A TCP socket answers this
 * call with its IP options: nothing, or up to 44 bytes that the socket's creator chose.
 * Those can read as version 0, one group and uid 0. So the version and the number of groups
 * are checked too, but prove nothing. The first group is the effective gid.
 */
static int
get_xucred(int fd, struct xucred *result)
{
	struct xucred cred;
	socklen_t len = sizeof(cred);
	int error;

	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	memset(&cred, 0xff, sizeof(cred)); /* a group is 0 only if the kernel wrote it */
	if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &cred, &len) == -1)
		return call_error();
	if (len != sizeof(cred) || cred.cr_version != XUCRED_VERSION ||
	    cred.cr_ngroups < 1 || (size_t)cred.cr_ngroups > XUCRED_GROUPS ||
	    cred.cr_uid == (uid_t)-1 || cred.cr_groups[0] == (gid_t)-1)
		return EPROTO;
	*result = cred;
	return 0;
}

/* The first group is the effective gid, so it is left out. */
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

#endif
