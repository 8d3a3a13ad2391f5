#pragma once
#include <sys/types.h>
#define NGROUPS 16
