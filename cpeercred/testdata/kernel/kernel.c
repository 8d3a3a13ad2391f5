#include "kernel.h"

/* The script, which decides instead of the input if it is not NULL. */
static struct script *script;
static size_t replies_told, names_told;

/* The next reply to a call that writes a value. The last one repeats. */
static const struct reply *
next_reply(void)
{
	const size_t last = sizeof(script->replies) / sizeof(script->replies[0]) - 1;

	return &script->replies[replies_told < last ? replies_told++ : last];
}

/* Records the first question. */
static void
note(int level, int option)
{
	if (script != NULL && replies_told == 0) {
		script->level = level;
		script->option = option;
	}
}

/*
 * The input. Zeroes, and everything beyond its end, mean an honest kernel. So every other
 * byte is a lie.
 */
static const uint8_t *input, *input_end;

uint8_t
input_byte(void)
{
	return input < input_end ? *input++ : 0;
}

static uint32_t
input_raw(void)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 4; i++)
		v = v << 8 | input_byte();
	return v;
}

uint32_t
input_word(uint32_t usual)
{
	const uint32_t ends[] = {
		usual, 0, 1, INT32_MAX, (uint32_t)INT32_MAX + 1, NO_ID - 1, NO_ID, 65534, 65535, 65536
	};
	uint8_t which = input_byte();

	return which < sizeof(ends) / sizeof(ends[0]) ? ends[which] : input_raw();
}

/* The record. A shim that asks more often than this overwrites the last call. */
static struct call calls[32];
static size_t ncalls;

static struct call *
record(enum call_kind kind)
{
	struct call *c;

	if (ncalls < sizeof(calls) / sizeof(calls[0]))
		ncalls++;
	c = &calls[ncalls - 1];
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	return c;
}

const struct call *
call_of(enum call_kind kind, size_t nth)
{
	size_t i;

	for (i = 0; i < ncalls; i++)
		if (calls[i].kind == kind && nth-- == 0)
			return &calls[i];
	return NULL;
}

const struct call *
call_of_option(int level, int option)
{
	size_t i;

	for (i = ncalls; i-- > 0;)
		if (calls[i].kind == GETSOCKOPT && calls[i].level == level && calls[i].option == option)
			return &calls[i];
	return NULL;
}

const struct call *
last_call(void)
{
	return ncalls > 0 ? &calls[ncalls - 1] : NULL;
}

int
told_bytes(const struct call *c, size_t offset, void *to, size_t n)
{
	size_t i;

	if (c == NULL || c->error != 0 || c->result == -1 || offset + n > c->length || offset + n > sizeof(c->bytes))
		return 0;
	for (i = offset; i < offset + n; i++)
		if (!c->written[i])
			return 0;
	memcpy(to, c->bytes + offset, n);
	return 1;
}

int
told_word(const struct call *c, size_t offset, uint32_t *word)
{
	return told_bytes(c, offset, word, sizeof(*word));
}

int dprintf(int fd, const char *format, ...);

void
broken(const char *promise)
{
	size_t i;

	dprintf(2, "broken promise: %s\n", promise);
	for (i = 0; i < ncalls; i++)
		dprintf(2, "  call %zu: kind %d level %d option %d: result %d errno %d length %zu of %zu\n", i, (int)calls[i].kind,
		    calls[i].level, calls[i].option, calls[i].result, calls[i].error, calls[i].length, calls[i].capacity);
	abort();
}

/* The same function, under another name from a system's headers. */
#define ALSO(name, function) extern __typeof__(function) name __attribute__((alias(#function)))

static int error_of_shim;
int *kernel___errno(void);
int *kernel___errno(void) { return &error_of_shim; }
ALSO(kernel___error, kernel___errno);
ALSO(kernel___errno_location, kernel___errno);

/* The ways in which an answer can be wrong. */
enum lie { FAIL = 1, PATCH = 2, CUT = 4, HOLES = 8, LENGTH = 16, RESULT = 32 };

static int
input_errno(void)
{
	static const int errnos[] = {
		EPERM, EINTR, ENOBUFS, EBADF, ENOTCONN, EINVAL, ERANGE, ESRCH, ENOTSOCK, ENOPROTOOPT,
		EAFNOSUPPORT, EOPNOTSUPP, EPROTO, ENOMEM, EACCES, EFAULT, ENOTTY, EMFILE,
#if defined(__linux__)
		ENODATA, EREMOTE,
#endif
		0, /* a failure without an errno */
	};

	return errnos[input_byte() % (sizeof(errnos) / sizeof(errnos[0]))];
}

