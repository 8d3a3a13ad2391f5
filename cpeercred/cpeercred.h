/*
 * What the kernel says of a Unix socket and of the process at its other end.
 *
 * One contract for every function: it returns 0, or the errno that the kernel
 * gave; cpeercred_credentials, which is asked most, has it in its reply. On failure
 * the outputs are untouched. EBADF for what no descriptor can be, EPROTO for an
 * answer that the kernel did not fill as its headers say.
 */
#ifndef CPEERCRED_H
#define CPEERCRED_H

#include <stddef.h>
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

struct cpeercred_ids {
	int32_t pid; /* 0 where the kernel does not tell */
	uint32_t uid, gid;
};

struct cpeercred_reply {
	int error; /* 0 or the errno, with which ids is untouched */
	struct cpeercred_ids ids;
};

/* The process at the other end of the Unix socket fd. */
void cpeercred_credentials(int fd, struct cpeercred_reply *reply);

enum cpeercred_kind {
	CPEERCRED_KIND_UNKNOWN,
	CPEERCRED_KIND_UNIX,
	CPEERCRED_KIND_TCP,
	CPEERCRED_KIND_UDP
};

/* What fd is: a socket of the Unix family, TCP, UDP, or anything else. */
int cpeercred_kind(int fd, int *kind);

enum { CPEERCRED_CONFUSED_ENDS = -1 }; /* no errno is negative */

/*
 * ENOTCONN if fd is a socket whose credentials would not be its peer's: one that
 * listens, or a datagram socket. CPEERCRED_CONFUSED_ENDS if it is of SOCK_SEQPACKET,
 * and this kernel gives each end of such a connection its own credentials.
 */
int cpeercred_check_can_have_peer(int fd);

/*
 * Whether the socket fd listens. On an OpenBSD that does not tell, it does not.
 */
int cpeercred_listens(int fd, int *listens);

/*
 * CPEERCRED_CONFUSED_ENDS if this kernel gives each end of a connection of
 * SOCK_SEQPACKET its own credentials. A kernel that passed is not asked again. Linux.
 */
int cpeercred_check_packet_ends(void);

/* Whether this kernel names the caller as the peer of a socket without one. */
int cpeercred_answers_for_caller(int *answers);

/* Two connected stream sockets of the Unix family, close-on-exec. */
int cpeercred_socketpair(int fds[2]);

/* The system's call behind cpeercred_groups, where there is one. */
#if defined(__linux__)
#define CPEERCRED_GROUPS_CALL "getsockopt(SO_PEERGROUPS)"
#elif defined(__sun)
#define CPEERCRED_GROUPS_CALL "getpeerucred(3C)"
#else
#define CPEERCRED_GROUPS_CALL "getsockopt(LOCAL_PEERCRED)"
#endif

/*
 * The supplementary groups of the process at the other end of fd, captured with
 * its credentials. ERANGE if there are more than capacity: *count is how many.
 * It uses the whole buffer, also on failure. Linux, macOS, FreeBSD, DragonFly,
 * illumos.
 */
int cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count);

/*
 * The security label of the peer's socket, without a NUL at the end; *length may
 * be 0. ERANGE if it is longer than capacity: *length is how long, NUL included.
 * It uses the whole buffer, also on failure. Linux.
 */
int cpeercred_security_label(int fd, char *label, size_t capacity, size_t *length);

/*
 * A pidfd of the process at the other end of fd, close-on-exec and non-blocking,
 * which the caller closes. ESRCH if it has been reaped (Linux before 6.16).
 */
int cpeercred_open_process(int fd, int *pidfd);

/* Whether the process has ended; a zombie has. */
int cpeercred_process_exited(int pidfd, int *exited);

/*
 * Its pid in our pid namespace, 0 if it has none there. ESRCH if it has been
 * reaped or, before Linux 6.15, has none there; ENOTTY or EINVAL before 6.13.
 */
int cpeercred_process_pid(int pidfd, int32_t *pid);

/*
 * Its ids as of now: real, effective, saved and file system's uid, and the same
 * four gids. It fails as cpeercred_process_pid, and with EREMOTE for 0.
 */
int cpeercred_process_ids(int pidfd, uint32_t ids[8]);

/*
 * Nanoseconds since the system was booted, as the caller's time namespace has it. Time
 * asleep counts.
 */
int cpeercred_since_boot(int64_t *nanoseconds);

/* Sends it a signal; 0 sends none, and tells whether one could be sent. */
int cpeercred_signal_process(int pidfd, int signal);

/* The peer's audit token (audit_token_t), resolved when asked. macOS. */
int cpeercred_audit_token(int fd, uint32_t token[8]);

/* EAFNOSUPPORT if fd is not a socket of the Unix family. */
int cpeercred_check_unix_family(int fd);

#endif
