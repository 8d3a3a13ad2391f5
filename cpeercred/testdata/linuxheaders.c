/*
 * The declarations in pidfd.h, which are for old headers, are those of new headers ("make
 * cross-c", with Zig's headers).
 */
#include "../pidfd.h"

#include <asm/socket.h>
#include <asm/unistd.h>
#include <linux/pidfd.h>

_Static_assert(CPEERCRED_SO_PEERPIDFD == SO_PEERPIDFD, "SO_PEERPIDFD");
_Static_assert(CPEERCRED_SYS_PIDFD_SEND_SIGNAL == __NR_pidfd_send_signal, "pidfd_send_signal");
_Static_assert(CPEERCRED_PIDFD_INFO_PID == PIDFD_INFO_PID, "PIDFD_INFO_PID");
_Static_assert(CPEERCRED_PIDFD_INFO_CREDS == PIDFD_INFO_CREDS, "PIDFD_INFO_CREDS");
_Static_assert(sizeof(struct cpeercred_pidfd_info) == PIDFD_INFO_SIZE_VER0, "PIDFD_INFO_SIZE_VER0");

/* The command of a later version differs in the size that it encodes. */
#define WITHOUT_SIZE(command) ((command) & ~(unsigned)(_IOC_SIZEMASK << _IOC_SIZESHIFT))
_Static_assert(WITHOUT_SIZE(CPEERCRED_PIDFD_GET_INFO) == WITHOUT_SIZE(PIDFD_GET_INFO), "PIDFD_GET_INFO");

#define SAME(field) \
	_Static_assert(offsetof(struct cpeercred_pidfd_info, field) == offsetof(struct pidfd_info, field), #field)
SAME(mask);
SAME(tgid);
SAME(ruid);
SAME(rgid);
SAME(euid);
SAME(egid);
SAME(suid);
SAME(sgid);
SAME(fsuid);
SAME(fsgid);
