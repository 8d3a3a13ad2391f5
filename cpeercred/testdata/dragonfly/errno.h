#pragma once
int *__error(void);
#define errno (*__error())

#define EPERM 1
#define ESRCH 3
#define EINTR 4
#define EBADF 9
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EINVAL 22
#define EMFILE 24
#define ENOTTY 25
#define EDOM 33
#define ERANGE 34
#define ENOTSOCK 38
#define ENOPROTOOPT 42
#define EOPNOTSUPP 45
#define EAFNOSUPPORT 47
#define ENOBUFS 55
#define ENOTCONN 57
#define EPROTO 92
