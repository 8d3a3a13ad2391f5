//go:build darwin

/* macOS and iOS: unix(4), getpeereid(3), bsd/kern/uipc_usrreq.c. */

#define _DARWIN_C_SOURCE

#include "credentials.h"

#include <sys/param.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <mach/message.h>
#include <unistd.h>

#include "xucred.h"

_Static_assert(sizeof(struct xucred) == 76, "struct xucred");
_Static_assert(LOCAL_PEERPID == 2, "LOCAL_PEERPID");
_Static_assert(LOCAL_PEERTOKEN == 6, "LOCAL_PEERTOKEN");
_Static_assert(sizeof(audit_token_t) == 32, "audit_token_t");

/* libc's getpeereid(3) must read the same ids. */
static int
check_getpeereid(int fd, const struct xucred *cred)
{
	uid_t euid = (uid_t)-1;
	gid_t egid = (gid_t)-1;

	if (getpeereid(fd, &euid, &egid) == -1)
		return call_error();
	if (euid != cred->cr_uid || egid != cred->cr_groups[0])
		return EPROTO;
	return 0;
}

/* ENOTCONN means that the peer has closed. The kernel then reports no pid. */
static int
get_pid(int fd, pid_t *result)
{
	pid_t pid = -1;
	socklen_t len = sizeof(pid);

	if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &len) == -1) {
		if (errno != ENOTCONN)
			return call_error();
		pid = 0;
	} else if (len != sizeof(pid) || pid < 0) {
		return EPROTO;
	}
	*result = pid;
	return 0;
}

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	struct xucred cred;
	pid_t peer;
	int error;

	if ((error = get_xucred(fd, &cred)) != 0 ||
	    (error = check_getpeereid(fd, &cred)) != 0 ||
	    (error = get_pid(fd, &peer)) != 0)
		return error;
	ids->pid = peer;
	ids->uid = cred.cr_uid;
	ids->gid = cred.cr_groups[0];
	return 0;
}

/* audit_token(3): auid euid egid ruid rgid pid asid pidversion */
enum { EUID = 1, RGID = 4, PID = 5, PIDVERSION = 7 };

/* The audit id may be -1, which means unset. The words that are checked here may not. */
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

/* LOCAL_PEERTOKEN */
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
