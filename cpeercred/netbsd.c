//go:build netbsd

/* NetBSD: unix(4), sys/kern/uipc_usrreq.c. */

#define _NETBSD_SOURCE

#include "credentials.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#ifndef SOL_LOCAL
#define SOL_LOCAL 0
#endif

_Static_assert(SOL_LOCAL == 0, "SOL_LOCAL");
_Static_assert(LOCAL_PEEREID == 3, "LOCAL_PEEREID");
_Static_assert(sizeof(struct unpcbid) == 12, "struct unpcbid");
_Static_assert(offsetof(struct unpcbid, unp_pid) == 0, "unpcbid.unp_pid");
_Static_assert(offsetof(struct unpcbid, unp_euid) == 4, "unpcbid.unp_euid");
_Static_assert(offsetof(struct unpcbid, unp_egid) == 8, "unpcbid.unp_egid");

typedef int (*name_getter)(int, struct sockaddr *, socklen_t *);

static int
is_named(int fd, name_getter get, int *named)
{
	struct sockaddr_un address;
	socklen_t len = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (get(fd, (struct sockaddr *)&address, &len) == -1)
		return call_error();
	if (len < offsetof(struct sockaddr_un, sun_path) || address.sun_family != AF_LOCAL)
		return EPROTO;
	*named = len > offsetof(struct sockaddr_un, sun_path) && address.sun_path[0] != '\0';
	return 0;
}

/*
 * On the connecting end the answer depends on the revision of uipc_usrreq.c. Up to r1.152
 * it is the process that called bind(2), from r1.162 to about r1.208 the caller itself, and
 * since r1.209 the process that called listen(2). No call reports the revision, so only the
 * accepted end gets an answer.
 *
 * A listener always has a name, and the accepted end has that name. So the peer of a
 * connecting end has a name, and the peer of an accepted end usually has none.
 *
 * A name can be longer than sun_path. The kernel truncates it to the buffer.
 */
static int
check_accepted_end(int fd)
{
	int own, peer, error;

	if ((error = is_named(fd, getsockname, &own)) != 0 ||
	    (error = is_named(fd, getpeername, &peer)) != 0)
		return error;
	return own && !peer ? 0 : EOPNOTSUPP;
}

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct unpcbid cred = { .unp_pid = -1, .unp_euid = (uid_t)-1, .unp_egid = (gid_t)-1 };
	socklen_t len = sizeof(cred);
	int error;

	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	if (getsockopt(fd, SOL_LOCAL, LOCAL_PEEREID, &cred, &len) == -1)
		return call_error();
	if ((error = check_accepted_end(fd)) != 0)
		return error;
	if (len != sizeof(cred) || cred.unp_pid < 1 ||
	    cred.unp_euid == (uid_t)-1 || cred.unp_egid == (gid_t)-1)
		return EPROTO;
	ids->pid = cred.unp_pid;
	ids->uid = cred.unp_euid;
	ids->gid = cred.unp_egid;
	return 0;
}
