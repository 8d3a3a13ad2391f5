/*
 * Asks one system's shims the questions of native's tests ("make test-shims"), on a kernel
 * that follows a script.
 *
 * It reads a line for each question from stdin and prints a line for each answer: see ask().
 * The shims and the kernel are compiled with their system's headers. This file is compiled
 * with the machine's headers.
 */
#include "../../cpeercred.h"

#include <stdio.h>
#include <string.h>

#include "script.h"

static struct script told;

enum { WROTE_PAST = -99 };

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
	return scanf("%d %d %d", &told.family_error, &told.family, &told.type) == 3;
}

/*
 * Reads "SOCKET REPLY REPLY EID_ERROR EUID EGID NAME_ERROR OWN PEER" and prints "ERRNO PID
 * UID GID LEVEL OPTION". The outputs begin as 7 8 9. A failure must not change them.
 */
static int
ask_credentials(void)
{
	struct cpeercred_reply reply = { 0, { 7, 8, 9 } };

	if (!read_socket() ||
	    !read_reply(&told.replies[0]) || !read_reply(&told.replies[1]) ||
	    scanf("%d %u %u %d %d %d", &told.eid_error, &told.euid, &told.egid,
	    &told.name_error, &told.own, &told.peer) != 6)
		return 0;
	kernel_follow(&told);
	cpeercred_credentials(3, &reply);
	printf("%d %d %u %u %d %d\n", reply.error, reply.ids.pid, reply.ids.uid, reply.ids.gid, told.level, told.option);
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

/* The number of words: n, or 7 for a failure that did not change them. */
static size_t
handed_out(int error, const uint32_t *words, size_t n)
{
	size_t i;

	for (i = 0; error != 0 && i < n && words[i] == 0; i++)
		;
	return error != 0 && i == n ? 7 : n;
}

/*
 * Receives a message into a byte, and control messages into capacity bytes. The words are the
 * fields of the message, how many descriptors are open, and the label, the control messages
 * and the name of the sender's socket.
 */
static int
ask_message(size_t capacity, uint32_t *words)
{
	unsigned char payload[1], control[128];
	struct cpeercred_received r;
	int error = cpeercred_receive(3, payload, sizeof(payload), control, capacity, 1, &r);
	unsigned char *bytes = (unsigned char *)(words + 11);

	if (error != 0) {
		if (descriptors_open() != 0)
			broken("nothing of a message that is lost is left open");
		return error;
	}
	const uint32_t fields[] = {
		(uint32_t)r.n, (uint32_t)r.ids.pid, r.ids.uid, r.ids.gid, (uint32_t)r.pidfd, (uint32_t)r.pidfd_error, (uint32_t)r.end,
		(uint32_t)descriptors_open(), (uint32_t)r.label, (uint32_t)r.control, (uint32_t)r.name,
	};
	memcpy(words, fields, sizeof(fields));
	if (r.end)
		return 0;
	memcpy(bytes, control + r.label_at, r.label);
	memcpy(bytes + r.label, control + r.control_at, r.control);
	memcpy(bytes + r.label + r.control, r.from, r.name);
	return 0;
}

/*
 * Reads "CAPACITY SOCKET REPLY REPLY REPLY REPLY" and prints "ERRNO COUNT LEVEL OPTION CLOSED
 * HEX". CLOSED is the descriptor that the shim closed, or -1. HEX is what the shim returned.
 * COUNT begins as 7. A failure other than ERANGE must not change it. COUNT is 8 for a token
 * or a process's ids, also if a failure has changed them. It is 2 for the time since boot,
 * and 1 for the one word of the others. ERRNO is WROTE_PAST if the shim wrote past its room.
 */
static int
ask_list(char fact)
{
	static uint32_t room[100] __attribute__((aligned(8)));
	static const unsigned char fence[sizeof(room[0])] = { 0xa5, 0xa5, 0xa5, 0xa5 };
	size_t capacity, count = 7, size = sizeof(room[0]);
	int error;

	told.own = NAMED;
	if (scanf("%zu", &capacity) != 1 || !read_socket() ||
	    !read_reply(&told.replies[0]) || !read_reply(&told.replies[1]) || !read_reply(&told.replies[2]) || !read_reply(&told.replies[3]))
		return 0;
	kernel_follow(&told);
	/* What is in the buffer before the call would read as root, or as a label. */
	memset(room, fact == 'l' ? '!' : 0, sizeof(room));
	switch (fact) {
	case 'g':
		memcpy(room + capacity, fence, sizeof(fence));
		error = cpeercred_groups(3, room, capacity, &count);
		if (memcmp(room + capacity, fence, sizeof(fence)) != 0)
			error = WROTE_PAST;
		break;
	case 'l':
		size = 1;
		memcpy((char *)room + capacity, fence, sizeof(fence));
		error = cpeercred_security_label(3, (char *)room, capacity, &count);
		if (memcmp((char *)room + capacity, fence, sizeof(fence)) != 0)
			error = WROTE_PAST;
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
	case 'u': /* the first word is 1 and the second the uid, and the question follows */
		told.loopback = 1;
		told.own = 0;
		told.peer = 0;
		error = cpeercred_loopback_peer_uid(3, room + 1);
		room[0] = error == 0;
		count = handed_out(error, room, 2);
		memcpy(room + 2, told.question, told.asked);
		if (error == 0)
			count += told.asked / size;
		break;
	case 'm':
		told.message = 1;
		error = ask_message(capacity, room);
		count = handed_out(error, room, sizeof(room) / sizeof(room[0]));
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
	printf("%d %zu %d %d %d ", error, count, told.level, told.option, told.closed);
	print_hex(room, error == 0 ? count * size : 0);
	printf("\n");
	return 1;
}

/*
 * A question is a letter and its rest. The letters are c for credentials, g groups, l label,
 * t token, o to open a process, e whether it exited, p its pid, i its ids, b the time since
 * boot, k the kind of a socket, f whether its family is Unix, h whether it can have a peer,
 * a whether the kernel answers for the caller, u the uid of a loopback peer, and m a message.
 */
static int
ask(void)
{
	char fact;
	int answered;

	if (scanf(" %c", &fact) != 1)
		return 0;
	memset(&told, 0, sizeof(told));
	answered = fact == 'c' ? ask_credentials() : ask_list(fact);
	if (!nothing_allocated() || (fact != 'o' && fact != 'u' && fact != 'm' && descriptors_open() != 0))
		broken("nothing is left");
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
