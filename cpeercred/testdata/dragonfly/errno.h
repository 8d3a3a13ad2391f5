#pragma once
int *__error(void);
#define errno (*__error())

#define EINVAL 22
#define ERANGE 34
#define ENOTSOCK 38
#define ENOPROTOOPT 42
#define EAFNOSUPPORT 47
#define ENOTCONN 57
#define EPROTO 92
