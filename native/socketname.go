//go:build darwin || freebsd || dragonfly || netbsd

package native

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// askName calls getsockname(2) or getpeername(2), given the number of the system call. The
// wrappers of x/sys return EINVAL for a name that is longer than sun_path. NetBSD and macOS
// let a process bind such a name, and the C shims accept it. The length is what the kernel
// says that it wrote. RawSyscall is enough, because neither call can block.
func askName(fd int, call uintptr) (name socketName, length uint32, err error) {
	if err := checkDescriptor(fd); err != nil {
		return name, 0, err
	}
	length = uint32(unsafe.Sizeof(name))
	_, _, errno := unix.RawSyscall(call,
		uintptr(fd), uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&length)))
	if errno != 0 {
		return name, 0, errno
	}
	return name, length, nil
}

// family calls getsockname(2), because not all of these systems have SO_DOMAIN.
func (sockets) family(fd int) (int, error) {
	name, _, err := askName(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		return 0, err
	}
	return name.addressFamily(runtime.GOOS), nil
}
