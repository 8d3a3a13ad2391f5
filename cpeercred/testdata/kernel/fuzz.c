/*
 * Runs the C shims of one system on a kernel that lies (see kernel.h), for libFuzzer: "make
 * fuzz". This file decides a second time what a shim may return, from the kernel's record of
 * what it wrote and the system's own headers.
 *
 * Each function must return 0 and a value, or an errno and unchanged outputs. It must return
 * a value if and only if the kernel's answer is credible. Every bit of the value must be one
 * that the kernel wrote and counted.
 */
#include "kernel.h"

#include "../../cpeercred.h"

#define PROMISE(condition, promise) ((condition) ? (void)0 : broken(promise))

#define UNTOUCHED 0xa5

/* The errno that a shim returns for a failed call, if it is another one. */
static int
translated(const struct call *c)
{
	/* A descriptor that is not a socket has no family. */
#if defined(__linux__)
	if (c->kind == GETSOCKOPT && c->option == SO_DOMAIN && c->error == ENOTSOCK)
		return EAFNOSUPPORT;
	if (c->kind == GETSOCKOPT && (c->option == SO_PEERGROUPS || c->option == CPEERCRED_SO_PEERPIDFD) && c->error == ENODATA)
		return ENOTCONN;
	if (c->kind == GETSOCKOPT && c->option == CPEERCRED_SO_PEERPIDFD && c->error == EINVAL)
		return ESRCH;
#else
	if (c == call_of(GETSOCKNAME, 0) && c->error == ENOTSOCK)
		return EAFNOSUPPORT;
#endif
	return c->error != 0 ? c->error : EPROTO; /* EPROTO: it failed and did not say why */
}

/* An error is the errno of the call that failed, or one of those that a shim makes. */
static void
check_refusal(int error)
{
	const struct call *c = last_call();

	if (c != NULL && c->result == -1)
		PROMISE(error == translated(c), "the errno is that of the call that failed");
	else
		PROMISE(error == EPROTO || error == ENOTCONN || error == EAFNOSUPPORT || error == EOPNOTSUPP || error == ERANGE,
		    "the errno is one that is documented");
}

static void
check_untouched(const void *output, size_t size)
{
	const unsigned char *p = output;
	size_t i;

	for (i = 0; i < size; i++)
		PROMISE(p[i] == UNTOUCHED, "an error comes without a value");
}

/* Returns whether there is a value to check. */
static int
check_outcome(int error, int credible, const void *output, size_t size)
{
	PROMISE(error != 0 || credible, "a value comes only from a credible answer");
	PROMISE(error == 0 || !credible, "a credible answer is returned");
	if (error == 0)
		return 1;
	check_refusal(error);
	check_untouched(output, size);
	return 0;
}

static int
is_id(const struct call *c, size_t offset, uint32_t *id)
{
	return told_word(c, offset, id) && *id != NO_ID;
}

static int
is_pid(const struct call *c, size_t offset, uint32_t lowest, int32_t *pid)
{
	uint32_t word;

	if (!told_word(c, offset, &word) || word > INT32_MAX || word < lowest)
		return 0;
	*pid = (int32_t)word;
	return 1;
}

/* An int option at SOL_SOCKET. */
static int
is_int(int option, int *value)
{
	const struct call *c = call_of_option(SOL_SOCKET, option);
	uint32_t word;

	if (!told_word(c, 0, &word) || c->length != sizeof(word) || word == NO_ID)
		return 0;
	*value = (int)word;
	return 1;
}

static int
is_type(int *type)
{
	return is_int(SO_TYPE, type) && *type >= 1;
}

