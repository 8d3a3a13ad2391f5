package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reportSenders makes the kernel attach the sender to each message that the Unix socket fd
// receives from now on, and on request a pidfd of its process and its security label. A
// listening socket passes this on to the sockets that it accepts.
//
// A datagram that was sent before has no sender. So call it before bind(2). The kernel gives an unnamed socket an abstract name when it connects or sends.
//
// The error is errors.ErrUnsupported if process is true, before Linux 6.5.
//
// Source: SO_PASSCRED, SO_PASSSEC and SO_PASSPIDFD in unix(7) and net/core/sock.c.
func (system) reportSenders(fd int, process, label bool) error {
	if err := setOption(fd, unix.SO_PASSCRED); err != nil {
		return err
	}
	if label {
		if err := setOption(fd, unix.SO_PASSSEC); err != nil {
			return err
		}
	}
	if process {
		if err := setOption(fd, unix.SO_PASSPIDFD); errors.Is(err, unix.ENOPROTOOPT) {
			return unsupportedError("this kernel does not have SO_PASSPIDFD; Linux has it since 6.5")
		} else if err != nil {
			return err
		}
	}
	return nil
}

func setOption(fd, option int) error {
	if err := checkDescriptor(fd); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1)
}

// receive receives a message of the Unix socket fd without waiting, and the sender that
// [ReportSenders] asked for. The pid is that of the sender, the uid and gid are its real ids,
// each as of sendmsg(2). The pid is 0 if the process is not visible in our pid namespace. An
// id that our user namespace does not map is the overflow id, 65534.
//
// The kernel lets a process name its own pid and its real, effective or saved ids. A process
// with CAP_SYS_ADMIN, CAP_SETUID or CAP_SETGID in its user namespace may name any pid, uid or
// gid that is mapped there. The pidfd is then that of the pid that it named.
//
// The error is
//   - EAGAIN if there is no message, and EINVAL if payload is empty.
//   - EMSGSIZE if the message is longer than payload. It is lost.
//   - ENOBUFS if the control messages are longer than control. The message is lost.
//   - ENODATA if it has no sender, as without [ReportSenders]. The message is lost.
//
// Source: recvmsg(2), unix(7), include/net/scm.h and net/core/scm.c.
func (system) receive(fd int, payload, control []byte, keep bool) (Received, error) {
	return receiveMessage(fd, payload, control, keep, true)
}

// receiveMessage loses a message without a sender if check is true.
func receiveMessage(fd int, payload, control []byte, keep, check bool) (Received, error) {
	if err := checkDescriptor(fd); err != nil {
		return nothingReceived, err
	}
	if len(payload) == 0 {
		return nothingReceived, unix.EINVAL
	}
	var name unix.RawSockaddrUnix
	vector := unix.Iovec{Base: unsafe.SliceData(payload)}
	vector.SetLen(len(payload))
	header := unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&name)), Namelen: uint32(unsafe.Sizeof(name)),
		Iov: &vector, Control: unsafe.SliceData(control),
	}
	header.SetIovlen(1)
	header.SetControllen(len(control))
	n, err := recvmsg(fd, &header)
	told := int(header.Controllen)
	switch {
	case err != nil:
		return nothingReceived, err
	case told < 0 || told > len(control):
		return nothingReceived, unix.EPROTO
	}
	control = control[:told]
	r, isSender, err := decodeControl(control)
	if header.Flags&unix.MSG_CTRUNC != 0 { // the last one can be cut short
		err = unix.ENOBUFS
	}
	if err == nil {
		err = r.settle(fd, n, len(payload), int(header.Flags), isSender)
	}
	if err == nil {
		r.From, err = decodeUnixName(&name, header.Namelen)
	}
	if err == nil && !r.End && check {
		err = r.checkSender()
	}
	if err == nil && r.Pidfd != -1 { // for Go's poller
		err = unix.SetNonblock(r.Pidfd, true)
	}
	if err != nil || r.End {
		closeDescriptor(r.Pidfd)
		r = Received{Pidfd: -1, End: r.End}
	}
	if err == nil && keep && !r.End {
		r.Control = keepOthers(control)
	} else {
		closeRights(control)
	}
	return r, err
}

