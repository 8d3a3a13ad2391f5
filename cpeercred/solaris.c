//go:build solaris

/* illumos and Solaris: getpeerucred(3C), ucred_get(3C), ucred_getgroups(3C). */

#define __EXTENSIONS__

#include "credentials.h"

#include <sys/types.h>
#include <errno.h>
#include <stddef.h>
#include <ucred.h>

/* The caller frees *result with ucred_free. */
static int
get_peerucred(int fd, ucred_t **result)
{
	ucred_t *cred = NULL; /* getpeerucred would reuse another value */
	int error;

	/* A TCP socket to this machine answers too. */
	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	if (getpeerucred(fd, &cred) == -1)
		return call_error();
	if (cred == NULL)
		return EPROTO;
	*result = cred;
	return 0;
}

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	ucred_t *cred;
	pid_t peer;
	uid_t euid;
	gid_t egid;
	int error;

	if ((error = get_peerucred(fd, &cred)) != 0)
		return error;
	peer = ucred_getpid(cred);
	euid = ucred_geteuid(cred);
	egid = ucred_getegid(cred);
	ucred_free(cred);
	if (peer < 0 || euid == (uid_t)-1 || egid == (gid_t)-1)
		return EPROTO;
	ids->pid = peer;
	ids->uid = euid;
	ids->gid = egid;
	return 0;
}

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
