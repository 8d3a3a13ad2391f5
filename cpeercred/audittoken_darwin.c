/* macOS and iOS: LOCAL_PEERTOKEN, uipc_ctloutput in bsd/kern/uipc_usrreq.c. */

#define _DARWIN_C_SOURCE

#include "cpeercred.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <mach/message.h>
#include <string.h>

#include "callerror.h"

#ifndef SOL_LOCAL
#define SOL_LOCAL 0
#endif
_Static_assert(SOL_LOCAL == 0, "SOL_LOCAL");
_Static_assert(LOCAL_PEERTOKEN == 6, "LOCAL_PEERTOKEN");
_Static_assert(sizeof(audit_token_t) == 32, "audit_token_t");

/* audit_token(3): auid euid egid ruid rgid pid asid pidversion */
enum { EUID = 1, RGID = 4, PID = 5, PIDVERSION = 7 };

/* The audit id may be -1, which is unset; none of the words checked here may. */
static int
is_filled(const audit_token_t *token)
{
	size_t i;

	for (i = EUID; i <= RGID; i++)
		if (token->val[i] == (uid_t)-1)
			return 0;
	return token->val[PID] >= 1 && token->val[PID] <= INT32_MAX &&
	    token->val[PIDVERSION] != UINT32_MAX;
}

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
		return call_error();
	if (len != sizeof(answer) || !is_filled(&answer))
		return EPROTO;
	memcpy(token, answer.val, sizeof(answer.val));
	return 0;
}
