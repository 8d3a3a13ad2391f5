/*
 * These functions ask the kernel about a Unix socket and the process at its other end.
 * SYSTEM.c defines those that its system supports. socket.c defines those that are the same
 * on all systems. unsupported.c defines the rest.
 *
 * Every function returns 0, the kernel's errno, EPROTO, or one of the codes below.
 * cpeercred_credentials has the same in its reply. EPROTO means that the answer does not
 * have the form that the system's headers define. On failure the outputs are unchanged.
 */
#ifndef CPEERCRED_H
#define CPEERCRED_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The ids of every system fit the types below, and -1 keeps its meaning. */
_Static_assert(sizeof(pid_t) == 4 && (pid_t)-1 < 0, "pid_t");
_Static_assert(sizeof(uid_t) == 4 && (uid_t)-1 > 0, "uid_t");
_Static_assert(sizeof(gid_t) == 4 && (gid_t)-1 > 0, "gid_t");

/* No errno is negative. */
enum {
	CPEERCRED_CONFUSED_ENDS = -1, /* see cpeercred_check_can_have_peer */
	CPEERCRED_UNSUPPORTED = -2,   /* the system has no such call */
	/* see cpeercred_loopback_peer_uid */
	CPEERCRED_NO_SOCK_DIAG = -3,
	CPEERCRED_NO_TCP_DIAG = -4,
	CPEERCRED_NO_NETNS_COOKIE = -5,
	CPEERCRED_OTHER_NETNS = -6,
	CPEERCRED_REDIRECTED = -7,
	CPEERCRED_MULTIPATH = -8,
	CPEERCRED_OTHER_DEVICE = -9,
	CPEERCRED_NO_PASSPIDFD = -10 /* see cpeercred_report_senders */
};

struct cpeercred_ids {
	int32_t pid; /* 0 if the kernel does not report it */
	uint32_t uid, gid;
};

struct cpeercred_reply {
	int error; /* 0, or an errno, and then ids is unchanged */
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
 * ENOTCONN if fd is a listening socket or a datagram socket, whose credentials would not
 * be its peer's. For SOCK_SEQPACKET it fails as cpeercred_check_packet_ends does.
 */
int cpeercred_check_can_have_peer(int fd);

/* Whether the socket fd listens. Always 0 on an OpenBSD without SO_ACCEPTCONN. */
int cpeercred_listens(int fd, int *listens);

/*
 * CPEERCRED_CONFUSED_ENDS if this kernel gives each end of a SOCK_SEQPACKET connection its
 * own credentials. A kernel that passed is not checked again. Always 0 on systems other
 * than Linux.
 */
int cpeercred_check_packet_ends(void);

/* Whether this kernel names the caller as the peer of a socket that has no peer. */
int cpeercred_answers_for_caller(int *answers);

/* Two connected stream sockets of the Unix family, close-on-exec. */
int cpeercred_socketpair(int fds[2]);

/*
 * The supplementary groups of the process at the other end of fd, captured with its
 * credentials. If there are more than capacity it returns ERANGE, and *count is their
 * number. It may write to the whole buffer, also on failure. Linux, macOS, FreeBSD,
 * DragonFly, illumos.
 */
int cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count);

/*
 * The security label of the peer's socket, without a NUL at the end. *length may be 0. If
 * the label is longer than capacity it returns ERANGE, and *length is the label's length
 * with the NUL. It may write to the whole buffer, also on failure. Linux.
 */
int cpeercred_security_label(int fd, char *label, size_t capacity, size_t *length);

/*
 * The uid of the socket at the other end of the TCP connection fd, both ends of which have
 * a loopback address. EADDRNOTAVAIL if an address is not a loopback address, and EAGAIN if
 * the server has not accepted the connection yet. Only one thread at a time may call it,
 * because it keeps a netlink socket for the next question. Linux.
 */
int cpeercred_loopback_peer_uid(int fd, uint32_t *uid);

/*
 * The kernel attaches the sender to each message that fd receives from now on, and on request
 * a pidfd of its process and its security label. CPEERCRED_NO_PASSPIDFD for a pidfd before
 * Linux 6.5. Linux.
 */
int cpeercred_report_senders(int fd, int process, int label);

/* A message. The parts of control are offsets and lengths in its buffer. */
struct cpeercred_received {
	size_t n;                  /* the bytes of the payload */
	size_t label_at, label;    /* the security label, which may be empty */
	size_t control_at, control; /* the control messages of others, if they are kept */
	size_t name;               /* the bytes of from, the name of the sender's socket */
	struct cpeercred_ids ids;  /* of the sender */
	int end;                   /* the connection has ended, and all else is 0 */
	int pidfd, pidfd_error;    /* -1 if there is none, and why */
	char from[108];
};

/*
 * Receives a message without waiting. The descriptors that come with it are closed unless
 * keep is true. EAGAIN if there is no message, EMSGSIZE if the payload does not fit, ENOBUFS
 * if the control messages do not, ENODATA if it has no sender. On an error *r has nothing of
 * use, and nothing is left open. Linux.
 */
int cpeercred_receive(int fd, unsigned char *payload, size_t size, unsigned char *control, size_t capacity, int keep, struct cpeercred_received *r);

/*
 * A pidfd of the process at the other end of fd, close-on-exec and non-blocking. The
 * caller closes it. ESRCH if the process has been reaped, before Linux 6.16.
 */
int cpeercred_open_process(int fd, int *pidfd);

/* Whether the process has ended. A zombie has ended. */
int cpeercred_process_exited(int pidfd, int *exited);

/*
 * The pid that the process has in our pid namespace, or 0 if it has none there. ESRCH if
 * it has been reaped. Before Linux 6.15 also ESRCH if it has no pid there, and before 6.13
 * ENOTTY or EINVAL.
 */
int cpeercred_process_pid(int pidfd, int32_t *pid);

/*
 * The current ids of the process: the real, effective, saved and file system uid, then the
 * same four gids. It fails as cpeercred_process_pid does, and with EREMOTE instead of pid 0.
 */
int cpeercred_process_ids(int pidfd, uint32_t ids[8]);

/*
 * Nanoseconds since the system was booted, in our time namespace. They include the time
 * that the system was suspended.
 */
int cpeercred_since_boot(int64_t *nanoseconds);

/* Sends a signal to the process. 0 sends nothing, and checks whether a signal could be sent. */
int cpeercred_signal_process(int pidfd, int signal);

/* The peer's audit token (audit_token_t). The kernel builds it when asked. macOS. */
int cpeercred_audit_token(int fd, uint32_t token[8]);

/* EAFNOSUPPORT if fd is not a socket of the Unix family. */
int cpeercred_check_unix_family(int fd);

/*
 * The error of a call that failed. It is EPROTO if a libc returned -1 and left errno 0,
 * because 0 would mean success.
 */
static inline int
call_error(void)
{
	return errno != 0 ? errno : EPROTO;
}

#endif
