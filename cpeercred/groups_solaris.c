/* illumos and Solaris: getpeerucred(3C), ucred_getgroups(3C). */

#define __EXTENSIONS__

#include "cpeercred.h"

#include <sys/types.h>

#include "peerucred.h"

static int
copy_groups(const gid_t *from, int n, uint32_t *groups, size_t capacity, size_t *count)
{
	int i;

	if (n < 0 || (n > 0 && from == NULL)) /* -1: not in this ucred */
		return EPROTO;
	for (i = 0; i < n; i++)
		if (from[i] == (gid_t)-1)
			return EPROTO;
	*count = (size_t)n;
	if ((size_t)n > capacity)
		return ERANGE;
	for (i = 0; i < n; i++)
		groups[i] = from[i];
	return 0;
}

int
cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count)
{
	ucred_t *cred;
	const gid_t *from = NULL; /* points into cred */
	int n, error;

	if ((error = get_peerucred(fd, &cred)) != 0)
		return error;
	n = ucred_getgroups(cred, &from);
	error = copy_groups(from, n, groups, capacity, count);
	ucred_free(cred);
	return error;
}