/* Returns the result of the call, and sets errno. */
static int
finish(struct call *c, unsigned lies, int result)
{
	error_of_shim = EDOM; /* stale, after a success */
	c->result = result;
	if (lies & FAIL) {
		c->result = -1;
		c->error = error_of_shim = input_errno();
	} else if (lies & RESULT) {
		c->result = 1 + input_byte();
	}
	return c->result;
}

static int
fail(struct call *c, int error)
{
	c->error = error_of_shim = error == NO_ERRNO ? 0 : error;
	return c->result = -1;
}

/* Writes a reply, and returns what the call returns if it does not fail. */
static int
follow(struct call *c, const struct reply *reply, void *value, int result)
{
	size_t n = reply->written < c->capacity ? reply->written : c->capacity;

	c->length = reply->length;
	if (reply->error != 0)
		return fail(c, reply->error);
	memcpy(value, reply->bytes, n);
	memcpy(c->bytes, reply->bytes, n);
	memset(c->written, 1, n);
	return finish(c, 0, result);
}

/* Writes whole words, as a kernel writes fields. No shim could detect half a word. */
static void
write_answer(struct call *c, unsigned lies, void *value, unsigned char *answer, size_t size)
{
	size_t i, n = size < c->capacity ? size : c->capacity, patches = lies & PATCH ? 1 + input_byte() % 4u : 0;
	uint32_t holes, word;

	for (; patches > 0 && size >= 4; patches--) {
		size_t at = input_byte() % (size / 4) * 4;
		memcpy(&word, answer + at, 4);
		word = input_word(word ^ 1u << input_byte() % 32);
		memcpy(answer + at, &word, 4);
	}
	if (lies & CUT)
		n = n < 4 ? 0 : input_byte() % (n / 4) * 4;
	holes = lies & HOLES ? input_raw() : 0;
	for (i = 0; i < n; i++) {
		if (holes >> i / 4 % 32 & 1)
			continue;
		((unsigned char *)value)[i] = answer[i];
		if (i < ROOM) {
			c->bytes[i] = answer[i];
			c->written[i] = 1;
		}
	}
}

/* The length that the kernel reports. The call may have written less. */
static uint32_t
told_length(unsigned lies, size_t size)
{
	const uint32_t n = (uint32_t)size;

	if (!(lies & LENGTH))
		return n;
	switch (input_byte() % 8) {
	case 0: return 0;
	case 1: return n - 1;
	case 2: return n + 1;
	case 3: return n - 4;
	case 4: return n + 4;
	case 5: return 2 * n;
	case 6: return input_byte();
	default: return input_word(4);
	}
}

/* The kernel may write so much: AddressSanitizer must agree. */
static void
touch(const void *value, size_t size)
{
	const volatile unsigned char *p = value;
	size_t i;

	for (i = 0; i < size; i++)
		(void)p[i];
}

/* The process at the other end, which an honest kernel would report in every call. */
static uint32_t peer_pid, peer_uid, peer_gid;

/* The open descriptors. A child of the process inherits those that are not close-on-exec. */
enum { FIRST_DESCRIPTOR = 100 };
static struct { int fd, inherited; } handed_out[16];
static size_t nhanded_out;

static void
hand_out(int fd, int inherited)
{
	if (nhanded_out == sizeof(handed_out) / sizeof(handed_out[0]))
		return;
	handed_out[nhanded_out].fd = fd;
	handed_out[nhanded_out++].inherited = inherited;
}

/* The index of an open descriptor, or nhanded_out. */
static size_t
index_of(int fd)
{
	size_t i;

	for (i = 0; i < nhanded_out && handed_out[i].fd != fd; i++)
		;
	return i;
}

size_t
descriptors_open(void)
{
	return nhanded_out;
}

int
descriptor_is_open(int fd)
{
	return index_of(fd) < nhanded_out;
}

int kernel_close(int fd);
int
kernel_close(int fd)
{
	size_t i = index_of(fd);

	if (i == nhanded_out)
		broken("what is closed is one's own, and is closed once");
	if (handed_out[i].inherited)
		broken("every descriptor is close-on-exec");
	handed_out[i] = handed_out[--nhanded_out];
	if (script != NULL)
		script->closed = fd;
	return 0;
}
ALSO(kernel__close, kernel_close);

static void
put_word(unsigned char *answer, size_t offset, uint32_t word)
{
	memcpy(answer + offset, &word, sizeof(word));
}

/* What an honest kernel answers to an option. */
static size_t
honest_option(int level, int option, unsigned char *answer, size_t capacity)
{
	size_t i, n;

	if (level == SOL_SOCKET && option == SO_TYPE) {
		static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW };
		put_word(answer, 0, (uint32_t)types[input_byte() % 4]);
		return 4;
	}
	if (level == SOL_SOCKET && option == SO_ACCEPTCONN) {
		put_word(answer, 0, input_byte() & 1);
		return 4;
	}