/* The required result of cpeercred_kind, 0 if it must fail. */
static int
is_kind(int *kind)
{
	int family = AF_UNSPEC, type;
#if defined(__linux__)
	const struct call *c = call_of_option(SOL_SOCKET, SO_DOMAIN);
#else
	const struct call *c = call_of(GETSOCKNAME, 0);
#endif

	*kind = CPEERCRED_KIND_UNKNOWN;
	if (c == NULL)
		return 0;
	if (c->result == -1)
		return c->error == ENOTSOCK;
#if defined(__linux__)
	if (!is_int(SO_DOMAIN, &family))
		return 0;
#else
	struct sockaddr address = { 0 }; /* what is not written is no family */
	size_t i;
	for (i = 0; i < sizeof(address); i++)
		if (c->written[i])
			((unsigned char *)&address)[i] = c->bytes[i];
	family = address.sa_family;
#if defined(__DragonFly__)
	if (family == AF_UNSPEC && address.sa_len == 0)
		family = AF_UNIX;
#endif
#endif
	if (family == AF_UNIX) {
		*kind = CPEERCRED_KIND_UNIX;
	} else if (family == AF_INET || family == AF_INET6) {
		if (!is_type(&type))
			return 0;
		if (type == SOCK_STREAM)
			*kind = CPEERCRED_KIND_TCP;
		else if (type == SOCK_DGRAM)
			*kind = CPEERCRED_KIND_UDP;
	}
	return 1;
}

static int
is_unix(void)
{
	int kind;

	return is_kind(&kind) && kind == CPEERCRED_KIND_UNIX;
}

/* The credentials that the kernel reported, 0 if it did not report any. */
#if defined(__linux__)
static int
are_credible(struct cpeercred_ids *ids)
{
	const struct call *c = call_of_option(SOL_SOCKET, SO_PEERCRED);

	return c != NULL && c->length == sizeof(struct ucred) &&
	    is_pid(c, offsetof(struct ucred, pid), 0, &ids->pid) &&
	    is_id(c, offsetof(struct ucred, uid), &ids->uid) && is_id(c, offsetof(struct ucred, gid), &ids->gid);
}
#elif defined(HAS_XUCRED)
static const struct call *
xucred(void)
{
	const struct call *c = call_of_option(SOL_LOCAL, LOCAL_PEERCRED);
	uint32_t version, id;
	short groups;

	if (!is_unix() || c == NULL || c->length != sizeof(struct xucred) ||
	    !told_word(c, offsetof(struct xucred, cr_version), &version) || version != XUCRED_VERSION ||
	    !told_bytes(c, offsetof(struct xucred, cr_ngroups), &groups, sizeof(groups)) || groups < 1 || groups > 16 ||
	    !is_id(c, offsetof(struct xucred, cr_uid), &id) || !is_id(c, offsetof(struct xucred, cr_groups), &id))
		return NULL;
	return c;
}

static int
are_credible(struct cpeercred_ids *ids)
{
	const struct call *c = xucred();

	if (c == NULL)
		return 0;
	(void)is_id(c, offsetof(struct xucred, cr_uid), &ids->uid);
	(void)is_id(c, offsetof(struct xucred, cr_groups), &ids->gid);
	ids->pid = 0;
#if defined(__APPLE__)
	const struct call *eid = call_of(GETPEEREID, 0), *pid = call_of_option(SOL_LOCAL, LOCAL_PEERPID);
	uint32_t euid, egid;
	if (!told_word(eid, 0, &euid) || !told_word(eid, 4, &egid) || euid != ids->uid || egid != ids->gid || pid == NULL)
		return 0;
	if (pid->result == -1)
		return pid->error == ENOTCONN; /* the peer has closed */
	return pid->length == sizeof(pid_t) && is_pid(pid, 0, 0, &ids->pid);
#elif defined(__DragonFly__)
	return 1;
#else
	return is_pid(c, offsetof(struct xucred, cr_pid), 0, &ids->pid);
#endif
}
#elif defined(__OpenBSD__)
static int
are_credible(struct cpeercred_ids *ids)
{
	const struct call *c = call_of_option(SOL_SOCKET, SO_PEERCRED);

	return is_unix() && c != NULL && c->length == sizeof(struct sockpeercred) &&
	    is_pid(c, offsetof(struct sockpeercred, pid), 1, &ids->pid) &&
	    is_id(c, offsetof(struct sockpeercred, uid), &ids->uid) && is_id(c, offsetof(struct sockpeercred, gid), &ids->gid);
}
#elif defined(__NetBSD__)
/* Whether an address of a Unix socket has a path, -1 if it is not such an address. */
static int
is_named(const struct call *c)
{
	uint8_t family;
	char first = '\0';

	if (!told_bytes(c, offsetof(struct sockaddr_un, sun_family), &family, 1) || family != AF_LOCAL)
		return -1;
	return told_bytes(c, offsetof(struct sockaddr_un, sun_path), &first, 1) && first != '\0';
}

