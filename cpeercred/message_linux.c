//go:build linux

/*
 * Who sent a message, on Linux and Android: SO_PASSCRED, SO_PASSSEC and SO_PASSPIDFD in
 * unix(7), recvmsg(2), include/net/scm.h and net/core/scm.c.
 */

#define _GNU_SOURCE

#include "cpeercred.h"

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "pidfd.h"

_Static_assert(sizeof(((struct cpeercred_received *)0)->from) >= sizeof(((struct sockaddr_un *)0)->sun_path), "sun_path");

static int
set_option(int fd, int option)
{
	const int on = 1;

	return setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)) == -1 ? call_error() : 0;
}

int
cpeercred_report_senders(int fd, int process, int label)
{
	int error;

	if ((error = set_option(fd, SO_PASSCRED)) != 0)
		return error;
	if (label && (error = set_option(fd, SO_PASSSEC)) != 0)
		return error;
	if (!process)
		return 0;
	error = set_option(fd, CPEERCRED_SO_PASSPIDFD);
	return error == ENOPROTOOPT ? CPEERCRED_NO_PASSPIDFD : error;
}

/* A control message. whole is its size with its header and with padding. */
struct control {
	int type; /* 0 if it is not of SOL_SOCKET */
	const unsigned char *data;
	size_t size, whole;
};

/* Reads the first control message of n bytes. Returns 0 if there is none. */
static int
next_control(const unsigned char *bytes, size_t n, struct control *c)
{
	struct cmsghdr header;

	if (n < sizeof(header))
		return 0;
	memcpy(&header, bytes, sizeof(header));
	if (header.cmsg_len < CMSG_LEN(0) || header.cmsg_len > n)
		return 0;
	c->type = header.cmsg_level == SOL_SOCKET ? header.cmsg_type : 0;
	c->data = bytes + CMSG_LEN(0);
	c->size = header.cmsg_len - CMSG_LEN(0);
	c->whole = CMSG_SPACE(c->size) < n ? CMSG_SPACE(c->size) : n;
	return 1;
}

static void
close_rights(const unsigned char *bytes, size_t n)
{
	struct control c;
	int fd;

	for (; next_control(bytes, n, &c); bytes += c.whole, n -= c.whole) {
		if (c.type != SCM_RIGHTS)
			continue;
		for (; c.size >= sizeof(fd); c.data += sizeof(fd), c.size -= sizeof(fd)) {
			memcpy(&fd, c.data, sizeof(fd));
			if (fd >= 0)
				(void)close(fd);
		}
	}
}

static int
decode_ids(const struct control *c, struct cpeercred_ids *ids)
{
	struct ucred cred;

	if (c->size != sizeof(cred))
		return EPROTO;
	memcpy(&cred, c->data, sizeof(cred));
	if (cred.pid < 0 || cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1)
		return EPROTO;
	ids->pid = cred.pid;
	ids->uid = cred.uid;
	ids->gid = cred.gid;
	return 0;
}

/* A pidfd, or the negative errno that the kernel has instead. */
static int
decode_pidfd(const struct control *c, struct cpeercred_received *r)
{
	int word;

	if (c->size != sizeof(word) || r->pidfd != -1 || r->pidfd_error != 0)
		return EPROTO;
	memcpy(&word, c->data, sizeof(word));
	if (word >= 0)
		r->pidfd = word;
	else
		r->pidfd_error = word < -4095 ? EPROTO : -word;
	return 0;
}

/* The label without the NUL that some security modules count. The kernel attaches it first. */
static int
decode_label(const struct control *c, const unsigned char *bytes, struct cpeercred_received *r)
{
	size_t n = c->size;

	if (n > 0 && c->data[n - 1] == '\0')
		n--;
	if (n > 0 && c->data[0] == '\0')
		n = 0;
	if (r->label_at != 0 || r->control != 0 || memchr(c->data, '\0', n) != NULL)
		return EPROTO;
	r->label_at = (size_t)(c->data - bytes);
	r->label = n;
	return 0;
}

/* Decodes n bytes of control messages. *is_sender is whether one has the sender. */
static int
decode_control(const unsigned char *bytes, size_t n, struct cpeercred_received *r, int *is_sender)
{
	const unsigned char *rest = bytes;
	struct control c;
	int error = 0;

	for (; n > 0 && error == 0; rest += c.whole, n -= c.whole) {
		if (!next_control(rest, n, &c))
			return EPROTO;
		switch (c.type) {
		case SCM_CREDENTIALS:
			error = *is_sender ? EPROTO : decode_ids(&c, &r->ids);
			*is_sender = 1;
			break;
		case CPEERCRED_SCM_PIDFD:
			error = decode_pidfd(&c, r);
			break;
		case CPEERCRED_SCM_SECURITY:
			error = decode_label(&c, bytes, r);
			break;
		default:
			r->control += c.whole;
		}
	}
	return error;
}

/* Moves the label and then the messages of others to the beginning of n bytes. */
static void
keep_others(unsigned char *bytes, size_t n, struct cpeercred_received *r)
{
	unsigned char *rest = bytes;
	struct control c;
	size_t kept = 0;

	for (; next_control(rest, n, &c); rest += c.whole, n -= c.whole) {
		if (c.type == SCM_CREDENTIALS || c.type == CPEERCRED_SCM_PIDFD)
			continue;
		memmove(bytes + kept, rest, c.whole);
		kept += c.whole;
		if (c.type == CPEERCRED_SCM_SECURITY) {
			r->label_at = CMSG_LEN(0);
			r->control_at = kept;
		}
	}
}

