//go:build linux || darwin || freebsd || dragonfly || netbsd

package native

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// getsockopt calls getsockopt(2), which fills the size bytes at p. It returns how many bytes
// the kernel wrote or, with ERANGE, how many it would write. The wrappers of x/sys hide that
// length, and zero the buffer instead of poisoning it. RawSyscall is enough, because none of
// these options can block.
//
// linux/386 and linux/s390x have this system call since Linux 4.3. Older kernels answer
// ENOSYS.
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

// socketOption returns an option at SOL_SOCKET that is an int and never -1.
func socketOption(fd, option int) (value int, err error) {
	v := int32(-1)
	length, err := getsockopt(fd, unix.SOL_SOCKET, option, unsafe.Pointer(&v), unsafe.Sizeof(v))
	if err != nil {
		return 0, err
	}
	return decodeInt(v, length)
}