static int
are_credible(struct cpeercred_ids *ids)
{
	const struct call *c = call_of_option(SOL_LOCAL, LOCAL_PEEREID);

	return is_unix() && c != NULL && c->length == sizeof(struct unpcbid) &&
	    is_named(call_of(GETSOCKNAME, 1)) == 1 && is_named(call_of(GETPEERNAME, 0)) == 0 &&
	    is_pid(c, offsetof(struct unpcbid, unp_pid), 1, &ids->pid) &&
	    is_id(c, offsetof(struct unpcbid, unp_euid), &ids->uid) && is_id(c, offsetof(struct unpcbid, unp_egid), &ids->gid);
}
#elif defined(__sun)
static int
are_credible(struct cpeercred_ids *ids)
{
	const struct call *c = call_of(GETPEERUCRED, 0);

	return is_unix() && c != NULL && c->result == 0 &&
	    is_pid(c, 0, 0, &ids->pid) && is_id(c, 4, &ids->uid) && is_id(c, 8, &ids->gid);
}
#elif defined(_AIX)
static int
are_credible(struct cpeercred_ids *ids)
{
	const struct call *c = call_of_option(SOL_SOCKET, SO_PEERID), *eid = call_of(GETPEEREID, 0);
	uint32_t euid, egid;

	return is_unix() && c != NULL && c->length == sizeof(struct peercred_struct) &&
	    is_pid(c, offsetof(struct peercred_struct, pid), 1, &ids->pid) &&
	    is_id(c, offsetof(struct peercred_struct, euid), &ids->uid) && is_id(c, offsetof(struct peercred_struct, egid), &ids->gid) &&
	    told_word(eid, 0, &euid) && told_word(eid, 4, &egid) && euid == ids->uid && egid == ids->gid;
}
#endif

static void
fuzz_credentials(void)
{
	struct cpeercred_reply reply;
	struct cpeercred_ids want;

	memset(&reply, UNTOUCHED, sizeof(reply));
	cpeercred_credentials(3, &reply);
	if (check_outcome(reply.error, are_credible(&want), &reply.ids, sizeof(reply.ids)))
		PROMISE(reply.ids.pid == want.pid && reply.ids.uid == want.uid && reply.ids.gid == want.gid,
		    "the ids are those that the kernel wrote");
}

static void
fuzz_kind(void)
{
	int kind, want, error;

	memset(&kind, UNTOUCHED, sizeof(kind));
	error = cpeercred_kind(3, &kind);
	if (check_outcome(error, is_kind(&want), &kind, sizeof(kind)))
		PROMISE(kind == want, "the kind is that of the family and type");
}

static void
fuzz_check_unix_family(void)
{
	int error = cpeercred_check_unix_family(3);

	(void)check_outcome(error, is_unix(), NULL, 0);
}

/*
 * Whether the kernel distinguishes the ends of packet sockets. Then it refuses the
 * connection, and names no peer for it.
 */
static int
are_packet_ends_right(void)
{
#if defined(__linux__)
	const struct call *refused = call_of(CONNECT, 0), *asked = call_of_option(SOL_SOCKET, SO_PEERCRED);
	struct cpeercred_ids ids;

	if (refused == NULL || refused->error != ECONNREFUSED || asked == NULL || are_credible(&ids))
		return 0;
	if (asked->result == -1)
		return asked->error == ENOTCONN;
	return asked->length == sizeof(struct ucred) && is_pid(asked, offsetof(struct ucred, pid), 0, &ids.pid);
#else
	return 1;
#endif
}

static void
fuzz_check_can_have_peer(void)
{
	int error = cpeercred_check_can_have_peer(3), type = 0, listens = 0;
	int credible = is_type(&type) && type != SOCK_DGRAM && (type != SOCK_SEQPACKET || are_packet_ends_right()) &&
	    is_int(SO_ACCEPTCONN, &listens) && !listens;

	PROMISE(descriptors_open() == 0, "no descriptor is left");
	if (error == CPEERCRED_CONFUSED_ENDS) {
		struct cpeercred_ids ids;
		PROMISE(type == SOCK_SEQPACKET && are_credible(&ids), "the ends are confused only if the kernel names a peer for a socket without one");
		return;
	}
#if defined(__OpenBSD__)
	const struct call *c = call_of_option(SOL_SOCKET, SO_ACCEPTCONN);
	credible |= c != NULL && c->result == -1 && c->error == ENOPROTOOPT;
#endif

	(void)check_outcome(error, credible, NULL, 0);
}

