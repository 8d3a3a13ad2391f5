/*
 * The kernel's answers, call by call, if there is no input. This file includes no header of
 * a system, because the kernel and the programs that ask it have different headers.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stddef.h>
#include <stdint.h>

/* A call's answer: an errno, or the bytes written and a length. */
struct reply {
	int error;
	uint32_t length;
	size_t written;
	unsigned char bytes[128];
};

/* A call that fails and does not set errno. */
#define NO_ERRNO 9999

/* The kind of a socket's name. LONG is the longest that NetBSD lets a process bind. */
enum name { FAILS = -1, NAMELESS, NAMED, NUL, FOREIGN, CUT_SHORT, LONG };

struct script {
	int family_error, family, type; /* of the socket itself */
	struct reply replies[4];        /* to the calls that write a value, in their order */
	int eid_error;                  /* of getpeereid */
	uint32_t euid, egid;
	int name_error, own, peer;      /* of the names after the family */

	/*
	 * Not 0 if the socket is a TCP socket of the family over loopback, from port 80 to
	 * 4242. Then the first two replies are the answers of the netlink socket, whose length
	 * is the result, the third is TCP_INFO, and the fourth SO_ORIGINAL_DST. The type is the
	 * errno of SO_ORIGINAL_DST for a socket of the shim's own, and family_error the device.
	 * All else is honest.
	 */
	int loopback;

	/*
	 * Not 0 if a message is received. Then the first reply is its control messages, the
	 * second its size and flags, and the third its sender's name. The fourth is the control
	 * messages of a message on a socket of the shim's own. The type is the socket's.
	 */
	int message;

	/* The first question, and the descriptor that was closed last. */
	int level, option, closed;

	/* The first that was sent to the kernel, and its size. */
	unsigned char question[128];
	size_t asked;
};

/* Starts over, with a script. */
void kernel_follow(struct script *script);

/* How many of the descriptors that the kernel handed out are open. */
size_t descriptors_open(void);
/* Whether nothing that the kernel allocated is left. */
int nothing_allocated(void);

/* Says which promise was broken, and aborts. */
_Noreturn void broken(const char *promise);

#endif
