/*
 * Declarations of linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h,
 * linux/netfilter_ipv4.h and asm/socket.h, for C libraries without the headers of Linux.
 * testdata/linuxheaders.c compares them with those.
 */
#ifndef CPEERCRED_INETDIAG_H
#define CPEERCRED_INETDIAG_H

#include <stddef.h>
#include <stdint.h>

#if defined(__sparc__)
#define CPEERCRED_SO_COOKIE 0x003b
#define CPEERCRED_SO_BINDTOIFINDEX 0x0041
#define CPEERCRED_SO_NETNS_COOKIE 0x0050
#elif defined(__hppa__)
#define CPEERCRED_SO_COOKIE 0x4032
#define CPEERCRED_SO_BINDTOIFINDEX 0x4037
#define CPEERCRED_SO_NETNS_COOKIE 0x4045
#else
#define CPEERCRED_SO_COOKIE 57
#define CPEERCRED_SO_BINDTOIFINDEX 62
#define CPEERCRED_SO_NETNS_COOKIE 71
#endif

#define CPEERCRED_IPPROTO_MPTCP 262
#define CPEERCRED_SO_ORIGINAL_DST 80 /* for both families */
#define CPEERCRED_NETLINK_SOCK_DIAG 4
#define CPEERCRED_SOCK_DIAG_BY_FAMILY 20
#define CPEERCRED_INET_DIAG_NOCOOKIE (~UINT32_C(0))
#define CPEERCRED_NLMSG_ERROR 2
#define CPEERCRED_NLM_F_REQUEST 0x01
#define CPEERCRED_NLM_F_MULTI 0x02
#define CPEERCRED_NLM_F_DUMP_INTR 0x10

/* struct sockaddr_nl */
struct cpeercred_netlink_name {
	uint16_t family, pad;
	uint32_t pid, groups;
};
_Static_assert(sizeof(struct cpeercred_netlink_name) == 12, "struct sockaddr_nl");

/* struct nlmsghdr */
struct cpeercred_netlink_header {
	uint32_t len;
	uint16_t type, flags;
	uint32_t seq, pid;
};
_Static_assert(sizeof(struct cpeercred_netlink_header) == 16, "struct nlmsghdr");

/* struct inet_diag_sockid. Ports and addresses are big-endian. */
struct cpeercred_diag_id {
	uint16_t sport, dport;
	uint8_t src[16], dst[16];
	uint32_t device, cookie[2];
};
_Static_assert(sizeof(struct cpeercred_diag_id) == 48, "struct inet_diag_sockid");

/* struct inet_diag_req_v2 */
struct cpeercred_diag_request {
	uint8_t family, protocol, extensions, pad;
	uint32_t states;
	struct cpeercred_diag_id id;
};
_Static_assert(sizeof(struct cpeercred_diag_request) == 56, "struct inet_diag_req_v2");

/* struct inet_diag_msg */
struct cpeercred_diag_message {
	uint8_t family, state, timer, retransmits;
	struct cpeercred_diag_id id;
	uint32_t expires, receiving, sending, uid, inode;
};
_Static_assert(sizeof(struct cpeercred_diag_message) == 72, "struct inet_diag_msg");

#endif
