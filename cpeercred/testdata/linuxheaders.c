/*
 * The declarations in pidfd.h, inetdiag.h and message.h, which are for old headers, are those of new
 * headers ("make cross-c", with Zig's headers).
 */
#include "../pidfd.h"
#include "../inetdiag.h"
#include "../message.h"

#include <asm/socket.h>
#include <asm/unistd.h>
#include <linux/pidfd.h>
#include <linux/in.h>
#include <linux/inet_diag.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

_Static_assert(CPEERCRED_SO_PEERPIDFD == SO_PEERPIDFD, "SO_PEERPIDFD");
_Static_assert(CPEERCRED_SO_PASSPIDFD == SO_PASSPIDFD, "SO_PASSPIDFD");
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

_Static_assert(CPEERCRED_SO_COOKIE == SO_COOKIE, "SO_COOKIE");
_Static_assert(CPEERCRED_SO_BINDTOIFINDEX == SO_BINDTOIFINDEX, "SO_BINDTOIFINDEX");
_Static_assert(CPEERCRED_SO_NETNS_COOKIE == SO_NETNS_COOKIE, "SO_NETNS_COOKIE");
_Static_assert(CPEERCRED_IPPROTO_MPTCP == IPPROTO_MPTCP, "IPPROTO_MPTCP");
_Static_assert(CPEERCRED_SO_ORIGINAL_DST == SO_ORIGINAL_DST, "SO_ORIGINAL_DST");
_Static_assert(CPEERCRED_SO_ORIGINAL_DST == IP6T_SO_ORIGINAL_DST, "IP6T_SO_ORIGINAL_DST");
_Static_assert(CPEERCRED_NETLINK_SOCK_DIAG == NETLINK_SOCK_DIAG, "NETLINK_SOCK_DIAG");
_Static_assert(CPEERCRED_SOCK_DIAG_BY_FAMILY == SOCK_DIAG_BY_FAMILY, "SOCK_DIAG_BY_FAMILY");
_Static_assert(CPEERCRED_INET_DIAG_NOCOOKIE == INET_DIAG_NOCOOKIE, "INET_DIAG_NOCOOKIE");
_Static_assert(CPEERCRED_NLMSG_ERROR == NLMSG_ERROR, "NLMSG_ERROR");
_Static_assert(CPEERCRED_NLM_F_REQUEST == NLM_F_REQUEST, "NLM_F_REQUEST");
_Static_assert(CPEERCRED_NLM_F_MULTI == NLM_F_MULTI, "NLM_F_MULTI");
_Static_assert(CPEERCRED_NLM_F_DUMP_INTR == NLM_F_DUMP_INTR, "NLM_F_DUMP_INTR");
_Static_assert(offsetof(struct nlmsgerr, error) == 0, "nlmsgerr.error");

#define AS(ours, field, theirs, its) \
	_Static_assert(offsetof(struct ours, field) == offsetof(struct theirs, its) && \
	    sizeof(((struct ours *)0)->field) == sizeof(((struct theirs *)0)->its), #its)
AS(cpeercred_netlink_name, family, sockaddr_nl, nl_family);
AS(cpeercred_netlink_name, pid, sockaddr_nl, nl_pid);
AS(cpeercred_netlink_header, len, nlmsghdr, nlmsg_len);
AS(cpeercred_netlink_header, type, nlmsghdr, nlmsg_type);
AS(cpeercred_netlink_header, flags, nlmsghdr, nlmsg_flags);
AS(cpeercred_netlink_header, seq, nlmsghdr, nlmsg_seq);
AS(cpeercred_diag_id, sport, inet_diag_sockid, idiag_sport);
AS(cpeercred_diag_id, dport, inet_diag_sockid, idiag_dport);
AS(cpeercred_diag_id, src, inet_diag_sockid, idiag_src);
AS(cpeercred_diag_id, dst, inet_diag_sockid, idiag_dst);
AS(cpeercred_diag_id, device, inet_diag_sockid, idiag_if);
AS(cpeercred_diag_id, cookie, inet_diag_sockid, idiag_cookie);
AS(cpeercred_diag_request, family, inet_diag_req_v2, sdiag_family);
AS(cpeercred_diag_request, protocol, inet_diag_req_v2, sdiag_protocol);
AS(cpeercred_diag_request, states, inet_diag_req_v2, idiag_states);
AS(cpeercred_diag_request, id, inet_diag_req_v2, id);
AS(cpeercred_diag_message, family, inet_diag_msg, idiag_family);
AS(cpeercred_diag_message, state, inet_diag_msg, idiag_state);
AS(cpeercred_diag_message, id, inet_diag_msg, id);
AS(cpeercred_diag_message, uid, inet_diag_msg, idiag_uid);
AS(cpeercred_diag_message, inode, inet_diag_msg, idiag_inode);
