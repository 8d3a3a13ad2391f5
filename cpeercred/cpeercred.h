/*
 * What the kernel says of a Unix socket and of the process at its other end. SYSTEM.c
 * answers the questions that its system answers, socket.c those that all systems answer
 * alike, and unsupported.c the rest.
 *
 * One contract for every function: it returns 0, the kernel's errno, EPROTO for an answer
 * that does not have the form that the system's headers define, or one of the codes below.
 * cpeercred_credentials, which is called most, has the same in its reply. On failure the
 * outputs are untouched.
 */
#ifndef CPEERCRED_H
#define CPEERCRED_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The ids of every system fit the types below, and -1 is what it is there. */
_Static_assert(sizeof(pid_t) == 4 && (pid_t)-1 < 0, "pid_t");
_Static_assert(sizeof(uid_t) == 4 && (uid_t)-1 > 0, "uid_t");
_Static_assert(sizeof(gid_t) == 4 && (gid_t)-1 > 0, "gid_t");

/* No errno is negative. */
enum {
	CPEERCRED_CONFUSED_ENDS = -1, /* see cpeercred_check_can_have_peer */
	CPEERCRED_UNSUPPORTED = -2    /* the system has no such call */
};

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
 * SOCK_SEQPACKET its own credentials. A kernel that passed is not asked again. 0 on other
 * systems than Linux.
 */
int cpeercred_check_packet_ends(void);

/* Whether this kernel names the caller as the peer of a socket without one. */
int cpeercred_answers_for_caller(int *answers);

/* Two connected stream sockets of the Unix family, close-on-exec. */
int cpeercred_socketpair(int fds[2]);

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
 * four gids. It fails as cpeercred_process_pid does, and with EREMOTE instead of pid 0.
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

/*
 * Why a call failed. Never 0, which would make a failure an answer: a libc, or what stands
 * in for it, that returns -1 and leaves errno alone has not told anything.
 */
static inline int
call_error(void)
{
	return errno != 0 ? errno : EPROTO;
}

#endif