#if defined(__linux__)
	if (level == SOL_SOCKET && option == SO_DOMAIN) {
		static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
		put_word(answer, 0, (uint32_t)families[input_byte() % 4]);
		return 4;
	}
	if (level == SOL_SOCKET && option == SO_PEERCRED) {
		put_word(answer, offsetof(struct ucred, pid), peer_pid);
		put_word(answer, offsetof(struct ucred, uid), peer_uid);
		put_word(answer, offsetof(struct ucred, gid), peer_gid);
		return sizeof(struct ucred);
	}
	if (level == SOL_SOCKET && option == SO_PEERGROUPS) {
		n = input_byte() % 80;
		for (i = 0; i < n; i++)
			put_word(answer, 4 * i, (uint32_t)(100 + i));
		return 4 * n;
	}
	if (level == SOL_SOCKET && option == SO_PEERSEC) {
		n = input_byte();
		memset(answer, 'l', n);
		if (n > 0 && input_byte() & 1)
			answer[n - 1] = '\0';
		if (n > 0 && input_byte() & 1)
			answer[input_byte() % n] = '\0';
		return n;
	}
	if (level == SOL_SOCKET && option == CPEERCRED_SO_PEERPIDFD) {
		put_word(answer, 0, FIRST_DESCRIPTOR);
		return 4;
	}
#elif defined(HAS_XUCRED)
	if (level == SOL_LOCAL && option == LOCAL_PEERCRED) {
		short groups = (short)(1 + input_byte() % 16);
		put_word(answer, offsetof(struct xucred, cr_version), XUCRED_VERSION);
		put_word(answer, offsetof(struct xucred, cr_uid), peer_uid);
		memcpy(answer + offsetof(struct xucred, cr_ngroups), &groups, sizeof(groups));
		put_word(answer, offsetof(struct xucred, cr_groups), peer_gid);
		for (i = 1; i < 16; i++)
			put_word(answer, offsetof(struct xucred, cr_groups) + 4 * i, (uint32_t)(100 + i));
#if defined(__FreeBSD__)
		put_word(answer, offsetof(struct xucred, cr_pid), peer_pid);
#endif
		return sizeof(struct xucred);
	}
#if defined(__APPLE__)
	if (level == SOL_LOCAL && option == LOCAL_PEERPID) {
		put_word(answer, 0, peer_pid);
		return 4;
	}
	if (level == SOL_LOCAL && option == LOCAL_PEERTOKEN) {
		const uint32_t token[8] = { NO_ID, peer_uid, peer_gid, 501, 20, peer_pid, 100005, 12 };
		memcpy(answer, token, sizeof(token));
		return sizeof(token);
	}
#endif
#elif defined(__OpenBSD__)
	if (level == SOL_SOCKET && option == SO_PEERCRED) {
		put_word(answer, offsetof(struct sockpeercred, uid), peer_uid);
		put_word(answer, offsetof(struct sockpeercred, gid), peer_gid);
		put_word(answer, offsetof(struct sockpeercred, pid), peer_pid);
		return sizeof(struct sockpeercred);
	}
#elif defined(__NetBSD__)
	if (level == SOL_LOCAL && option == LOCAL_PEEREID) {
		put_word(answer, offsetof(struct unpcbid, unp_pid), peer_pid);
		put_word(answer, offsetof(struct unpcbid, unp_euid), peer_uid);
		put_word(answer, offsetof(struct unpcbid, unp_egid), peer_gid);
		return sizeof(struct unpcbid);
	}
#elif defined(_AIX)
	if (level == SOL_SOCKET && option == SO_PEERID) {
		put_word(answer, offsetof(struct peercred_struct, pid), peer_pid);
		put_word(answer, offsetof(struct peercred_struct, euid), peer_uid);
		put_word(answer, offsetof(struct peercred_struct, egid), peer_gid);
		return sizeof(struct peercred_struct);
	}
#endif
	(void)i, (void)n, (void)capacity;
	broken("an option is asked that this system has");
}

static void
hand_out_pidfd(const struct call *c)
{
#if defined(__linux__)
	uint32_t descriptor;

	if (c->option == CPEERCRED_SO_PEERPIDFD && c->length == 4 && told_word(c, 0, &descriptor) && descriptor <= INT32_MAX)
		hand_out((int)descriptor, 0);
#else
	(void)c;
#endif
}

