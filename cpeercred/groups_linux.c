/* Linux and Android: SO_PEERGROUPS (since 4.13), sk_getsockopt in net/core/sock.c. */

#define _GNU_SOURCE

#include "cpeercred.h"

#include <sys/socket.h>
#include <errno.h>
#include <string.h>

#include "callerror.h"

int
cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count)
{
	socklen_t len = (socklen_t)(capacity * sizeof(*groups));
	size_t i;

	/* Poisoned: success that leaves the buffer alone must not read as gid 0. */
	memset(groups, 0xff, capacity * sizeof(*groups));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1) {
		if (errno == ERANGE)
			*count = len / sizeof(*groups);
		return errno == ENODATA ? ENOTCONN : call_error();
	}
	if (len % sizeof(*groups) != 0 || len / sizeof(*groups) > capacity)
		return EPROTO;
	for (i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == (gid_t)-1)
			return EPROTO;
	*count = len / sizeof(*groups);
	return 0;
}
