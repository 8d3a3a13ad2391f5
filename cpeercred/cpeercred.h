/*
 * What the kernel says of a Unix socket and of the process at its other end.
 *
 * One contract for every function: it returns 0, or the errno that the kernel
 * gave. On failure the outputs are untouched. EBADF for what no descriptor can
 * be, EPROTO for an answer that the kernel did not fill as its headers say.
 */
#ifndef CPEERCRED_H
#define CPEERCRED_H

#include <stdint.h>
#include <sys/types.h>

/* The ids of every system fit the types below, and -1 is what it is there. */
_Static_assert(sizeof(pid_t) == 4 && (pid_t)-1 < 0, "pid_t");
_Static_assert(sizeof(uid_t) == 4 && (uid_t)-1 > 0, "uid_t");
_Static_assert(sizeof(gid_t) == 4 && (gid_t)-1 > 0, "gid_t");

/* The system's call behind cpeercred_credentials. */
#if defined(__linux__) || defined(__OpenBSD__)
#define CPEERCRED_CALL "getsockopt(SO_PEERCRED)"
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__DragonFly__)
#define CPEERCRED_CALL "getsockopt(LOCAL_PEERCRED)"
#elif defined(__NetBSD__)
#define CPEERCRED_CALL "getsockopt(LOCAL_PEEREID)"
#elif defined(__sun)
#define CPEERCRED_CALL "getpeerucred(3C)"
#elif defined(_AIX)
#define CPEERCRED_CALL "getpeereid"
#else
#error "no shim for this system"
#endif

/*
 * The process at the other end of the Unix socket fd. *pid is 0 where the
 * kernel does not tell.
 */
int cpeercred_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid);

enum cpeercred_kind {
	CPEERCRED_KIND_UNKNOWN,
	CPEERCRED_KIND_UNIX,
	CPEERCRED_KIND_TCP,
	CPEERCRED_KIND_UDP
};

/* What fd is: a socket of the Unix family, TCP, UDP, or anything else. */
int cpeercred_kind(int fd, int *kind);

/*
 * ENOTCONN if fd is a socket whose credentials would not be its peer's: one that
 * listens, or a datagram socket.
 */
int cpeercred_check_can_have_peer(int fd);

/* Whether this kernel names the caller as the peer of a socket without one. */
int cpeercred_answers_for_caller(int *answers);

/* EAFNOSUPPORT if fd is not a socket of the Unix family. */
int cpeercred_check_unix_family(int fd);

#endif
