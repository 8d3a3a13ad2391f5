//go:build linux && cgo

package main

/*
#define _GNU_SOURCE
#include <sys/socket.h>

#cgo noescape peer_uids
#cgo nocallback peer_uids

// What the kernel and libc cost, without Go.
static unsigned peer_uids(int fd, long n)
{
	unsigned sum = 0;

	while (n-- > 0) {
		struct ucred cred = { 0 };
		socklen_t len = sizeof(cred);

		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
			return (unsigned)-1;
		sum += cred.uid;
	}
	return sum;
}
*/
import "C"

import (
	"example.com/peercred/benchmarks/internal/order"
	"example.com/peercred/cpeercred"
)

// addCgo adds what only a build with cgo has.
func (g *group) addCgo(fd int) {
	g.add(order.Limit, order.CLoop, order.Bare, timed(func(n int) { total += uint32(C.peer_uids(C.int(fd), C.long(n))) }))
	g.add(order.Limit, order.BareCgo, order.Bare, timed(func(n int) {
		for range n {
			total += uint32(C.peer_uids(C.int(fd), 1))
		}
	}))
	g.add(order.Ours, order.CLeaf, order.Bare, timed(func(n int) {
		for range n {
			_, uid, _, err := cpeercred.Credentials(fd)
			must(err)
			total += uid
		}
	}))
}
