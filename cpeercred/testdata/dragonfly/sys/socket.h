#pragma once
#include <sys/types.h>

struct sockaddr {
	unsigned char sa_len;
	sa_family_t sa_family;
	char sa_data[14];
};
struct sockaddr_storage {
	unsigned char ss_len;
	sa_family_t ss_family;
	char ss_room[126] __attribute__((aligned(8)));
};

#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 28
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#define SOCK_CLOEXEC 0x10000000
#define SOL_SOCKET 0xffff
#define SO_ACCEPTCONN 0x0002
#define SO_TYPE 0x1008

int getsockname(int, struct sockaddr *restrict, socklen_t *restrict);
int getsockopt(int, int, int, void *restrict, socklen_t *restrict);
int socket(int, int, int);
int socketpair(int, int, int, int *);
