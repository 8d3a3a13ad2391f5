//go:build linux

package main

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// getsockopt makes the system call without any checks.
func getsockopt[T any](fd, option int) (value T, err error) {
	length := uint32(unsafe.Sizeof(value))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, uintptr(option),
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return value, errno
	}
	return value, nil
}

func bareCredentials(fd int) (uint32, error) {
	cred, err := getsockopt[unix.Ucred](fd, unix.SO_PEERCRED)
	return cred.Uid, err
}

// controlledCredentials asks within Control, which keeps the descriptor from being closed
// and reused during the call.
func controlledCredentials(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var uid uint32
	var asked error
	if err := raw.Control(func(fd uintptr) { uid, asked = bareCredentials(int(fd)) }); err != nil {
		return 0, err
	}
	return uid, asked
}

func bareProcess(fd int) error {
	pidfd, err := getsockopt[int32](fd, unix.SO_PEERPIDFD)
	if err != nil {
		return err
	}
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(pidfd), 0, 0)
	return nil
}
