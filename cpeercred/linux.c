//go:build linux

/*
 * Linux and Android: unix(7), sk_getsockopt in net/core/sock.c. For pidfds: pidfd_open(2),
 * pidfd_send_signal(2), PIDFD_GET_INFO in linux/pidfd.h.
 */

#define _GNU_SOURCE

#include "credentials.h"

#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pidfd.h"

_Static_assert(sizeof(struct ucred) == 12, "struct ucred");
_Static_assert(offsetof(struct ucred, pid) == 0, "ucred.pid");
_Static_assert(offsetof(struct ucred, uid) == 4, "ucred.uid");
_Static_assert(offsetof(struct ucred, gid) == 8, "ucred.gid");

static int
ask_credentials(int fd, struct cpeercred_ids *ids)
{
	/* Poisoned: if the kernel writes nothing, the ids must not read as root. */
	struct ucred cred = { .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 };
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return call_error();
	if (len != sizeof(cred) || cred.pid < 0)
		return EPROTO;
	/* Without a peer Linux succeeds with (0, -1, -1). */
	if (cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1)
		return ENOTCONN;
	ids->pid = cred.pid;
	ids->uid = cred.uid;
	ids->gid = cred.gid;
	return 0;
}

/* SO_PEERGROUPS, since 4.13. */
int
cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count)
{
	socklen_t len = (socklen_t)(capacity * sizeof(*groups));
	size_t i;

	/* Poisoned: if the kernel writes nothing, the groups must not read as gid 0. */
	memset(groups, 0xff, capacity * sizeof(*groups));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1) {
		if (errno == ERANGE)
			*count = len / sizeof(*groups);
		return errno == ENODATA ? ENOTCONN : call_error();
	}
	if (len % sizeof(*groups) != 0 || len / sizeof(*groups) > capacity)
		return EPROTO;
	for (i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == (gid_t)-1)
			return EPROTO;
	*count = len / sizeof(*groups);
	return 0;
}

/* SO_PEERSEC, the security modules' getpeersec_stream hooks. */
int
cpeercred_security_label(int fd, char *label, size_t capacity, size_t *length)
{
	socklen_t len = (socklen_t)capacity;

	/* Bytes that the kernel did not write stay NUL. No label contains a NUL. */
	memset(label, 0, capacity);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &len) == -1) {
		if (errno == ERANGE)
			*length = len;
		return call_error();
	}
	if (len > capacity)
		return EPROTO;
	/* SELinux and Smack count a NUL at the end, AppArmor does not. */
	if (len > 0 && label[len - 1] == '\0')
		len--;
	/* If BPF is the only security module, Linux 6.1 succeeds and writes nothing. */
	if (len > 0 && label[0] == '\0')
		len = 0;
	if (memchr(label, '\0', len) != NULL)
		return EPROTO;
	*length = len;
	return 0;
}

/* Binds deaf, and connects fd to it. deaf does not listen, so that must be refused. */
static int
connect_to_deaf(int fd, int deaf)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(sa_family_t); /* no name, so the kernel chooses one */

	memset(&address, 0, sizeof(address));
	address.ss_family = AF_UNIX;
	if (bind(deaf, (const struct sockaddr *)&address, len) == -1)
		return call_error();
	len = sizeof(address);
	if (getsockname(deaf, (struct sockaddr *)&address, &len) == -1)
		return call_error();
	if (connect(fd, (const struct sockaddr *)&address, len) == 0)
		return EPROTO;
	return errno == ECONNREFUSED ? 0 : call_error();
}

/*
 * Asks about a socket whose connection was refused. Linux reports no peer for it. gVisor
 * (release 20260905) reports the caller, because its connectioned.go exchanges credentials
 * only for SOCK_STREAM.
 */
static int
ask_refused(int fd, int deaf)
{
	struct cpeercred_reply reply;
	int error;

	if ((error = connect_to_deaf(fd, deaf)) != 0)
		return error;
	cpeercred_credentials(fd, &reply);
	switch (reply.error) {
	case 0:
		return CPEERCRED_CONFUSED_ENDS;
	case ENOTCONN:
		return 0;
	default:
		return reply.error;
	}
}