static void
fuzz_answers_for_caller(void)
{
	int answers, error;
	struct cpeercred_ids ids;
	const struct call *c = call_of(SOCKET, 0);

	memset(&answers, UNTOUCHED, sizeof(answers));
	error = cpeercred_answers_for_caller(&answers);
	PROMISE(descriptors_open() == 0, "no descriptor is left");
	c = call_of(SOCKET, 0);
	PROMISE(c != NULL, "a fresh socket is asked about");
	if (c->result == -1 || error != 0) {
		PROMISE(error != 0 && (c->result != -1 || error == translated(c)), "a question that fails is an error");
		check_untouched(&answers, sizeof(answers));
		return;
	}
	PROMISE(answers == are_credible(&ids), "only a kernel that names a peer for a socket without one is detected");
}

static void
fuzz_socketpair(void)
{
	int fds[2], error;
	const struct call *c;

	memset(fds, UNTOUCHED, sizeof(fds));
	error = cpeercred_socketpair(fds);
	c = call_of(SOCKETPAIR, 0);
	PROMISE(c != NULL, "socketpair is asked");
	if (c->result == -1) {
		PROMISE(error == translated(c), "the errno is that of the call that failed");
		check_untouched(fds, sizeof(fds));
	} else if (error != 0) {
		PROMISE(error == EPROTO && descriptors_open() == 0, "a pair of two descriptors is returned");
		check_untouched(fds, sizeof(fds));
	} else {
		PROMISE(descriptors_open() == 2 && descriptor_is_open(fds[0]) && descriptor_is_open(fds[1]), "a pair is what the kernel wrote");
	}
}

/* The list functions return no more than fits. */
#if defined(__linux__) || defined(HAS_XUCRED) || defined(__sun)
static const size_t capacities[] = { 16, 0, 1, 4, 15, 64 };
enum { CAPACITIES = sizeof(capacities) / sizeof(capacities[0]) };

/* How many groups the kernel reported and where they begin, -1 if the answer is not credible. */
static long
told_groups(size_t *offset)
{
#if defined(__linux__)
	const struct call *c = call_of_option(SOL_SOCKET, SO_PEERGROUPS);
	*offset = 0;
	return c->result != -1 && c->length % 4 == 0 ? (long)(c->length / 4) : -1;
#elif defined(HAS_XUCRED)
	const struct call *c = xucred();
	short n;
	*offset = offsetof(struct xucred, cr_groups) + 4;
	return c != NULL && told_bytes(c, offsetof(struct xucred, cr_ngroups), &n, sizeof(n)) ? n - 1L : -1;
#else
	const struct call *c = call_of(GETPEERUCRED, 0);
	uint32_t n;
	*offset = 16;
	if (!is_unix() || c == NULL || c->result != 0 || !told_word(c, 12, &n) || (int32_t)n < 0)
		return -1;
	return n > 16 ? 16 : (long)n;
#endif
}

static void
fuzz_groups(void)
{
	const size_t capacity = capacities[input_byte() % CAPACITIES];
	uint32_t *groups = malloc(capacity * sizeof(*groups)), group;
	size_t count, offset, i;
	long told;
	int error, credible;

	memset(groups, UNTOUCHED, capacity * sizeof(*groups));
	memset(&count, UNTOUCHED, sizeof(count));
	error = cpeercred_groups(3, groups, capacity, &count);
	const struct call *c = last_call();
	told = told_groups(&offset);
	credible = told >= 0;
	for (i = 0; credible && i < (size_t)told; i++)
		credible = is_id(c, offset + 4 * i, &group);
#if defined(__linux__)
	/* The kernel's length says that there is more than fits. */
	if (c->error == ERANGE) {
		PROMISE(error == ERANGE && count == c->length / 4, "the number of groups is the kernel's");
		goto done;
	}
	credible = credible && (size_t)told <= capacity;
#else
	if (credible && (size_t)told > capacity) {
		PROMISE(error == ERANGE && count == (size_t)told, "the number of groups is the kernel's");
		goto done;
	}
#endif
	if (check_outcome(error, credible, &count, sizeof(count))) {
		PROMISE(count == (size_t)told && count <= capacity, "the number of groups is the kernel's, and fits");
		for (i = 0; i < count; i++)
			PROMISE(told_word(c, offset + 4 * i, &group) && groups[i] == group, "the groups are those that the kernel wrote");
	}
done:
	free(groups);
}
#endif

