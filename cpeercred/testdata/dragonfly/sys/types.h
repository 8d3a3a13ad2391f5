#pragma once
typedef int pid_t;
typedef unsigned uid_t, gid_t, socklen_t;
typedef unsigned char sa_family_t;