var nothingReceived = Received{Pidfd: -1}

// recvmsg receives the length of the whole message, even if that is more than fits.
func recvmsg(fd int, header *unix.Msghdr) (n int, err error) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC | unix.MSG_TRUNC
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(header)), flags)
		switch {
		case errno == 0:
			return int(n), nil
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}

// settle decides about a message of n bytes that was received into size bytes.
func (r *Received) settle(fd, n, size, flags int, isSender bool) (err error) {
	if flags&unix.MSG_TRUNC != 0 || n > size {
		return unix.EMSGSIZE
	}
	if n == 0 {
		r.End, err = isEnd(fd, isSender)
	}
	if err == nil && !r.End && !isSender {
		err = unix.ENODATA
	}
	r.N = n
	return err
}

// isEnd reports whether a read of no bytes is the end of the connection. At the end of a
// stream the kernel attaches a sender whose ids are all 0. A packet may be empty, and has a
// sender then.
func isEnd(fd int, isSender bool) (bool, error) {
	kind, err := socketType(fd)
	return kind == unix.SOCK_STREAM || kind == unix.SOCK_SEQPACKET && !isSender, err
}

// decodeControl decodes the control messages. isSender reports whether one has the sender.
// The pidfd is also right on an error.
func decodeControl(control []byte) (r Received, isSender bool, err error) {
	r.Pidfd = -1
	isFirst := true // of those that others may have sent, and the label
	for rest := control; len(rest) > 0 && err == nil; {
		kind, data, whole, ok := nextControl(rest)
		if !ok {
			return r, isSender, unix.EPROTO
		}
		switch kind {
		case unix.SCM_CREDENTIALS:
			err = r.decodeIDs(data, isSender)
			isSender = true
		case unix.SCM_PIDFD:
			err = r.decodePidfd(data)
		case unix.SCM_SECURITY:
			err = r.decodeLabel(data, isFirst)
			isFirst = false
		default:
			isFirst = false
		}
		rest = rest[whole:]
	}
	return r, isSender, err
}

func (r *Received) decodeIDs(data []byte, again bool) (err error) {
	cred := poisonedLinuxUcred()
	if copy(bytesOf(&cred), data); again {
		return unix.EPROTO
	}
	r.PID, r.UID, r.GID, err = cred.decode(uint32(len(data)))
	if err != nil {
		return unix.EPROTO
	}
	return nil
}

// decodeLabel decodes the label, which the kernel attaches first.
func (r *Received) decodeLabel(data []byte, isFirst bool) (err error) {
	if !isFirst {
		return unix.EPROTO
	}
	r.Label, err = decodeLabel(data, uint32(len(data)))
	if errors.Is(err, errors.ErrUnsupported) { // it is empty
		return nil
	}
	return err
}

// decodePidfd decodes a pidfd, or the negative errno that the kernel has instead.
func (r *Received) decodePidfd(data []byte) error {
	if len(data) != 4 || r.Pidfd != -1 || r.PidfdError != nil {
		return unix.EPROTO
	}
	switch word := int32(binary.NativeEndian.Uint32(data)); {
	case word >= 0:
		r.Pidfd = int(word)
	case word < -maxErrno:
		r.PidfdError = unix.EPROTO
	default:
		r.PidfdError = unix.Errno(-word)
	}
	return nil
}

// keepOthers moves the messages that are not decoded here to the beginning.
func keepOthers(control []byte) []byte {
	kept := 0
	for rest := control; ; {
		kind, _, whole, ok := nextControl(rest)
		if !ok {
			return control[:kept]
		}
		if kind != unix.SCM_CREDENTIALS && kind != unix.SCM_PIDFD && kind != unix.SCM_SECURITY {
			kept += copy(control[kept:], rest[:whole])
		}
		rest = rest[whole:]
	}
}