#if defined(__linux__)
static void
fuzz_security_label(void)
{
	const size_t capacity = 4 * capacities[input_byte() % CAPACITIES];
	char *label = malloc(capacity);
	size_t length, n = 0;
	int error, credible = 0;

	memset(label, UNTOUCHED, capacity);
	memset(&length, UNTOUCHED, sizeof(length));
	error = cpeercred_security_label(3, label, capacity, &length);
	const struct call *c = last_call();
	if (c->error == ERANGE) {
		PROMISE(error == ERANGE && length == c->length, "the length of the label is the kernel's");
		goto done;
	}
	if (c->result != -1 && c->length <= capacity) {
		n = c->length; /* what was not written is NUL in bytes */
		if (n > 0 && c->bytes[n - 1] == '\0')
			n--;
		if (n > 0 && c->bytes[0] == '\0')
			n = 0;
		credible = memchr(c->bytes, '\0', n) == NULL;
	}
	if (check_outcome(error, credible, &length, sizeof(length)))
		PROMISE(length == n && memcmp(label, c->bytes, n) == 0, "the label is what the kernel wrote");
done:
	free(label);
}

static void
fuzz_open_process(void)
{
	int pidfd, error;
	int32_t told = -1;
	const struct call *c;

	memset(&pidfd, UNTOUCHED, sizeof(pidfd));
	error = cpeercred_open_process(3, &pidfd);
	c = call_of_option(SOL_SOCKET, CPEERCRED_SO_PEERPIDFD);
	int credible = c != NULL && c->length == sizeof(int) && is_pid(c, 0, 0, &told) && last_call()->result != -1;
	if (check_outcome(error, credible, &pidfd, sizeof(pidfd)))
		PROMISE(pidfd == told && descriptor_is_open(pidfd) && last_call()->kind == FCNTL && last_call()->option == F_SETFL,
		    "the pidfd is the kernel's, and does not block");
	else
		PROMISE(descriptors_open() == 0, "a descriptor that is not returned is closed");
}

static void
fuzz_process_exited(void)
{
	int exited, error;
	short events;
	const struct call *c;

	memset(&exited, UNTOUCHED, sizeof(exited));
	error = cpeercred_process_exited(3, &exited);
	c = last_call();
	memcpy(&events, c->bytes, sizeof(events));
	PROMISE(c->error != EINTR, "poll is asked again after a signal");
	if (error == EBADF && c->result != -1) {
		PROMISE(events & POLLNVAL, "EBADF is what poll calls POLLNVAL");
		check_untouched(&exited, sizeof(exited));
		return;
	}
	if (check_outcome(error, c->result != -1 && !(events & (POLLNVAL | POLLERR)) && c->result == (events != 0), &exited, sizeof(exited)))
		PROMISE(exited == (events != 0), "a process has exited when poll says so");
}

/* Whether the structure is a credible answer to the question in mask. */
static int
is_info(const struct call *c, uint64_t asked)
{
	uint64_t mask = asked; /* what is not written is as it was asked */
	size_t i;

	for (i = 0; i < sizeof(mask); i++)
		if (c->written[i])
			((unsigned char *)&mask)[i] = c->bytes[i];
	return c->result != -1 && (mask & asked) == asked;
}

static void
fuzz_process_pid(void)
{
	int32_t pid, told = 0;
	int error, credible;
	const struct call *c;

	memset(&pid, UNTOUCHED, sizeof(pid));
	error = cpeercred_process_pid(3, &pid);
	c = last_call();
	if (c->error == EREMOTE)
		credible = 1;
	else
		credible = is_info(c, CPEERCRED_PIDFD_INFO_PID) && is_pid(c, offsetof(struct cpeercred_pidfd_info, tgid), 1, &told);
	if (check_outcome(error, credible, &pid, sizeof(pid)))
		PROMISE(pid == told, "the pid is the one that the kernel wrote");
}

