/*
 * A kernel that answers as it is told, linked to one system's shim in place of
 * libc: so every shim runs where the tests run ("make test-shims").
 *
 * It reads a line per question from stdin and prints a line per answer, see
 * ask(). The shim is compiled with its system's headers, this with the headers
 * of the machine.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

struct cpeercred_ids {
	int32_t pid;
	uint32_t uid, gid;
};
struct cpeercred_reply {
	int error;
	struct cpeercred_ids ids;
};
void cpeercred_credentials(int fd, struct cpeercred_reply *reply);

/* Which not every system has. */
#define OPTIONAL __attribute__((weak))
OPTIONAL int cpeercred_groups(int fd, uint32_t *groups, size_t capacity, size_t *count);
OPTIONAL int cpeercred_security_label(int fd, char *label, size_t capacity, size_t *length);
OPTIONAL int cpeercred_open_process(int fd, int *pidfd);
OPTIONAL int cpeercred_process_exited(int pidfd, int *exited);
OPTIONAL int cpeercred_process_pid(int pidfd, int32_t *pid);
OPTIONAL int cpeercred_process_ids(int pidfd, uint32_t ids[8]);
OPTIONAL int cpeercred_since_boot(int64_t *nanoseconds);
OPTIONAL int cpeercred_audit_token(int fd, uint32_t token[8]);
OPTIONAL int cpeercred_kind(int fd, int *kind);
OPTIONAL int cpeercred_check_can_have_peer(int fd);
OPTIONAL int cpeercred_answers_for_caller(int *answers);

/* One system call's answer: an errno, or the bytes written and a length. */
struct reply {
	int error;
	unsigned length;
	size_t written;
	unsigned char bytes[128];
};

static struct {
	int family_error, family, socket_type; /* of the socket itself */
	struct reply option[2]; /* the first getsockopt, and the second */
	int eid_error;
	uint32_t euid, egid;
	int name_error, own_name, peer_name; /* as name() has them */
} told;

static int questions;          /* calls of getsockopt so far, but for SO_TYPE */
static int names_asked;        /* calls of getsockname so far */
static int level_asked, option_asked;
static int closed;             /* the last descriptor that the shim closed */

/* errno, under the names that the systems' headers give it. */
static int system_errno;
int *__error(void) { return &system_errno; }
int *__errno(void) { return &system_errno; }

/* An error that stands for a call that fails and leaves errno alone. */
#define UNTOLD 9999

static int
fail(int error)
{
	errno = system_errno = error == UNTOLD ? 0 : error;
	return -1;
}

/* Of which it has no opinion. */
OPTIONAL int cpeercred_check_packet_ends(void) { return 0; }

/* Unless socket.c is there. */
OPTIONAL int
cpeercred_check_unix_family(int fd)
{
	(void)fd;
	if (told.family_error != 0)
		return told.family_error;
	return told.family == AF_UNIX ? 0 : EAFNOSUPPORT;
}

/* SO_TYPE of macOS and the BSDs, whose SOL_SOCKET no other system has. */
static int
asks_type(int level, int option)
{
	return level == 0xffff && option == 0x1008;
}

int
getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	struct reply *r = &told.option[questions < 1 ? 0 : 1];

	(void)fd;
	if (asks_type(level, option)) {
		memcpy(value, &told.socket_type, sizeof(told.socket_type));
		return 0;
	}
	if (questions++ == 0) {
		level_asked = level;
		option_asked = option;
	}
	if (r->error == 0)
		memcpy(value, r->bytes, r->written < *length ? r->written : *length);
	*length = r->length; /* with ERANGE, too */
	return r->error != 0 ? fail(r->error) : 0;
}

/* Each call of poll takes the next reply: its bytes are the events, its length the count. */
int
poll(struct pollfd *p, nfds_t n, int timeout)
{
	struct reply *r = &told.option[questions < 1 ? 0 : 1];

	(void)n, (void)timeout;
	questions++;
	if (r->error != 0)
		return fail(r->error);
	memcpy(&p->revents, r->bytes, r->written < sizeof(p->revents) ? r->written : sizeof(p->revents));
	return (int)r->length;
}

/* The first reply's bytes go over the structure that the command encodes the size of. */
int
ioctl(int fd, unsigned long command, ...)
{
	struct reply *r = &told.option[0];
	size_t size = command >> 16 & 0x3fff;
	va_list arguments;

	(void)fd;
	option_asked = (int)command;
	if (r->error != 0)
		return fail(r->error);
	va_start(arguments, command);
	memcpy(va_arg(arguments, void *), r->bytes, r->written < size ? r->written : size);
	va_end(arguments);
	return 0;
}

/* Of open_process: the second reply's error is that of the command that its length names. */
int
fcntl(int fd, int command, ...)
{
	(void)fd;
	return told.option[1].error != 0 && told.option[1].length == (unsigned)command ? fail(told.option[1].error) : 0;
}

/* The first reply's bytes go over the structure. */
int
clock_gettime(clockid_t clock, struct timespec *now)
{
	struct reply *r = &told.option[0];

	option_asked = (int)clock;
	if (r->error != 0)
		return fail(r->error);
	memcpy(now, r->bytes, r->written < sizeof(*now) ? r->written : sizeof(*now));
	return 0;
}

