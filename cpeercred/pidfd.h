/*
 * Declarations of linux/pidfd.h and asm/socket.h, for C libraries with older headers.
 * testdata/linuxheaders.c compares them with the headers of Linux.
 */
#ifndef CPEERCRED_PIDFD_H
#define CPEERCRED_PIDFD_H

#include <sys/ioctl.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__sparc__)
#define CPEERCRED_SO_PEERPIDFD 0x0056
#elif defined(__hppa__)
#define CPEERCRED_SO_PEERPIDFD 0x404B
#else
#define CPEERCRED_SO_PEERPIDFD 77
#endif

#if defined(__mips__) && defined(_ABIO32) && _MIPS_SIM == _ABIO32
#define CPEERCRED_SYS_PIDFD_SEND_SIGNAL 4424
#elif defined(__mips__) && defined(_ABI64) && _MIPS_SIM == _ABI64
#define CPEERCRED_SYS_PIDFD_SEND_SIGNAL 5424
#elif defined(__mips__)
#define CPEERCRED_SYS_PIDFD_SEND_SIGNAL 6424
#else
#define CPEERCRED_SYS_PIDFD_SEND_SIGNAL 424
#endif

/* The first version of struct pidfd_info. Later kernels append fields. */
struct cpeercred_pidfd_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
_Static_assert(sizeof(struct cpeercred_pidfd_info) == 64, "PIDFD_INFO_SIZE_VER0");
_Static_assert(offsetof(struct cpeercred_pidfd_info, tgid) == 20, "pidfd_info.tgid");
_Static_assert(offsetof(struct cpeercred_pidfd_info, ruid) == 28, "pidfd_info.ruid");
_Static_assert(offsetof(struct cpeercred_pidfd_info, fsgid) == 56, "pidfd_info.fsgid");

#define CPEERCRED_PIDFD_GET_INFO _IOWR(0xFF, 11, struct cpeercred_pidfd_info)
#define CPEERCRED_PIDFD_INFO_PID (UINT64_C(1) << 0)
#define CPEERCRED_PIDFD_INFO_CREDS (UINT64_C(1) << 1)

/* Go's poller requires a pidfd to be non-blocking. The kernel sets close-on-exec. */
int cpeercred_set_nonblocking(int pidfd);

#endif
