/*
 * Linux and Android: SO_PEERPIDFD (since 6.5), sk_getsockopt in net/core/sock.c,
 * and what can be asked of a pidfd: pidfd_open(2), pidfd_send_signal(2),
 * PIDFD_GET_INFO (since 6.13) in linux/pidfd.h; and the clock that its start is told by.
 */

#define _GNU_SOURCE

#include "cpeercred.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "callerror.h"
#include "pidfd.h"

/* Non-blocking, so that Go's poller takes it. The kernel sets close-on-exec. */
static int
set_nonblocking(int pidfd)
{
	int flags;

	if ((flags = fcntl(pidfd, F_GETFL)) == -1 ||
	    fcntl(pidfd, F_SETFL, flags | O_NONBLOCK) == -1)
		return call_error();
	return 0;
}

int
cpeercred_open_process(int fd, int *pidfd)
{
	int process = -1, error;
	socklen_t len = sizeof(process);

	if (getsockopt(fd, SOL_SOCKET, CPEERCRED_SO_PEERPIDFD, &process, &len) == -1) {
		switch (errno) {
		case ENODATA:
			return ENOTCONN;
		case EINVAL: /* reaped, for kernels before 6.16 */
			return ESRCH;
		default:
			return call_error();
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

static int
get_info(int pidfd, uint64_t mask, struct cpeercred_pidfd_info *result)
{
	struct cpeercred_pidfd_info info;

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