int
close(int fd)
{
	closed = fd;
	return 0;
}

int
getpeereid(int fd, uint32_t *euid, uint32_t *egid)
{
	(void)fd;
	if (told.eid_error != 0)
		return fail(told.eid_error);
	*euid = told.euid;
	*egid = told.egid;
	return 0;
}

/* A BSD's address begins with its length and its family. It is cut to the room there is. */
static void
tell_address(struct sockaddr *address, socklen_t *length, int family, const char *path, size_t size)
{
	unsigned char bytes[255];

	memset(bytes, path[0], sizeof(bytes));
	bytes[0] = (unsigned char)size;
	bytes[1] = (unsigned char)family;
	if (*length > size)
		*length = (socklen_t)size;
	/* What is behind the length would be a name. */
	memcpy(address, bytes, *length < 3 ? 3 : *length);
}

/* What a socket's name is. LONG is the longest that NetBSD lets a process bind. */
enum { FAILS = -1, NAMELESS, NAMED, NUL, FOREIGN, CUT_SHORT, LONG };

static int
name(struct sockaddr *address, socklen_t *length, int kind)
{
	static const size_t sizes[] = { [NAMELESS] = 2, [NAMED] = 3, [NUL] = 3, [FOREIGN] = 3, [CUT_SHORT] = 1, [LONG] = 255 };

	if (kind == FAILS)
		return fail(told.name_error);
	tell_address(address, length, kind == FOREIGN ? AF_INET : AF_UNIX, kind == NUL ? "" : "/", sizes[kind]);
	return 0;
}

/* The family is asked first, the name (by NetBSD's shim) afterwards. */
int
getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	(void)fd;
	if (names_asked++ > 0)
		return name(address, length, told.own_name);
	if (told.family_error != 0)
		return fail(told.family_error);
	tell_address(address, length, told.family, "/", told.own_name == LONG ? 255 :
	    told.own_name == CUT_SHORT || told.family == AF_UNSPEC ? 0 : 16);
	return 0;
}

/* The names that the headers of Darwin and NetBSD give these. */
int _getsockname(int fd, struct sockaddr *address, socklen_t *length);
int _getsockname(int fd, struct sockaddr *address, socklen_t *length) { return getsockname(fd, address, length); }
int _close(int fd);
int _close(int fd) { return close(fd); }
int _fcntl(int fd, int command, ...);
int _fcntl(int fd, int command, ...) { return fcntl(fd, command); }
int _socketpair(int domain, int type, int protocol, int *pair);
int _socketpair(int domain, int type, int protocol, int *pair) { return socketpair(domain, type, protocol, pair); }
int __socket30(int domain, int type, int protocol);
int __socket30(int domain, int type, int protocol) { return socket(domain, type & 0xf, protocol); } /* without its SOCK_CLOEXEC */

int
getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	(void)fd;
	return name(address, length, told.peer_name);
}

/* illumos: pid, uid and gid are the first bytes of the first reply; without any bytes it succeeds and gives no ucred. */
static uint32_t
word(size_t offset)
{
	uint32_t v;

	memcpy(&v, told.option[0].bytes + offset, sizeof(v));
	return v;
}

int
getpeerucred(int fd, void **ucred)
{
	(void)fd;
	if (told.option[0].error != 0)
		return fail(told.option[0].error);
	*ucred = told.option[0].written > 0 ? &told : NULL;
	return 0;
}

int32_t ucred_getpid(const void *ucred) { (void)ucred; return (int32_t)word(0); }
uint32_t ucred_geteuid(const void *ucred) { (void)ucred; return word(4); }
uint32_t ucred_getegid(const void *ucred) { (void)ucred; return word(8); }
void ucred_free(void *ucred) { (void)ucred; }

/* The second reply is the groups, and its length how many of them. */
int
ucred_getgroups(const void *ucred, const uint32_t **groups)
{
	static uint32_t list[sizeof(told.option[1].bytes) / sizeof(uint32_t)];

	(void)ucred;
	memcpy(list, told.option[1].bytes, sizeof(list));
	*groups = told.option[1].written > 0 ? list : NULL;
	return (int)told.option[1].length;
}

/* Reads "ERROR LENGTH HEX", where HEX is - for no bytes. */
static int
read_reply(struct reply *r)
{
	char hex[2 * sizeof(r->bytes) + 1];
	unsigned byte;

	memset(r, 0, sizeof(*r));
	if (scanf("%d %i %256s", &r->error, (int *)&r->length, hex) != 3)
		return 0;
	while (sscanf(hex + 2 * r->written, "%2x", &byte) == 1)
		r->bytes[r->written++] = (unsigned char)byte;
	return 1;
}

/* Reads "FAMILY_ERROR FAMILY TYPE". */
static int
read_socket(void)
{
	return scanf("%d %d %d", &told.family_error, &told.family, &told.socket_type) == 3;
}

/*
 * Reads "SOCKET REPLY REPLY EID_ERROR EUID EGID NAME_ERROR OWN PEER" and
 * prints "ERRNO PID UID GID LEVEL OPTION". The outputs begin as 7 8 9, which a
 * failure must leave alone.
 */