#if defined(__linux__)
static void
option_of_loopback(struct call *c, int is_own, void *value)
{
	const struct reply untracked = { .error = script->type };
	const struct reply protocol = { .length = 4, .written = 4, .bytes = { IPPROTO_TCP } };
	struct reply device = { .length = 4, .written = 4 };
	const struct reply cookie = { .length = 8, .written = 8, .bytes = { 1 } };

	memcpy(device.bytes, &script->family_error, sizeof(script->family_error));
	if (c->level == IPPROTO_TCP && c->option == TCP_INFO)
		follow(c, &script->replies[2], value, 0);
	else if (c->level == (is_own || script->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6) && c->option == CPEERCRED_SO_ORIGINAL_DST)
		follow(c, is_own ? &untracked : &script->replies[3], value, 0);
	else if (c->level == SOL_SOCKET && c->option == SO_PROTOCOL)
		follow(c, &protocol, value, 0);
	else if (c->level == SOL_SOCKET && c->option == CPEERCRED_SO_BINDTOIFINDEX)
		follow(c, &device, value, 0);
	else if (c->level == SOL_SOCKET && (c->option == CPEERCRED_SO_NETNS_COOKIE || c->option == CPEERCRED_SO_COOKIE))
		follow(c, &cookie, value, 0);
	else
		broken("an option is asked that a loopback connection has");
}
#endif

static void
option_as_scripted(struct call *c, int fd, void *value)
{
#if defined(__linux__)
	if (script->loopback) {
		option_of_loopback(c, descriptor_is_open(fd), value);
		return;
	}
#else
	(void)fd;
#endif
	if (script->message && c->option == SO_TYPE) {
		struct reply type = { .length = sizeof(script->type), .written = sizeof(script->type) };
		memcpy(type.bytes, &script->type, sizeof(script->type));
		follow(c, &type, value, 0);
		return;
	}
#if !defined(__linux__)
	if (c->level == SOL_SOCKET && c->option == SO_TYPE) {
		struct reply type = { .length = sizeof(script->type), .written = sizeof(script->type) };
		memcpy(type.bytes, &script->type, sizeof(script->type));
		follow(c, &type, value, 0);
		return;
	}
#endif
	note(c->level, c->option);
	follow(c, next_reply(), value, 0);
}

int kernel_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int
kernel_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	struct call *c = record(GETSOCKOPT);
	unsigned char answer[ROOM] = { 0 };
	unsigned lies = input_byte();
	size_t size;

	c->level = level;
	c->option = option;
	c->capacity = *length;
	touch(value, c->capacity);
	if (script != NULL) {
		option_as_scripted(c, fd, value);
		*length = (socklen_t)c->length;
		hand_out_pidfd(c);
		return c->result;
	}
	size = honest_option(level, option, answer, c->capacity);
#if defined(__linux__)
	if ((option == SO_PEERGROUPS || option == SO_PEERSEC) && size > c->capacity) {
		*length = (socklen_t)(c->length = told_length(lies, size));
		c->error = error_of_shim = ERANGE;
		return c->result = -1;
	}
#endif
	write_answer(c, lies, value, answer, size);
	*length = (socklen_t)(c->length = told_length(lies, size));
	finish(c, lies, 0);
	hand_out_pidfd(c);
	return c->result;
}

#if defined(__linux__)
static int
name_of_loopback(struct call *c, uint16_t port, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	*length = script->family == AF_INET ? sizeof(v4) : sizeof(v6);
	memcpy(address, script->family == AF_INET ? (void *)&v4 : (void *)&v6, *length);
	return finish(c, 0, 0);
}
#endif

/*
 * The first name that is asked for has the family. The bytes after the reported length would
 * read as a name.
 */
static int
name_as_scripted(struct call *c, enum call_kind kind, struct sockaddr *address, socklen_t *length)
{
	static const size_t sizes[] = { [NAMELESS] = 2, [NAMED] = 3, [NUL] = 3, [FOREIGN] = 3, [CUT_SHORT] = 1, [LONG] = 255 };
	const int first = kind == GETSOCKNAME && names_told++ == 0, which = kind == GETPEERNAME ? script->peer : script->own;
	const int error = first ? script->family_error : which == FAILS ? script->name_error : 0;
	struct sockaddr_un name;
	unsigned char whole[255];
	size_t size;

#if defined(__linux__)
	if (script->loopback)
		return name_of_loopback(c, kind == GETSOCKNAME ? 80 : 4242, address, length);
#endif
	if (error != 0)
		return fail(c, error);
	if (first)
		size = script->own == LONG ? 255 : script->own == CUT_SHORT || script->family == AF_UNSPEC ? 0 : 16;
	else
		size = sizes[which];
	memset(&name, '/', sizeof(name));
	memset(whole, '/', sizeof(whole));
	name.sun_family = (unsigned char)(first ? script->family : which == FOREIGN ? AF_INET : AF_UNIX);
#if defined(HAS_XUCRED) || defined(__NetBSD__) || defined(__OpenBSD__)
	name.sun_len = (unsigned char)size;
#endif
	if (!first && which == NUL)
		name.sun_path[0] = '\0';
	memcpy(whole, &name, sizeof(name));
	if (size < c->capacity)
		*length = (socklen_t)size;
	memcpy(address, whole, *length < 3 ? 3 : *length);
	return finish(c, 0, 0);
}

