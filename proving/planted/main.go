// Command planted executes the bug that its argument names. A sanitizer must catch it. It
// also prints the linked libc.
package main

/*
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__GLIBC__)
#include <gnu/libc-version.h>
static const char *libc(void) { return gnu_get_libc_version(); }
#else
static const char *libc(void) { return NULL; }
#endif

// Volatile, because a compiler would otherwise optimise the read away.
static int
beyond(void)
{
	volatile char *p = calloc(1, 8);
	int c = p[8];

	free((void *)p);
	return c;
}

static int
overflow(int n)
{
	return INT_MAX - 1 + n;
}

static void
uninitialized(void)
{
	volatile int *p = malloc(sizeof(*p));

	if (*p != 0)
		puts("a branch");
	free((void *)p);
}
*/
import "C"

import (
	"fmt"
	"os"
	"sync"
)

func race() (n int) {
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { n++ })
	}
	both.Wait()
	return n
}

func main() {
	switch os.Args[1] {
	case "libc":
		if version := C.libc(); version != nil {
			fmt.Println("glibc", C.GoString(version))
		} else {
			fmt.Println("musl")
		}
	case "beyond":
		fmt.Println(C.beyond())
	case "overflow":
		fmt.Println(C.overflow(C.int(len(os.Args))))
	case "uninitialized":
		C.uninitialized()
	case "race":
		fmt.Println(race())
	default:
		os.Exit(2)
	}
}