// nextControl returns the type of the first control message, or 0 if it is not of SOL_SOCKET,
// and its data. whole is its length with its header and with padding. ok is false if there is
// none.
func nextControl(control []byte) (kind int32, data []byte, whole int, ok bool) {
	var header unix.Cmsghdr
	copy(bytesOf(&header), control)
	size := int(header.Len) // less than a header, or more than control, if control has no header
	if size < unix.CmsgLen(0) || size > len(control) {
		return 0, nil, 0, false
	}
	if header.Level == unix.SOL_SOCKET {
		kind = header.Type
	}
	data = control[unix.CmsgLen(0):size]
	return kind, data, min(unix.CmsgSpace(len(data)), len(control)), true
}

// closeRights closes the descriptors that came with a message.
func closeRights(control []byte) {
	for {
		kind, data, whole, ok := nextControl(control)
		if !ok {
			return
		}
		for ; kind == unix.SCM_RIGHTS && len(data) >= 4; data = data[4:] {
			closeDescriptor(int(int32(binary.NativeEndian.Uint32(data))))
		}
		control = control[whole:]
	}
}

func closeDescriptor(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// decodeUnixName returns "" for no name. As in package net, "@" precedes an abstract name. The
// kernel counts a NUL after a path that fills the structure.
func decodeUnixName(name *unix.RawSockaddrUnix, length uint32) (string, error) {
	const start = unsafe.Offsetof(name.Path)
	if length <= uint32(start) {
		return "", nil
	}
	if name.Family != unix.AF_UNIX || uintptr(length) > unsafe.Sizeof(*name)+1 {
		return "", unix.EPROTO
	}
	path := bytesOf(&name.Path)
	path = path[:min(uintptr(length)-start, uintptr(len(path)))]
	if path[0] == 0 {
		return "@" + string(path[1:]), nil
	}
	path, _, _ = bytes.Cut(path, []byte{0})
	return string(path), nil
}

// checkSender returns ENODATA for what the kernel reports as the sender of a message that was
// sent before [ReportSenders]: pid 0, and the overflow ids. A sender without a pid in our pid
// namespace is right, unless our user namespace maps none of its ids either.
func (r *Received) checkSender() error {
	if r.PID != 0 {
		return nil
	}
	pid, uid, gid, err := unknownSender()
	switch {
	case err != nil:
		return err
	case pid == r.PID && uid == r.UID && gid == r.GID:
		return unix.ENODATA
	}
	return nil
}

// unknownSender asks the kernel, because the overflow ids can be changed.
func unknownSender() (pid int32, uid, gid uint32, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, 0, err
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if err := unix.Send(fds[1], []byte{0}, 0); err != nil {
		return 0, 0, 0, err
	}
	if err := setOption(fds[0], unix.SO_PASSCRED); err != nil {
		return 0, 0, 0, err
	}
	var payload [1]byte
	var control [64]byte
	r, err := receiveMessage(fds[0], payload[:], control[:], false, false)
	return r.PID, r.UID, r.GID, err
}

// isNoMessage reports whether err says that there is no message.
func (system) isNoMessage(err error) bool { return errors.Is(err, unix.EAGAIN) }

// whyLost says why receive lost a message, or "" if it did not.
func (system) whyLost(err error) string {
	switch {
	case errors.Is(err, unix.EMSGSIZE):
		return "it is longer than the buffer"
	case errors.Is(err, unix.ENOBUFS):
		return "it brought more control data than fits"
	case errors.Is(err, unix.ENODATA):
		return "the kernel did not report who sent it"
	case errors.Is(err, unix.EPROTO):
		return "the kernel's answer does not have the form that its headers define"
	}
	return ""
}
