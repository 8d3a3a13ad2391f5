//go:build linux

package main

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The limits: the kernel's own answers, without anything that makes them safe.

// getsockopt is the system call and nothing else.
func getsockopt(fd, option int, p unsafe.Pointer, size uintptr) (length uint32, errno unix.Errno) {
	length = uint32(size)
	_, _, errno = unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, uintptr(option),
		uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	return length, errno
}

func bare(fd int) func(n int) {
	return func(n int) {
		for range n {
			var cred unix.Ucred
			if _, errno := getsockopt(fd, unix.SO_PEERCRED, unsafe.Pointer(&cred), unsafe.Sizeof(cred)); errno != 0 {
				must(errno)
			}
			total += cred.Uid
		}
	}
}

// bareControl is the least that package net makes of it: for the time of the call the
// descriptor cannot be closed, and so become another's.
func bareControl(conn *net.UnixConn) func(n int) {
	return func(n int) {
		for range n {
			total += askWithinControl(conn)
		}
	}
}

// askWithinControl is not to be inlined into a function so large that the compiler
// inlines nothing into it, SyscallConn least of all, which allocates then.
//
//go:noinline
func askWithinControl(conn *net.UnixConn) uint32 {
	raw, err := conn.SyscallConn()
	must(err)
	var cred unix.Ucred
	var errno unix.Errno
	must(raw.Control(func(fd uintptr) {
		_, errno = getsockopt(int(fd), unix.SO_PEERCRED, unsafe.Pointer(&cred), unsafe.Sizeof(cred))
	}))
	if errno != 0 {
		must(errno)
	}
	return cred.Uid
}

func bareGroups(fd int) func(n int) {
	return func(n int) {
		for range n {
			var groups [64]uint32
			length, errno := getsockopt(fd, unix.SO_PEERGROUPS, unsafe.Pointer(&groups), unsafe.Sizeof(groups))
			if errno != 0 {
				must(errno)
			}
			total += length
		}
	}
}

func bareLabel(fd int) func(n int) {
	return func(n int) {
		for range n {
			var label [256]byte
			length, errno := getsockopt(fd, unix.SO_PEERSEC, unsafe.Pointer(&label), unsafe.Sizeof(label))
			if errno != 0 {
				must(errno)
			}
			total += length
		}
	}
}

func bareProcess(fd int) func(n int) {
	return func(n int) {
		for range n {
			pidfd := int32(-1)
			_, errno := getsockopt(fd, unix.SO_PEERPIDFD, unsafe.Pointer(&pidfd), unsafe.Sizeof(pidfd))
			if errno != 0 {
				must(errno)
			}
			unix.RawSyscall(unix.SYS_CLOSE, uintptr(pidfd), 0, 0)
		}
	}
}

// total keeps the compiler from leaving out what nobody looks at: repeat prints
// it.
var total uint32
