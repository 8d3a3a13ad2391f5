package main

import (
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
			sink += cred.Uid
		}
	}
}

func bareGroups(fd int) func(n int) {
	return func(n int) {
		for range n {
			var groups [64]uint32
			length, errno := getsockopt(fd, unix.SO_PEERGROUPS, unsafe.Pointer(&groups), unsafe.Sizeof(groups))
			if errno != 0 {
				must(errno)
			}
			sink += length
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
			sink += length
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

// sink keeps the compiler from leaving out what nobody looks at.
var sink uint32
