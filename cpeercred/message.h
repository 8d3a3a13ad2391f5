/*
 * Declarations of asm/socket.h and linux/socket.h, for C libraries without the headers of
 * Linux. testdata/linuxheaders.c compares them with those.
 */
#ifndef CPEERCRED_MESSAGE_H
#define CPEERCRED_MESSAGE_H

#if defined(__sparc__)
#define CPEERCRED_SO_PASSPIDFD 0x0055
#elif defined(__hppa__)
#define CPEERCRED_SO_PASSPIDFD 0x404A
#else
#define CPEERCRED_SO_PASSPIDFD 76
#endif

#define CPEERCRED_SCM_SECURITY 3
#define CPEERCRED_SCM_PIDFD 4

#endif