/*
 * A sockaddr: its family, and the first byte of a Unix socket's path. On macOS and the
 * BSDs it can be longer than the header's structure, and is cut to the room there is.
 */
static int
tell_name(enum call_kind kind, struct sockaddr *address, socklen_t *length, int named)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_UNSPEC };
	struct call *c = record(kind);
	struct sockaddr_un name;
	unsigned char whole[255];
	unsigned lies = input_byte(), form;
	size_t size = sizeof(name);

	memset(&name, 0, sizeof(name));
	c->capacity = *length;
	touch(address, c->capacity);
	if (script != NULL)
		return name_as_scripted(c, kind, address, length);
	name.sun_family = (unsigned char)families[input_byte() % 4];
	form = input_byte();
#if defined(HAS_XUCRED) || defined(__NetBSD__) || defined(__OpenBSD__)
	if (form & 2)
		size = sizeof(whole);
	name.sun_len = (unsigned char)(name.sun_family == AF_UNSPEC ? 0 : size);
#endif
	if (form & 1)
		named = !named;
	name.sun_path[0] = named ? '/' : '\0';
	memset(whole, 'n', sizeof(whole));
	memcpy(whole, &name, sizeof(name));
	if (size > c->capacity)
		size = c->capacity;
	write_answer(c, lies & ~(unsigned)PATCH, address, whole, size);
	*length = (socklen_t)(c->length = told_length(lies, size));
	return finish(c, lies & ~(unsigned)RESULT, 0);
}

int kernel_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int
kernel_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	(void)fd;
	return tell_name(GETSOCKNAME, address, length, 1);
}
ALSO(kernel__getsockname, kernel_getsockname);

int kernel_getpeername(int fd, struct sockaddr *address, socklen_t *length);
int
kernel_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	(void)fd;
	return tell_name(GETPEERNAME, address, length, 0);
}

int kernel_getpeereid(int fd, uid_t *euid, gid_t *egid);
int
kernel_getpeereid(int fd, uid_t *euid, gid_t *egid)
{
	struct call *c = record(GETPEEREID);
	unsigned char answer[8], value[8];
	unsigned lies = input_byte();

	(void)fd;
	if (script != NULL) {
		if (script->eid_error != 0)
			return fail(c, script->eid_error);
		*euid = script->euid;
		*egid = script->egid;
		return finish(c, 0, 0);
	}
	memcpy(value, euid, 4);
	memcpy(value + 4, egid, 4);
	put_word(answer, 0, peer_uid);
	put_word(answer, 4, peer_gid);
	c->capacity = c->length = sizeof(answer);
	write_answer(c, lies, value, answer, sizeof(answer));
	memcpy(euid, value, 4);
	memcpy(egid, value + 4, 4);
	return finish(c, lies & ~(unsigned)RESULT, 0);
}

/* A ucred_t is freed once, and not read afterwards. AddressSanitizer checks that. */
static size_t nallocated;

int
nothing_allocated(void)
{
	return nallocated == 0;
}

#if defined(__sun)
struct ucred_s {
	pid_t pid;
	uid_t euid;
	gid_t egid;
	int ngroups;
	gid_t *groups;
};

enum { MOST_GROUPS = 32 };

static ucred_t *
new_ucred(void)
{
	ucred_t *cred;

	if ((cred = malloc(sizeof(*cred))) == NULL || (cred->groups = malloc(MOST_GROUPS * sizeof(gid_t))) == NULL)
		abort();
	nallocated++;
	return cred;
}

/*
 * The first reply is pid, uid and gid. If it is empty, the call succeeds without a ucred. The
 * second reply is the groups, and its length is their number.
 */
static int
ucred_as_scripted(struct call *c, ucred_t **result)
{
	const struct reply *ids = next_reply(), *groups = next_reply();
	ucred_t *cred;

	if (ids->error != 0)
		return fail(c, ids->error);
	if (ids->written == 0)
		return finish(c, 0, 0);
	cred = new_ucred();
	memcpy(&cred->pid, ids->bytes, 4);
	memcpy(&cred->euid, ids->bytes + 4, 4);
	memcpy(&cred->egid, ids->bytes + 8, 4);
	cred->ngroups = (int)groups->length;
	memcpy(cred->groups, groups->bytes, MOST_GROUPS * sizeof(gid_t));
	if (groups->written == 0) {
		free(cred->groups);
		cred->groups = NULL;
	}
	*result = cred;
	return finish(c, 0, 0);
}

