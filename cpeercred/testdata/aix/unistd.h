/*
 * This imitation of AIX's headers compiles the shim without them ("make cross"). It has only
 * what sys/socket.h and getpeereid declare for a 64-bit process.
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
