/* The question that illumos and Solaris answer, for credentials and for groups. */
#ifndef CPEERCRED_PEERUCRED_H
#define CPEERCRED_PEERUCRED_H

#include <errno.h>
#include <stddef.h>
#include <ucred.h>

#include "callerror.h"

/* *result is to be freed with ucred_free. */
static int
get_peerucred(int fd, ucred_t **result)
{
	ucred_t *cred = NULL; /* getpeerucred would reuse what it points to */
	int error;

	/* A TCP socket to this very machine answers too. */
	if ((error = cpeercred_check_unix_family(fd)) != 0)
		return error;
	if (getpeerucred(fd, &cred) == -1)
		return call_error();
	if (cred == NULL)
		return EPROTO;
	*result = cred;
	return 0;
}

#endif
