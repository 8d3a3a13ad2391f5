/*
 * What AIX's sys/socket.h and getpeereid declare for a 64-bit process, and no
 * more: an imitation, to compile the shim where there are no AIX headers ("make
 * cross").
 */
#pragma GCC system_header
#include_next <unistd.h>
#include <stdint.h>
#include <sys/types.h>

#define SO_PEERID 0x1009

struct peercred_struct {
	pid_t pid;
	uint64_t tid;
	uid_t euid;
	gid_t egid;
};

int getpeereid(int socket, uid_t *euid, gid_t *egid);
