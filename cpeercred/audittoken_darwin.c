/* macOS and iOS: LOCAL_PEERTOKEN, uipc_ctloutput in bsd/kern/uipc_usrreq.c. */

#define _DARWIN_C_SOURCE

#include "cpeercred.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <mach/message.h>
#include <string.h>

#ifndef SOL_LOCAL
#define SOL_LOCAL 0
#endif
_Static_assert(SOL_LOCAL == 0, "SOL_LOCAL");
_Static_assert(LOCAL_PEERTOKEN == 6, "LOCAL_PEERTOKEN");
_Static_assert(sizeof(audit_token_t) == 32, "audit_token_t");

enum { EUID = 1, PID = 5 }; /* audit_token(3): auid euid egid ruid rgid pid asid pidversion */

int
cpeercred_audit_token(int fd, uint32_t token[8])
{
	audit_token_t answer;
	socklen_t len = sizeof(answer);
	int error;

	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	memset(&answer, 0xff, sizeof(answer));
	if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERTOKEN, &answer, &len) == -1)
		return errno;
	if (len != sizeof(answer) || answer.val[EUID] == (uid_t)-1 ||
	    answer.val[PID] < 1 || answer.val[PID] > INT32_MAX)
		return EPROTO;
	memcpy(token, answer.val, sizeof(answer.val));
	return 0;
}