/*
 * The name without its NUL, or nothing. "@" precedes an abstract name, as in Go. The kernel
 * counts a NUL after a path that fills the structure.
 */
static int
decode_name(const struct sockaddr_un *name, socklen_t len, struct cpeercred_received *r)
{
	const size_t start = offsetof(struct sockaddr_un, sun_path);
	const char *end;

	if (len <= start)
		return 0;
	if (name->sun_family != AF_UNIX || len > sizeof(*name) + 1)
		return EPROTO;
	r->name = len > sizeof(*name) ? sizeof(name->sun_path) : len - start;
	memcpy(r->from, name->sun_path, r->name);
	if (r->from[0] == '\0')
		r->from[0] = '@';
	else if ((end = memchr(r->from, '\0', r->name)) != NULL)
		r->name = (size_t)(end - r->from);
	return 0;
}

/*
 * Whether a read of no bytes is the end of the connection. At the end of a stream the kernel
 * attaches a sender whose ids are all 0. A packet may be empty, and has a sender then.
 */
static int
check_end(int fd, int is_sender, int *end)
{
	int type = -1;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
		return call_error();
	if (len != sizeof(type) || type < 1)
		return EPROTO;
	*end = type == SOCK_STREAM || (type == SOCK_SEQPACKET && !is_sender);
	return 0;
}

static int
decode_message(int fd, const struct msghdr *m, size_t n, struct cpeercred_received *r)
{
	int error, is_sender = 0;

	error = decode_control(m->msg_control, m->msg_controllen, r, &is_sender);
	if ((m->msg_flags & MSG_CTRUNC) != 0) /* the last one can be cut short */
		return ENOBUFS;
	if (error == 0 && ((m->msg_flags & MSG_TRUNC) != 0 || n > m->msg_iov->iov_len))
		error = EMSGSIZE;
	if (error == 0 && n == 0)
		error = check_end(fd, is_sender, &r->end);
	if (error != 0 || r->end)
		return error;
	if (!is_sender)
		return ENODATA;
	r->n = n;
	return decode_name(m->msg_name, m->msg_namelen, r);
}

/* Receives the length of the whole message, even if that is more than fits. */
static ssize_t
receive(int fd, struct msghdr *m)
{
	ssize_t n;

	do
		n = recvmsg(fd, m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	while (n == -1 && errno == EINTR);
	return n;
}

static int check_sender(const struct cpeercred_received *r);

/* A message without a sender is lost if check is true. */
static int
receive_message(int fd, unsigned char *payload, size_t size, unsigned char *control, size_t capacity, int keep, int check, struct cpeercred_received *r)
{
	struct sockaddr_un name;
	struct iovec vector = { payload, size };
	struct msghdr m = {
		.msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = (socklen_t)capacity,
	};
	ssize_t n;
	int error;

	memset(r, 0, offsetof(struct cpeercred_received, from));
	memset(&name, 0, sizeof(name));
	r->pidfd = -1;
	if (fd < 0)
		return EBADF;
	if (size == 0)
		return EINVAL;
	if ((n = receive(fd, &m)) == -1)
		return call_error();
	if (n < 0 || m.msg_controllen > capacity)
		return EPROTO;
	error = decode_message(fd, &m, (size_t)n, r);
	if (error == 0 && !r->end && check)
		error = check_sender(r);
	if (error == 0 && r->pidfd != -1)
		error = cpeercred_set_nonblocking(r->pidfd);
	if (error == 0 && keep && !r->end) {
		keep_others(control, m.msg_controllen, r);
		return 0;
	}
	close_rights(control, m.msg_controllen);
	r->control = 0;
	if (error != 0 || r->end) {
		if (r->pidfd != -1)
			(void)close(r->pidfd);
		*r = (struct cpeercred_received){ .end = r->end, .pidfd = -1 };
	}
	return error;
}

/* Asks the kernel for the sender of a message that has none. The overflow ids can change. */
static int
ask_unknown_sender(struct cpeercred_ids *ids)
{
	struct cpeercred_received r;
	unsigned char payload[1] = { 0 }, control[64];
	int fds[2], error;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == -1)
		return call_error();
	if (send(fds[1], payload, sizeof(payload), 0) != (ssize_t)sizeof(payload))
		error = call_error();
	else if ((error = set_option(fds[0], SO_PASSCRED)) == 0)
		error = receive_message(fds[0], payload, sizeof(payload), control, sizeof(control), 0, 0, &r);
	(void)close(fds[0]);
	(void)close(fds[1]);
	if (error == 0)
		*ids = r.ids;
	return error;
}

/*
 * ENODATA for what the kernel reports as the sender of a message that was sent before
 * cpeercred_report_senders: pid 0, and the overflow ids. A sender without a pid in our pid
 * namespace is right, unless our user namespace maps none of its ids either.
 */
static int
check_sender(const struct cpeercred_received *r)
{
	struct cpeercred_ids unknown;
	int error;

	if (r->ids.pid != 0)
		return 0;
	if ((error = ask_unknown_sender(&unknown)) != 0)
		return error;
	return unknown.pid == r->ids.pid && unknown.uid == r->ids.uid && unknown.gid == r->ids.gid ? ENODATA : 0;
}

int
cpeercred_receive(int fd, unsigned char *payload, size_t size, unsigned char *control, size_t capacity, int keep, struct cpeercred_received *r)
{
	return receive_message(fd, payload, size, control, capacity, keep, 1, r);
}