static void
fuzz_process_ids(void)
{
	static const size_t offsets[8] = {
		offsetof(struct cpeercred_pidfd_info, ruid), offsetof(struct cpeercred_pidfd_info, euid),
		offsetof(struct cpeercred_pidfd_info, suid), offsetof(struct cpeercred_pidfd_info, fsuid),
		offsetof(struct cpeercred_pidfd_info, rgid), offsetof(struct cpeercred_pidfd_info, egid),
		offsetof(struct cpeercred_pidfd_info, sgid), offsetof(struct cpeercred_pidfd_info, fsgid),
	};
	uint32_t ids[8], told[8];
	int error, credible, i;

	memset(ids, UNTOUCHED, sizeof(ids));
	error = cpeercred_process_ids(3, ids);
	credible = is_info(last_call(), CPEERCRED_PIDFD_INFO_CREDS);
	for (i = 0; credible && i < 8; i++)
		credible = is_id(last_call(), offsets[i], &told[i]);
	if (check_outcome(error, credible, ids, sizeof(ids)))
		PROMISE(memcmp(ids, told, sizeof(ids)) == 0, "the ids are those that the kernel wrote");
}

static void
fuzz_since_boot(void)
{
	int64_t now, seconds = -1, nanoseconds = -1;
	int error, credible;
	const struct call *c;

	memset(&now, UNTOUCHED, sizeof(now));
	error = cpeercred_since_boot(&now);
	c = call_of(CLOCK, 0);
	PROMISE(c != NULL && c->option == CLOCK_BOOTTIME, "the clock is the one that runs while the machine sleeps");
	credible = told_bytes(c, 0, &seconds, 8) && told_bytes(c, 8, &nanoseconds, 8) && seconds >= 0 &&
	    seconds < INT64_MAX / 1000000000 && nanoseconds >= 0 && nanoseconds < 1000000000;
	if (check_outcome(error, credible, &now, sizeof(now)))
		PROMISE(now == seconds * 1000000000 + nanoseconds, "the time is the one that the kernel wrote");
}

static void
fuzz_signal_process(void)
{
	int error = cpeercred_signal_process(3, 0);

	(void)check_outcome(error, last_call()->result != -1, NULL, 0);
}
#endif

#if defined(__APPLE__)
static void
fuzz_audit_token(void)
{
	uint32_t token[8], word;
	int32_t pid;
	int error, credible;
	size_t i;

	memset(token, UNTOUCHED, sizeof(token));
	error = cpeercred_audit_token(3, token);
	const struct call *c = call_of_option(SOL_LOCAL, LOCAL_PEERTOKEN);
	/* auid euid egid ruid rgid pid asid pidversion */
	credible = is_unix() && c != NULL && c->length == sizeof(token) && is_pid(c, 4 * 5, 1, &pid) && is_id(c, 4 * 7, &word);
	for (i = 1; credible && i <= 4; i++)
		credible = is_id(c, 4 * i, &word);
	if (check_outcome(error, credible, token, sizeof(token)))
		for (i = 0; i < 8; i++) /* the audit id and session may be unset, which is -1 */
			PROMISE(token[i] == (told_word(c, 4 * i, &word) ? word : NO_ID), "the token is what the kernel wrote");
}
#endif

static void (*const functions[])(void) = {
	fuzz_credentials, fuzz_kind, fuzz_check_unix_family, fuzz_check_can_have_peer, fuzz_answers_for_caller, fuzz_socketpair,
#if defined(__linux__) || defined(HAS_XUCRED) || defined(__sun)
	fuzz_groups,
#endif
#if defined(__linux__)
	fuzz_security_label, fuzz_open_process, fuzz_process_exited, fuzz_process_pid, fuzz_process_ids, fuzz_signal_process, fuzz_since_boot,
#endif
#if defined(__APPLE__)
	fuzz_audit_token,
#endif
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	kernel_begin(data + 1, size - 1);
	functions[data[0] % (sizeof(functions) / sizeof(functions[0]))]();
	PROMISE(nothing_allocated(), "everything that the kernel allocated is freed");
	return 0;
}
