//go:build linux || darwin || freebsd || dragonfly || netbsd

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// getsockopt is getsockopt(2), which fills the size bytes at p and returns how
// many it wrote or, with ERANGE, how many it would write. The wrappers of x/sys hide
// that length, and zero the buffer where ours is poisoned. RawSyscall, since no option
// asked here can block.
//
// On linux/386 and linux/s390x the kernel has it as a system call of its own
// since 4.3; older ones answer ENOSYS.
func getsockopt(fd, level, option int, p unsafe.Pointer, size uintptr) (length uint32, err error) {
	if err := checkDescriptor(fd); err != nil {
		return 0, err
	}
	written := uint32(size)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT,
		uintptr(fd), uintptr(level), uintptr(option),
		uintptr(p), uintptr(unsafe.Pointer(&written)), 0)
	if errno != 0 {
		return written, errno
	}
	return written, nil
}

// socketOption is an option at SOL_SOCKET that is an int, never -1.
func socketOption(fd, option int) (value int, err error) {
	v := int32(-1)
	length, err := getsockopt(fd, unix.SOL_SOCKET, option, unsafe.Pointer(&v), unsafe.Sizeof(v))
	if err != nil {
		return 0, err
	}
	return decodeInt(v, length)
}
