/*
 * A kernel that answers a shim as the fuzzer's input or a script (see script.h) says, and
 * records its answers. It is compiled with the system's own headers, like the shim. fuzz.c
 * and ask.c drive it.
 */
#ifndef KERNEL_H
#define KERNEL_H

#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#elif defined(__NetBSD__)
#define _NETBSD_SOURCE
#elif defined(__sun)
#define __EXTENSIONS__
#elif defined(_AIX)
#define _ALL_SOURCE
#elif defined(__linux__)
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/param.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__DragonFly__)
#define HAS_XUCRED
#include <sys/ucred.h>
#elif defined(__sun)
#include <ucred.h>
#endif
#if defined(__APPLE__)
#include <mach/message.h>
#endif
#if defined(__linux__)
#include <poll.h>
#include <time.h>
#include <netinet/tcp.h>
#include "../../pidfd.h"
#include "../../inetdiag.h"
#include "../../message.h"
#endif

#ifndef SOL_LOCAL
#define SOL_LOCAL 0
#endif

#include "script.h"

#define NO_ID UINT32_MAX

/* The kind of a call. */
enum call_kind {
	GETSOCKOPT, GETSOCKNAME, GETPEERNAME, GETPEEREID, GETPEERUCRED, SOCKET, SOCKETPAIR,
	FCNTL, IOCTL, POLL, SIGNAL, BIND, CONNECT, CLOCK, SENDTO, RECVFROM, RECVMSG
};

/* The longest answer, to SO_PEERGROUPS and SO_PEERSEC. */
#define ROOM 512

/* One call, and the kernel's answer. */
struct call {
	enum call_kind kind;
	int level, option;            /* of getsockopt */
	int result, error;            /* -1 and the errno, or another result and 0 */
	size_t length;                /* as told; whatever it is, no more than capacity was written */
	size_t capacity;              /* as asked */
	unsigned char bytes[ROOM];    /* what was written, */
	unsigned char written[ROOM];  /* and where */
};

/* Starts over. The input decides all answers from now on. */
void kernel_begin(const uint8_t *input, size_t size);

/* The next byte of the input, 0 once it has ended. */
uint8_t input_byte(void);
/* A word that begins with the ends of the types. */
uint32_t input_word(uint32_t usual);

/* The nth call of this kind, and the last of an option; NULL if there was none. */
const struct call *call_of(enum call_kind kind, size_t nth);
const struct call *call_of_option(int level, int option);
const struct call *last_call(void);

/* The word at an offset, if the kernel wrote all of it and counted it. */
int told_word(const struct call *c, size_t offset, uint32_t *word);
int told_bytes(const struct call *c, size_t offset, void *to, size_t n);

/* Whether a descriptor that the kernel handed out is open. */
int descriptor_is_open(int fd);

#endif