static int
ask_credentials(void)
{
	struct cpeercred_reply reply = { 0, { 7, 8, 9 } };

	if (!read_socket() ||
	    !read_reply(&told.option[0]) || !read_reply(&told.option[1]) ||
	    scanf("%d %u %u %d %d %d", &told.eid_error, &told.euid, &told.egid,
	    &told.name_error, &told.own_name, &told.peer_name) != 6)
		return 0;
	cpeercred_credentials(3, &reply);
	printf("%d %d %u %u %d %d\n", reply.error, reply.ids.pid, reply.ids.uid, reply.ids.gid, level_asked, option_asked);
	return 1;
}

static void
print_hex(const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	size_t i;

	if (n == 0)
		printf("-");
	for (i = 0; i < n; i++)
		printf("%02x", b[i]);
}

/* How many words: n, or 7 of a failure that left them alone. */
static size_t
handed_out(int error, const uint32_t *words, size_t n)
{
	size_t i;

	for (i = 0; error != 0 && i < n && words[i] == 0; i++)
		;
	return error != 0 && i == n ? 7 : n;
}

/*
 * Reads "CAPACITY SOCKET REPLY REPLY" and prints "ERRNO COUNT LEVEL OPTION
 * CLOSED HEX", where CLOSED is the descriptor that the shim closed, -1 if none, and
 * HEX what it handed out. COUNT begins as 7, which a failure
 * other than ERANGE must leave alone. It is 8 for a token or a process's ids, also
 * where a failure has touched them; 2 for the time since boot; and 1 for the one word
 * of the others. ERRNO is
 * -1 if the shim wrote past its room.
 */
static int
ask_list(char fact)
{
	static uint32_t room[33] __attribute__((aligned(8)));
	static const unsigned char fence[sizeof(room[0])] = { 0xa5, 0xa5, 0xa5, 0xa5 };
	size_t capacity, count = 7, size = sizeof(room[0]);
	int error;

	told.own_name = NAMED;
	if (scanf("%zu", &capacity) != 1 || !read_socket() ||
	    !read_reply(&told.option[0]) || !read_reply(&told.option[1]))
		return 0;
	/* What the shim finds in the buffer would be root, or a label. */
	memset(room, fact == 'l' ? '!' : 0, sizeof(room));
	switch (fact) {
	case 'g':
		memcpy(room + capacity, fence, sizeof(fence));
		error = cpeercred_groups(3, room, capacity, &count);
		if (memcmp(room + capacity, fence, sizeof(fence)) != 0)
			error = -1;
		break;
	case 'l':
		size = 1;
		memcpy((char *)room + capacity, fence, sizeof(fence));
		error = cpeercred_security_label(3, (char *)room, capacity, &count);
		if (memcmp((char *)room + capacity, fence, sizeof(fence)) != 0)
			error = -1;
		break;
	case 't':
		error = cpeercred_audit_token(3, room);
		count = handed_out(error, room, 8);
		break;
	case 'i':
		error = cpeercred_process_ids(3, room);
		count = handed_out(error, room, 8);
		break;
	case 'o':
		error = cpeercred_open_process(3, (int *)room);
		count = handed_out(error, room, 1);
		break;
	case 'e':
		error = cpeercred_process_exited(3, (int *)room);
		count = handed_out(error, room, 1);
		break;
	case 'p':
		error = cpeercred_process_pid(3, (int32_t *)room);
		count = handed_out(error, room, 1);
		break;
	case 'b':
		error = cpeercred_since_boot((int64_t *)room);
		count = handed_out(error, room, 2);
		break;
	case 'k':
		error = cpeercred_kind(3, (int *)room);
		count = handed_out(error, room, 1);
		break;
	case 'f':
		error = cpeercred_check_unix_family(3);
		count = handed_out(error, room, 1);
		break;
	case 'h':
		error = cpeercred_check_can_have_peer(3);
		count = handed_out(error, room, 1);
		break;
	case 'a':
		error = cpeercred_answers_for_caller((int *)room);
		count = handed_out(error, room, 1);
		break;
	default:
		return 0;
	}
	printf("%d %zu %d %d %d ", error, count, level_asked, option_asked, closed);
	print_hex(room, error == 0 ? count * size : 0);
	printf("\n");
	return 1;
}

/*
 * A question is c for credentials, g groups, l label, t token, o a process opened, e
 * whether it exited, p its pid or i its ids, b the time since boot, k what a socket is, f whether
 * its family is Unix, h whether it can have a peer, a whether the kernel answers for the caller, and its rest.
 */
static int
ask(void)
{
	char fact;
	int answered;

	if (scanf(" %c", &fact) != 1)
		return 0;
	questions = names_asked = level_asked = option_asked = 0;
	closed = -1;
	errno = system_errno = EL2HLT; /* which means nothing unless a call fails */
	answered = fact == 'c' ? ask_credentials() : ask_list(fact);
	fflush(stdout);
	return answered;
}

int
main(void)
{
	while (ask())
		;
	return 0;
}
