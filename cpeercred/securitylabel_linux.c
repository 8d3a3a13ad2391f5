/* Linux and Android: SO_PEERSEC, the security modules' getpeersec_stream hooks. */

#define _GNU_SOURCE

#include "cpeercred.h"

#include <sys/socket.h>
#include <errno.h>
#include <string.h>

#include "callerror.h"

int
cpeercred_security_label(int fd, char *label, size_t capacity, size_t *length)
{
	socklen_t len = (socklen_t)capacity;

	/* Bytes that the kernel did not write stay NUL, which no label holds. */
	memset(label, 0, capacity);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &len) == -1) {
		if (errno == ERANGE)
			*length = len;
		return call_error();
	}
	if (len > capacity)
		return EPROTO;
	/* SELinux and Smack count a NUL at the end, AppArmor does not. */
	if (len > 0 && label[len - 1] == '\0')
		len--;
	/* With the BPF module alone Linux 6.1 succeeds and writes nothing. */
	if (len > 0 && label[0] == '\0')
		len = 0;
	if (memchr(label, '\0', len) != NULL)
		return EPROTO;
	*length = len;
	return 0;
}
