#pragma once
#include <sys/param.h>

struct xucred {
	unsigned cr_version;
	uid_t cr_uid;
	short cr_ngroups;
	gid_t cr_groups[NGROUPS];
	void *_cr_unused1;
};
#define XUCRED_VERSION 0
