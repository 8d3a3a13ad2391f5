/*
 * Linux and Android: SO_PEERPIDFD (since 6.5), sk_getsockopt in net/core/sock.c,
 * and what can be asked of a pidfd: pidfd_open(2), pidfd_send_signal(2),
 * PIDFD_GET_INFO (since 6.13) in linux/pidfd.h.
 */

#define _GNU_SOURCE

#include "cpeercred.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* The C library's headers may be older than the kernel. */
#ifndef SO_PEERPIDFD
#if defined(__sparc__)
#define SO_PEERPIDFD 0x0056
#elif defined(__hppa__)
#define SO_PEERPIDFD 0x404B
#else
#define SO_PEERPIDFD 77
#endif
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

/* struct pidfd_info as of its first version, to which later kernels append. */
struct process_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
_Static_assert(sizeof(struct process_info) == 64, "PIDFD_INFO_SIZE_VER0");
_Static_assert(offsetof(struct process_info, tgid) == 20, "pidfd_info.tgid");
_Static_assert(offsetof(struct process_info, ruid) == 28, "pidfd_info.ruid");
_Static_assert(offsetof(struct process_info, fsgid) == 56, "pidfd_info.fsgid");

#define GET_INFO  _IOWR(0xFF, 11, struct process_info)
#define INFO_PID  (UINT64_C(1) << 0)
#define INFO_CREDS (UINT64_C(1) << 1)

/* Non-blocking, so that Go's poller takes it. The kernel sets close-on-exec. */
static int
set_nonblocking(int pidfd)
{
	int flags;

	if ((flags = fcntl(pidfd, F_GETFL)) == -1 ||
	    fcntl(pidfd, F_SETFL, flags | O_NONBLOCK) == -1)
		return errno;
	return 0;
}

int
cpeercred_open_process(int fd, int *pidfd)
{
	int process = -1, error;
	socklen_t len = sizeof(process);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &len) == -1) {
		switch (errno) {
		case ENODATA:
			return ENOTCONN;
		case EINVAL: /* reaped, for kernels before 6.16 */
			return ESRCH;
		default:
			return errno;
		}
	}
	if (len != sizeof(process) || process < 0)
		return EPROTO;
	if ((error = set_nonblocking(process)) != 0) {
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

	while ((n = poll(&p, 1, 0)) == -1)
		if (errno != EINTR)
			return errno;
	if (p.revents & POLLNVAL)
		return EBADF;
	if (p.revents & POLLERR || n != (p.revents != 0))
		return EPROTO;
	*exited = p.revents != 0;
	return 0;
}

static int
get_info(int pidfd, uint64_t mask, struct process_info *result)
{
	struct process_info info;

	memset(&info, 0xff, sizeof(info)); /* poisoned: ids that no process has */
	info.mask = mask;
	if (ioctl(pidfd, GET_INFO, &info) == -1)
		return errno;
	if ((info.mask & mask) != mask)
		return EPROTO;
	*result = info;
	return 0;
}

int
cpeercred_process_pid(int pidfd, int32_t *pid)
{
	struct process_info info;
	int error;

	switch (error = get_info(pidfd, INFO_PID, &info)) {
	case 0:
		break;
	case EREMOTE: /* in a pid namespace that we do not see */
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
	struct process_info info;
	size_t i;
	int error;

	if ((error = get_info(pidfd, INFO_CREDS, &info)) != 0)
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
cpeercred_signal_process(int pidfd, int signal)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == -1)
		return errno;
	return 0;
}
