#pragma once
int fcntl(int, int, ...);
#define F_SETFD 2
#define FD_CLOEXEC 1
