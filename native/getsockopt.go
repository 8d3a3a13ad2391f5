//go:build linux || darwin || freebsd || dragonfly || netbsd

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// getsockopt is getsockopt(2), which fills the size bytes at p and returns how
// many it wrote. The wrappers of x/sys hide that length, and zero the buffer
// where ours is poisoned. RawSyscall, since no option asked here can block.
//
// On linux/386 and linux/s390x the kernel has it as a system call of its own
// since 4.3; older ones answer ENOSYS.
func getsockopt(fd, level, option int, p unsafe.Pointer, size uintptr) (length uint32, err error) {
	if err := checkDescriptor(fd); err != nil {
		return 0, err
	}
	length = uint32(size)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT,
		uintptr(fd), uintptr(level), uintptr(option),
		uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0, errno
	}
	return length, nil
}