int kernel_getpeerucred(int fd, ucred_t **result);
int
kernel_getpeerucred(int fd, ucred_t **result)
{
	struct call *c = record(GETPEERUCRED);
	unsigned lies = input_byte();
	unsigned char answer[4 * 20] = { 0 }, value[4 * 20];
	ucred_t *cred;
	size_t n = input_byte() % 16u, i;

	(void)fd;
	if (script != NULL)
		return ucred_as_scripted(c, result);
	put_word(answer, 0, peer_pid);
	put_word(answer, 4, peer_uid);
	put_word(answer, 8, peer_gid);
	put_word(answer, 12, (uint32_t)n);
	for (i = 0; i < 16; i++)
		put_word(answer, 16 + 4 * i, (uint32_t)(100 + i));
	memset(value, 0xff, sizeof(value)); /* -1 is what the libc says for "not in this ucred" */
	c->capacity = c->length = sizeof(answer);
	write_answer(c, lies, value, answer, sizeof(answer));
	if (finish(c, lies & ~(unsigned)RESULT, 0) == -1)
		return -1;
	if (lies & RESULT) { /* success, and nothing there */
		c->length = 0;
		return 0;
	}
	cred = new_ucred();
	memcpy(&cred->pid, value, 4);
	memcpy(&cred->euid, value + 4, 4);
	memcpy(&cred->egid, value + 8, 4);
	memcpy(&cred->ngroups, value + 12, 4);
	if (cred->ngroups > 16) /* the libc counts what it has */
		cred->ngroups = 16;
	memcpy(cred->groups, value + 16, 16 * sizeof(gid_t));
	*result = cred;
	return 0;
}

pid_t kernel_ucred_getpid(const ucred_t *cred);
pid_t kernel_ucred_getpid(const ucred_t *cred) { return cred->pid; }
uid_t kernel_ucred_geteuid(const ucred_t *cred);
uid_t kernel_ucred_geteuid(const ucred_t *cred) { return cred->euid; }
gid_t kernel_ucred_getegid(const ucred_t *cred);
gid_t kernel_ucred_getegid(const ucred_t *cred) { return cred->egid; }

int kernel_ucred_getgroups(const ucred_t *cred, const gid_t **groups);
int
kernel_ucred_getgroups(const ucred_t *cred, const gid_t **groups)
{
	*groups = cred->ngroups > 0 ? cred->groups : NULL;
	return cred->ngroups;
}

void kernel_ucred_free(ucred_t *cred);
void
kernel_ucred_free(ucred_t *cred)
{
	nallocated--;
	free(cred->groups);
	free(cred);
}
#endif

#if defined(SOCK_CLOEXEC)
#define CLOSE_ON_EXEC SOCK_CLOEXEC
#else
#define CLOSE_ON_EXEC 0
#endif

int kernel_socket(int domain, int type, int protocol);
int
kernel_socket(int domain, int type, int protocol)
{
	struct call *c = record(SOCKET);

	(void)domain, (void)protocol;
	if (finish(c, input_byte() & FAIL, FIRST_DESCRIPTOR) != -1)
		hand_out(c->result, !(type & CLOSE_ON_EXEC));
	return c->result;
}
ALSO(kernel___socket30, kernel_socket);

int kernel_socketpair(int domain, int type, int protocol, int *pair);
int
kernel_socketpair(int domain, int type, int protocol, int *pair)
{
	struct call *c = record(SOCKETPAIR);
	unsigned char answer[8];
	uint32_t first, second;
	unsigned lies = input_byte();

	(void)domain, (void)protocol;
	put_word(answer, 0, FIRST_DESCRIPTOR);
	put_word(answer, 4, FIRST_DESCRIPTOR + 1);
	c->capacity = c->length = sizeof(answer);
	touch(pair, sizeof(answer));
	write_answer(c, lies, pair, answer, sizeof(answer));
	if (finish(c, lies & ~(unsigned)RESULT, 0) != -1 && told_word(c, 0, &first) && told_word(c, 4, &second) &&
	    first <= INT32_MAX && second <= INT32_MAX && first != second) {
		hand_out((int)first, !(type & CLOSE_ON_EXEC));
		hand_out((int)second, !(type & CLOSE_ON_EXEC));
	}
	return c->result;
}
ALSO(kernel__socketpair, kernel_socketpair);

int kernel_fcntl(int fd, int command, ...);
int
kernel_fcntl(int fd, int command, ...)
{
	struct call *c = record(FCNTL);

	if (!descriptor_is_open(fd))
		broken("only descriptors of the shim are changed");
	c->option = command;
#if !defined(SOCK_CLOEXEC)
	handed_out[index_of(fd)].inherited &= command != F_SETFD;
#endif
	/* The second reply's error is that of the command whose number is its length. */
	if (script != NULL && script->replies[1].error != 0 && script->replies[1].length == (uint32_t)command)
		return fail(c, script->replies[1].error);
	return finish(c, input_byte() & FAIL, 0);
}
ALSO(kernel__fcntl, kernel_fcntl);

