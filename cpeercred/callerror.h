/* Why a call failed. */
#ifndef CPEERCRED_CALLERROR_H
#define CPEERCRED_CALLERROR_H

#include <errno.h>

/*
 * Never 0, which would make an answer of a failure: a libc, or what stands in for it,
 * that returns -1 and leaves errno alone has not told anything.
 */
static inline int
call_error(void)
{
	return errno != 0 ? errno : EPROTO;
}

#endif
