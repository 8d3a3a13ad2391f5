/* illumos and Solaris: getpeerucred(3C), ucred_get(3C). */

#define __EXTENSIONS__

#include "credentials.h"

#include <sys/types.h>

#include "peerucred.h"

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
