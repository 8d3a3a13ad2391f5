//go:build darwin || freebsd || dragonfly || netbsd

package native

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// askName is getsockname(2) or getpeername(2), named by the number of its system
// call. The wrappers of x/sys return EINVAL for a name that is longer than sun_path,
// which NetBSD and macOS let a process bind; the C shims take those names. length is
// what the kernel says that it wrote. RawSyscall, since neither call can block.
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

// addressFamily asks getsockname(2), since not every one of these systems has
// SO_DOMAIN.
func addressFamily(fd int) (family int, err error) {
	name, _, err := askName(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		return 0, err
	}
	return name.addressFamily(runtime.GOOS), nil
}
