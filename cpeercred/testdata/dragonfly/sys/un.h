#pragma once
#include <sys/types.h>

struct sockaddr_un {
	unsigned char sun_len;
	sa_family_t sun_family;
	char sun_path[104];
};
#define LOCAL_PEERCRED 0x001
