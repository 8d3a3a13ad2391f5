#pragma once
#include <stddef.h>
_Noreturn void abort(void);
void free(void *);
void *malloc(size_t);
