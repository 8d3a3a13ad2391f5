/*
 * The entry point around each system's ask_credentials. It has no result and should be
 * inlined with ask_credentials, because cgo then calls it faster.
 */
#ifndef CPEERCRED_CREDENTIALS_H
#define CPEERCRED_CREDENTIALS_H

#include "cpeercred.h"

/* Returns 0 or an errno. On failure *ids is unchanged. */
static int ask_credentials(int fd, struct cpeercred_ids *ids);

void
cpeercred_credentials(int fd, struct cpeercred_reply *reply)
{
	reply->error = ask_credentials(fd, &reply->ids);
}

#endif
