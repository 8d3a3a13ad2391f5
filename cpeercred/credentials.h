/*
 * The entry point around each system's ask_credentials. It has no result, and is to be
 * one function with that: cgo takes longer to call one that has, and one that calls.
 */
#ifndef CPEERCRED_CREDENTIALS_H
#define CPEERCRED_CREDENTIALS_H

#include "cpeercred.h"

/* Returns 0 or an errno. On failure *ids is untouched. */
static int ask_credentials(int fd, struct cpeercred_ids *ids);

void
cpeercred_credentials(int fd, struct cpeercred_reply *reply)
{
	reply->error = ask_credentials(fd, &reply->ids);
}

#endif
