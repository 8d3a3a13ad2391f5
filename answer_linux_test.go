//go:build !android

package peercred_test

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/peercred/internal/seccomp"
)

// callAnswer is the forged result of system calls, and what they write.
type callAnswer struct {
	Numbers []uintptr      // the calls
	When    int            // the number of the call, from 1; 0 means every call
	Made    bool           // the call is made, and Writes overwrites its output
	Errno   syscall.Errno  // the error, or 0
	Result  int64          // the result without an error; if Made, 0 leaves that of the call
	Writes  map[int][]byte // by argument, from 1: the bytes to write where it points
}

// notification is struct seccomp_notif (linux/seccomp.h).
type notification struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	address    uint64
	arguments  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id, value    uint64
	error, flags int32
}

// give makes the kernel give this answer to the calls of this thread. It locks the goroutine
// to the thread, and cannot be undone. It requires Linux 5.0.
//
// Source: seccomp_unotify(2).
func (a callAnswer) give() error {
	runtime.LockOSThread()
	// A thread that waits for its answer does not stop for a garbage collection. So there are no
	// collections, and another thread answers.
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	locked, listener := make(chan struct{}), make(chan int)
	go func() {
		runtime.LockOSThread() // this thread has no filter
		close(locked)
		a.serve(<-listener)
	}()
	<-locked
	var program []unix.SockFilter
	for _, number := range a.Numbers {
		program = append(program, seccomp.Any(number).Program(unix.SECCOMP_RET_USER_NOTIF)...)
	}
	// A signal that interrupts the call as it gets its answer would lose the answer. With the
	// second flag, of Linux 5.19, it waits.
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	fd, err := seccomp.Install(program, flags)
	if errors.Is(err, unix.EINVAL) {
		fd, err = seccomp.Install(program, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	if err != nil {
		return err
	}
	listener <- int(fd)
	return nil
}

func (a callAnswer) serve(listener int) {
	for n := 1; ; {
		asked := notification{}
		switch errno := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&asked)); errno {
		case 0:
		case unix.EINTR, unix.ENOENT: // interrupted by a signal: the call is made again
			continue
		default:
			panic("ioctl(SECCOMP_IOCTL_NOTIF_RECV): " + errno.Error())
		}
		answer := response{id: asked.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if a.When == 0 || a.When == n {
			answer = a.answer(asked)
		}
		if ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)) == 0 {
			n++
		}
	}
}

func (a callAnswer) answer(asked notification) response {
	args, result := asked.arguments, response{id: asked.id, value: uint64(a.Result), error: -int32(a.Errno)}
	if a.Made {
		r, _, errno := unix.Syscall6(uintptr(asked.number), uintptr(args[0]), uintptr(args[1]), uintptr(args[2]), uintptr(args[3]), uintptr(args[4]), uintptr(args[5]))
		result.error = -int32(errno)
		if a.Result == 0 {
			result.value = uint64(r)
		}
	}
	if result.error != 0 {
		result.value = 0
	}
	for argument, bytes := range a.Writes {
		local := []unix.Iovec{{Base: &bytes[0]}}
		local[0].SetLen(len(bytes))
		remote := []unix.RemoteIovec{{Base: uintptr(args[argument-1]), Len: len(bytes)}}
		if _, err := unix.ProcessVMWritev(unix.Getpid(), local, remote, 0); err != nil {
			panic(fmt.Sprintf("write to argument %d: %v", argument, err))
		}
	}
	return result
}

func ioctl(fd int, command uintptr, argument unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), command, uintptr(argument))
	return errno
}
