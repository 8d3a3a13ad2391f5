//go:build unix

/* The functions that a system does not support. SYSTEM.c defines the others. */

#pragma GCC diagnostic ignored "-Wunused-parameter"

#include "cpeercred.h"

#if !defined(__linux__) && !defined(__APPLE__) && !defined(__FreeBSD__) && !defined(__DragonFly__) && !defined(__sun)
int cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count) { return CPEERCRED_UNSUPPORTED; }
#endif

#if !defined(__APPLE__)
int cpeercred_audit_token(int fd, uint32_t token[8]) { return CPEERCRED_UNSUPPORTED; }
#endif

#if !defined(__linux__)
int cpeercred_loopback_peer_uid(int fd, uint32_t *uid) { return CPEERCRED_UNSUPPORTED; }

/* Only a kernel that imitates Linux is known to confuse the ends. */
int cpeercred_check_packet_ends(void) { return 0; }

int cpeercred_security_label(int fd, char *label, size_t capacity, size_t *length) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_report_senders(int fd, int process, int label) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_receive(int fd, unsigned char *payload, size_t size, unsigned char *control, size_t capacity, int keep, struct cpeercred_received *r) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_open_process(int fd, int *pidfd) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_process_exited(int pidfd, int *exited) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_process_pid(int pidfd, int32_t *pid) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_process_ids(int pidfd, uint32_t ids[8]) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_since_boot(int64_t *nanoseconds) { return CPEERCRED_UNSUPPORTED; }
int cpeercred_signal_process(int pidfd, int signal) { return CPEERCRED_UNSUPPORTED; }
#endif