#if defined(__linux__)
#include <stdarg.h>
#include <stdatomic.h>

int kernel_bind(int fd, const struct sockaddr *address, socklen_t length);
int
kernel_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct call *c = record(BIND);

	touch(address, length);
	if (!descriptor_is_open(fd))
		broken("what is bound is one's own");
	return finish(c, input_byte() & FAIL, 0);
}

/* An honest kernel refuses a connection to a socket that does not listen. */
int kernel_connect(int fd, const struct sockaddr *address, socklen_t length);
int
kernel_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct call *c = record(CONNECT);
	unsigned lies = input_byte();

	(void)address, (void)length; /* Linux reads no more than a sockaddr_storage */
	if (!descriptor_is_open(fd))
		broken("what is connected is one's own");
	if (finish(c, lies & ~(unsigned)RESULT, 0) != -1 && !(lies & RESULT)) {
		c->result = -1;
		c->error = error_of_shim = ECONNREFUSED;
	}
	return c->result;
}

/* What the shim remembers. */
extern atomic_int packet_ends_are_right;
extern struct {
	int open, fd;
	uint64_t cookie, netns;
	uint32_t serial;
} sock_diag;

/* Keeps the first question, which the test looks at. */
ssize_t kernel_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t length);
ssize_t
kernel_sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t length)
{
	struct call *c = record(SENDTO);

	touch(bytes, n);
	if (!descriptor_is_open(fd) || flags != 0 || to != NULL || length != 0)
		broken("the kernel is asked on one's own socket");
	if (script != NULL && script->asked == 0 && n <= sizeof(script->question)) {
		memcpy(script->question, bytes, n);
		script->asked = n;
	}
	return finish(c, 0, (int)n);
}

ssize_t kernel_recvfrom(int fd, void *bytes, size_t n, int flags, struct sockaddr *from, socklen_t *length);
ssize_t
kernel_recvfrom(int fd, void *bytes, size_t n, int flags, struct sockaddr *from, socklen_t *length)
{
	const struct cpeercred_netlink_name sender = { .family = AF_NETLINK, .pid = (uint32_t)script->own };
	const struct reply *reply = &script->replies[replies_told++ == 0 ? 0 : 1];
	struct call *c = record(RECVFROM);

	touch(bytes, n);
	if (!descriptor_is_open(fd) || flags != (MSG_DONTWAIT | MSG_TRUNC) || *length < sizeof(sender))
		broken("the kernel's answer is read without waiting");
	memcpy(from, &sender, sizeof(sender));
	*length = sizeof(sender);
	c->capacity = n;
	return follow(c, reply, bytes, (int)reply->length);
}

int kernel_setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int
kernel_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	int on = 0;

	(void)fd;
	if (length == sizeof(on))
		memcpy(&on, value, sizeof(on));
	if (level != SOL_SOCKET || on != 1)
		broken("an option is turned on");
	note(level, option);
	return 0;
}

ssize_t kernel_send(int fd, const void *bytes, size_t n, int flags);
ssize_t
kernel_send(int fd, const void *bytes, size_t n, int flags)
{
	touch(bytes, n);
	if (!descriptor_is_open(fd) || flags != 0)
		broken("what is sent to is one's own");
	return (ssize_t)n;
}

/* The descriptors in control messages are open from now on, those of the kernel's honest form. */
static void
hand_out_received(struct msghdr *m)
{
	const unsigned char *end = (const unsigned char *)m->msg_control + m->msg_controllen, *data;
	struct cmsghdr *c;
	int fd;

	for (c = CMSG_FIRSTHDR(m); c != NULL && c->cmsg_len >= CMSG_LEN(0) && c->cmsg_len <= (size_t)(end - (unsigned char *)c); c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != CPEERCRED_SCM_PIDFD))
			continue;
		for (data = CMSG_DATA(c); data + sizeof(fd) <= (unsigned char *)c + c->cmsg_len; data += sizeof(fd)) {
			memcpy(&fd, data, sizeof(fd));
			if (fd >= 0)
				hand_out(fd, 0);
		}
	}
}

