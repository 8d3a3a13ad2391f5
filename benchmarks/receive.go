//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// receiveBurst is fewer datagrams than the kernel lets wait.
const receiveBurst = 5

// receiveSubjects receive datagrams that wait already, with their senders.
func receiveSubjects() ([]subject, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	receiver, err := peercred.NewReceiver(conn, peercred.ReceiverConfig{})
	if err != nil {
		return nil, err
	}
	client, err := net.DialUnix("unixgram", nil, conn.LocalAddr().(*net.UnixAddr))
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if err := raw.Control(func(d uintptr) { fd = int(d) }); err != nil {
		return nil, err
	}
	payload, control := make([]byte, 16), make([]byte, 1024)
	receives := func(receive func() error) func(n int) time.Duration {
		return func(n int) time.Duration {
			for range n {
				_, err := client.Write(payload)
				must(err)
			}
			start := time.Now()
			for range n {
				must(receive())
			}
			return time.Since(start)
		}
	}
	bare := receives(func() error { return bareReceive(fd, payload, control) })
	const recvmsg = "recvmsg with SO_PASSCRED"
	within := func() (err error) {
		failed := raw.Read(func(d uintptr) bool { err = bareReceive(int(d), payload, control); return true })
		return errors.Join(failed, err)
	}
	same, err := sameSenderSubject()
	return []subject{
		same,
		{kernel, recvmsg, recvmsg, receiveBurst, bare, bare, nil},
		{kernel, recvmsg + " within Read", recvmsg, receiveBurst, bare, receives(within), nil},
		{ours, linkedName, recvmsg, receiveBurst, bare, receives(func() error { return linkedReceive(fd, payload, control) }), nil},
		{ours, "Receiver.Receive", recvmsg, receiveBurst, bare, receives(func() error { _, err := receiver.Receive(payload); return err }), nil},
		{others, "net.UnixConn.ReadMsgUnix", recvmsg, receiveBurst, bare, receives(func() error {
			_, _, _, _, err := conn.ReadMsgUnix(payload, control)
			return err
		}), nil},
	}, err
}

// sameSenderSubject reads from a connection whose sender is checked.
func sameSenderSubject() (subject, error) {
	reads := func(same guard.SameSender) (func(n int) time.Duration, error) {
		listener, err := guard.Listen(context.Background(), "unix", fmt.Sprintf("@peercred-bench-%d-%v", os.Getpid(), same), guard.Config{Policy: guard.CurrentUser(), SameSender: same})
		if err != nil {
			return nil, err
		}
		client, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			return nil, err
		}
		conn, err := listener.Accept()
		payload := make([]byte, 16)
		return func(n int) time.Duration {
			start := time.Now()
			for range n {
				_, err := client.Write(payload)
				must(err)
				_, err = conn.Read(payload)
				must(err)
			}
			return time.Since(start)
		}, err
	}
	plain, err := reads(guard.AnySender)
	if err != nil {
		return subject{}, err
	}
	same, err := reads(guard.SameProcess)
	return subject{serving, "Write and guard.Conn.Read with SameSender", "without", 100, plain, same, nil}, err
}

// bareReceive makes the system call, and decodes nothing.
func bareReceive(fd int, payload, control []byte) error {
	vector := unix.Iovec{Base: &payload[0]}
	vector.SetLen(len(payload))
	header := unix.Msghdr{Iov: &vector, Iovlen: 1, Control: &control[0]}
	header.SetControllen(len(control))
	_, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&header)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if errno != 0 {
		return errno
	}
	return nil
}