static int
ask_packet_ends(void)
{
	int deaf, fd, error;

	if ((deaf = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		return call_error();
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1) {
		error = call_error();
	} else {
		error = ask_refused(fd, deaf);
		(void)close(fd);
	}
	(void)close(deaf);
	return error;
}

static atomic_int packet_ends_are_right;

int
cpeercred_check_packet_ends(void)
{
	int error;

	if (atomic_load(&packet_ends_are_right))
		return 0;
	if ((error = ask_packet_ends()) == 0)
		atomic_store(&packet_ends_are_right, 1);
	return error;
}

int
cpeercred_set_nonblocking(int pidfd)
{
	int flags;

	if ((flags = fcntl(pidfd, F_GETFL)) == -1 ||
	    fcntl(pidfd, F_SETFL, flags | O_NONBLOCK) == -1)
		return call_error();
	return 0;
}

/* SO_PEERPIDFD, since 6.5. */
int
cpeercred_open_process(int fd, int *pidfd)
{
	int process = -1, error;
	socklen_t len = sizeof(process);

	if (getsockopt(fd, SOL_SOCKET, CPEERCRED_SO_PEERPIDFD, &process, &len) == -1) {
		switch (errno) {
		case ENODATA:
			return ENOTCONN;
		case EINVAL: /* the peer has been reaped, before Linux 6.16 */
			return ESRCH;
		default:
			return call_error();
		}
	}
	if (len != sizeof(process) || process < 0)
		return EPROTO;
	if ((error = cpeercred_set_nonblocking(process)) != 0) {
		(void)close(process);
		return error;
	}
	*pidfd = process;
	return 0;
}

int
cpeercred_process_exited(int pidfd, int *exited)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n;

	if (pidfd < 0) /* poll(2) ignores a negative descriptor */
		return EBADF;
	while ((n = poll(&p, 1, 0)) == -1)
		if (errno != EINTR)
			return call_error();
	if (p.revents & POLLNVAL)
		return EBADF;
	if (p.revents & POLLERR || n != (p.revents != 0))
		return EPROTO;
	*exited = p.revents != 0;
	return 0;
}

/* glibc's ioctl takes an unsigned long, musl's and Bionic's an int. */
#if defined(__GLIBC__)
#define GET_INFO ((unsigned long)CPEERCRED_PIDFD_GET_INFO)
#else
#define GET_INFO ((int)CPEERCRED_PIDFD_GET_INFO)
#endif

/* Since 6.13. */
static int
get_info(int pidfd, uint64_t mask, struct cpeercred_pidfd_info *result)
{
	struct cpeercred_pidfd_info info;

	if (pidfd < 0) /* qemu-user says ENOSYS before it looks at the descriptor */
		return EBADF;
	memset(&info, 0xff, sizeof(info)); /* poisoned: ids that no process has */
	info.mask = mask;
	if (ioctl(pidfd, GET_INFO, &info) == -1)
		return call_error();
	if ((info.mask & mask) != mask)
		return EPROTO;
	*result = info;
	return 0;
}

int
cpeercred_process_pid(int pidfd, int32_t *pid)
{
	struct cpeercred_pidfd_info info;
	int error;

	switch (error = get_info(pidfd, CPEERCRED_PIDFD_INFO_PID, &info)) {
	case 0:
		break;
	case EREMOTE: /* in a pid namespace that is not visible in ours */
		*pid = 0;
		return 0;
	default:
		return error;
	}
	if (info.tgid < 1 || info.tgid > INT32_MAX)
		return EPROTO;
	*pid = (int32_t)info.tgid;
	return 0;
}

int
cpeercred_process_ids(int pidfd, uint32_t ids[8])
{
	struct cpeercred_pidfd_info info;
	size_t i;
	int error;

	if ((error = get_info(pidfd, CPEERCRED_PIDFD_INFO_CREDS, &info)) != 0)
		return error;
	const uint32_t told[8] = {
		info.ruid, info.euid, info.suid, info.fsuid,
		info.rgid, info.egid, info.sgid, info.fsgid
	};
	for (i = 0; i < 8; i++)
		if (told[i] == (uid_t)-1)
			return EPROTO;
	memcpy(ids, told, sizeof(told));
	return 0;
}

int
cpeercred_since_boot(int64_t *nanoseconds)
{
	const int64_t second = 1000000000;
	struct timespec now = { .tv_sec = -1, .tv_nsec = -1 };
	int64_t seconds;

	if (clock_gettime(CLOCK_BOOTTIME, &now) == -1)
		return call_error();
	seconds = now.tv_sec;
	if (seconds < 0 || seconds >= INT64_MAX / second || now.tv_nsec < 0 || now.tv_nsec >= second)
		return EPROTO;
	*nanoseconds = seconds * second + now.tv_nsec;
	return 0;
}

int
cpeercred_signal_process(int pidfd, int signal)
{
	if (syscall(CPEERCRED_SYS_PIDFD_SEND_SIGNAL, pidfd, signal, NULL, 0) == -1)
		return call_error();
	return 0;
}