ssize_t kernel_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t
kernel_recvmsg(int fd, struct msghdr *m, int flags)
{
	const int is_own = descriptor_is_open(fd);
	const struct reply *control = &script->replies[is_own ? 3 : 0], *size = &script->replies[1], *name = &script->replies[2];
	struct call *c = record(RECVMSG);

	if (flags != (MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC) || m->msg_iovlen != 1)
		broken("a message is received without waiting, close-on-exec, and with its true size");
	touch(m->msg_control, m->msg_controllen);
	touch(m->msg_iov->iov_base, m->msg_iov->iov_len);
	if (!is_own && size->error != 0)
		return fail(c, size->error);
	c->capacity = m->msg_controllen;
	(void)follow(c, control, m->msg_control, 0);
	m->msg_controllen = control->length;
	m->msg_flags = 0;
	m->msg_namelen = 0;
	if (is_own)
		return 1;
	if (m->msg_controllen <= c->capacity)
		hand_out_received(m);
	memcpy(&m->msg_flags, size->bytes, sizeof(m->msg_flags));
	memcpy(m->msg_name, name->bytes, name->written < m->msg_namelen + sizeof(struct sockaddr_un) ? name->written : sizeof(struct sockaddr_un));
	m->msg_namelen = (socklen_t)name->length;
	return (ssize_t)(int32_t)size->length;
}

int kernel_ioctl(int fd, unsigned long command, ...);
int
kernel_ioctl(int fd, unsigned long command, ...)
{
	struct call *c = record(IOCTL);
	struct cpeercred_pidfd_info info, *asked;
	unsigned lies = input_byte();
	va_list arguments;

	(void)fd;
	if (command != (unsigned long)CPEERCRED_PIDFD_GET_INFO)
		broken("what is asked of a pidfd is PIDFD_GET_INFO");
	va_start(arguments, command);
	asked = va_arg(arguments, struct cpeercred_pidfd_info *);
	va_end(arguments);
	touch(asked, sizeof(*asked));
	c->capacity = c->length = sizeof(info);
	note(0, (int)command);
	if (script != NULL)
		return follow(c, next_reply(), asked, 0);
	memset(&info, 0, sizeof(info));
	info.mask = asked->mask;
	info.pid = info.tgid = peer_pid;
	info.ruid = info.euid = info.suid = info.fsuid = peer_uid;
	info.rgid = info.egid = info.sgid = info.fsgid = peer_gid;
	write_answer(c, lies, asked, (unsigned char *)&info, sizeof(info));
	return finish(c, lies & ~(unsigned)RESULT, 0);
}

int kernel_poll(struct pollfd *p, nfds_t n, int timeout);
int
kernel_poll(struct pollfd *p, nfds_t n, int timeout)
{
	static const short events[] = { 0, POLLIN, POLLIN | POLLHUP, POLLERR, POLLIN | POLLERR, POLLNVAL, -1 };
	struct call *c = record(POLL);
	unsigned lies = input_byte();

	if (n != 1 || timeout != 0 || p->events != POLLIN)
		broken("a pidfd is polled for POLLIN, without waiting");
	c->capacity = sizeof(p->revents);
	if (script != NULL) { /* whose length is the result */
		const struct reply *reply = next_reply();
		return follow(c, reply, &p->revents, (int)reply->length);
	}
	p->revents = events[input_byte() % 7];
	memcpy(c->bytes, &p->revents, sizeof(p->revents));
	return finish(c, lies, p->revents != 0);
}

int kernel_clock_gettime(clockid_t clock, struct timespec *now);
int
kernel_clock_gettime(clockid_t clock, struct timespec *now)
{
	struct call *c = record(CLOCK);
	struct timespec honest = { .tv_sec = (time_t)input_word(434), .tv_nsec = (long)input_word(1) };
	unsigned lies = input_byte();

	c->capacity = c->length = sizeof(*now);
	c->option = (int)clock;
	touch(now, sizeof(*now));
	note(0, (int)clock);
	if (script != NULL)
		return follow(c, next_reply(), now, 0);
	/* A hole would be half a field. */
	write_answer(c, lies & ~(unsigned)HOLES, now, (unsigned char *)&honest, sizeof(honest));
	return finish(c, lies & ~(unsigned)RESULT, 0);
}

long kernel_syscall(long number, ...);
long
kernel_syscall(long number, ...)
{
	struct call *c = record(SIGNAL);

	if (number != CPEERCRED_SYS_PIDFD_SEND_SIGNAL)
		broken("the one raw system call is pidfd_send_signal");
	return finish(c, input_byte() & FAIL, 0);
}
#endif

void
kernel_begin(const uint8_t *data, size_t size)
{
	script = NULL;
	input = data;
	input_end = data + size;
	ncalls = nhanded_out = nallocated = 0;
#if defined(__linux__)
	packet_ends_are_right = 0;
	memset(&sock_diag, 0, sizeof(sock_diag));
#endif
	peer_pid = input_word(4242);
	peer_uid = input_word(1000);
	peer_gid = input_word(1001);
}

void
kernel_follow(struct script *new)
{
	kernel_begin((const uint8_t *)"", 0);
	error_of_shim = EDOM;
	script = new;
	script->level = script->option = 0;
	script->closed = -1;
	replies_told = names_told = 0;
}
