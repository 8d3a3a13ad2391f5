//go:build cgo && (linux || darwin || freebsd || dragonfly || solaris)

package cpeercred

/*
#cgo noescape cpeercred_groups
#cgo nocallback cpeercred_groups
#include "cpeercred.h"
*/
import "C"

import (
	"runtime"
	"syscall"
)

// GroupsCall names the system's call behind [Groups].
const GroupsCall = C.CPEERCRED_GROUPS_CALL

// fewGroups is room for the groups of most processes, maxGroups more than any
// can have (NGROUPS_MAX is 65,536 on Linux).
const (
	fewGroups = 64
	maxGroups = 1 << 20
)

// Groups returns the supplementary groups of the process at the other end of the
// Unix socket fd, captured with its [Credentials] and in the kernel's order; not
// nil when there are none. The effective gid is not among them, unless it is a
// supplementary group too. Where the system tells them in a struct xucred (macOS,
// FreeBSD, DragonFly) there are at most 15, and further ones are left out.
//
// The error is ENOTCONN for a socket without a peer (also where Linux says
// ENODATA), the errnos of Credentials elsewhere, EPROTO for an answer that the
// kernel did not fill as its headers say, and errors.ErrUnsupported for a Linux
// before 4.13.
func Groups(fd int) ([]uint32, error) {
	if !isDescriptor(fd) {
		return nil, syscall.EBADF
	}
	var few [fewGroups]uint32
	groups := few[:]
	for {
		var count C.size_t
		errno := syscall.Errno(C.cpeercred_groups(C.int(fd), (*C.uint32_t)(&groups[0]), C.size_t(len(groups)), &count))
		switch {
		case errno == 0:
			told := make([]uint32, count)
			copy(told, groups)
			return told, nil
		case errno != syscall.ERANGE:
			return nil, groupsError(errno)
		case count <= C.size_t(len(groups)) || count > maxGroups:
			return nil, syscall.EPROTO
		}
		groups = make([]uint32, count)
	}
}

func groupsError(errno syscall.Errno) error {
	if runtime.GOOS == "linux" && errno == syscall.ENOPROTOOPT {
		return unsupportedError("this kernel does not have it; Linux has it since 4.13")
	}
	return errno
}
