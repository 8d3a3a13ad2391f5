package native

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// GroupsCall names the kernel's call behind [Groups].
const GroupsCall = "getsockopt(SO_PEERGROUPS)"

// fewGroups is room for the groups of most processes, maxGroups more than any
// can have (NGROUPS_MAX is 65,536).
const (
	fewGroups = 64
	maxGroups = 1 << 20
)

// Groups returns the supplementary groups of the process at the other end of the
// Unix socket fd, captured with its [Credentials] and in the kernel's order; not
// nil when there are none. The effective gid is not among them, unless it is a
// supplementary group too. A group that our user namespace does not map is the
// overflow id, 65534.
//
// The error is ENOTCONN for a socket without a peer (Linux says ENODATA), EBADF,
// ENOTSOCK, EPROTO for an answer that the kernel did not fill as its headers say,
// and errors.ErrUnsupported for a Linux before 4.13.
//
// Source: sk_getsockopt in net/core/sock.c.
func Groups(fd int) ([]uint32, error) {
	var few [fewGroups]uint32
	groups := few[:]
	for {
		poisonIDs(groups)
		size := uintptr(len(groups)) * unsafe.Sizeof(groups[0])
		length, err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS, unsafe.Pointer(&groups[0]), size)
		switch {
		case err == nil:
			return decodeGroups(groups, length)
		case !errors.Is(err, unix.ERANGE):
			return nil, groupsError(err)
		}
		count := uintptr(length) / unsafe.Sizeof(groups[0])
		if count <= uintptr(len(groups)) || count > maxGroups {
			return nil, unix.EPROTO
		}
		groups = make([]uint32, count)
	}
}

func groupsError(err error) error {
	switch {
	case errors.Is(err, unix.ENODATA):
		return unix.ENOTCONN
	case errors.Is(err, unix.ENOPROTOOPT):
		return unsupportedError("this kernel does not have it; Linux has it since 4.13")
	}
	return err
}
