//go:build unix

package native

import (
	"bytes"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file decodes what the kernels write, and checks that it is credible. It makes no
// system call, so the tests and fuzzers of all systems run on every machine.
//
// Every buffer is poisoned before the call. A kernel, or a sandbox in front of it, may
// report success without writing. Zeroes would then read as uid 0, which is root.

const (
	// noID is (uid_t)-1 and (gid_t)-1, which no process can have.
	noID = ^uint32(0)
	// poisonVersion is a structure version that no kernel has.
	poisonVersion = ^uint32(0)
)

// poisoned returns a value of which every bit is set.
func poisoned[T any]() (value T) {
	b := bytesOf(&value)
	for i := range b {
		b[i] = 0xff
	}
	return value
}

func bytesOf[T any](value *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(value)), unsafe.Sizeof(*value))
}

// decodeInt decodes an int that fills length bytes of a buffer poisoned with -1.
func decodeInt(v int32, length uint32) (int, error) {
	if uintptr(length) != unsafe.Sizeof(v) || v == -1 {
		return 0, unix.EPROTO
	}
	return int(v), nil
}

// linuxUcred is struct ucred (linux/socket.h).
type linuxUcred struct {
	pid int32
	uid uint32
	gid uint32
}

func poisonedLinuxUcred() linuxUcred { return linuxUcred{pid: -1, uid: noID, gid: noID} }

// decode returns ENOTCONN for (0, -1, -1), which is Linux's answer for a socket without a
// peer. It returns EPROTO for an answer that is not a ucred.
func (u *linuxUcred) decode(length uint32) (pid int32, uid, gid uint32, err error) {
	switch {
	case uintptr(length) != unsafe.Sizeof(*u) || u.pid < 0:
		return 0, 0, 0, unix.EPROTO
	case u.uid == noID || u.gid == noID:
		return 0, 0, 0, unix.ENOTCONN
	}
	return u.pid, u.uid, u.gid, nil
}

// xucredGroups is XU_NGROUPS on FreeBSD, NGROUPS on Darwin and DragonFly.
const xucredGroups = 16

// xucredVersion is XUCRED_VERSION, the same on all three. It is 0, so it does not detect a
// zeroed buffer.
const xucredVersion = 0

// xucred is struct xucred (bsd/sys/ucred.h) of Darwin.
type xucred struct {
	version uint32
	uid     uint32
	ngroups int16
	groups  [xucredGroups]uint32 // [0] is the effective gid
}

func poisonedXucred() (x xucred) {
	x.poison()
	return x
}

func (x *xucred) poison() {
	x.version, x.uid, x.ngroups = poisonVersion, noID, -1
	poisonIDs(x.groups[:])
}

// decode accepts only an answer of the full length. Version and ngroups prove nothing. The
// same call asks a TCP socket for its IP options, which are up to 44 bytes that the socket's
// creator chose. The caller must have checked that the socket is a Unix socket.
func (x *xucred) decode(length uint32) (uid, gid uint32, err error) {
	if uintptr(length) != unsafe.Sizeof(*x) {
		return 0, 0, unix.EPROTO
	}
	return x.ids()
}

func (x *xucred) ids() (uid, gid uint32, err error) {
	if x.version != xucredVersion ||
		x.ngroups < 1 || x.ngroups > xucredGroups ||
		x.uid == noID || x.groups[0] == noID {
		return 0, 0, unix.EPROTO
	}
	return x.uid, x.groups[0], nil
}

// freebsdXucred is struct xucred (sys/ucred.h) of FreeBSD and DragonFly. It has the fields
// of Darwin's, and then a slot of a pointer's size. The slot holds cr_pid since FreeBSD
// 13.0 and 12.3, and nothing on DragonFly. The slot has type *byte in x/sys's Xucred. A pid
// in it would be an invalid pointer to the garbage collector. So it is not a pointer here.
type freebsdXucred struct {
	xucred
	slot uintptr
}

// pid returns the union's first four bytes.
func (x *freebsdXucred) pid() int32 { return *(*int32)(unsafe.Pointer(&x.slot)) }

func poisonedFreeBSDXucred() (x freebsdXucred) {
	x.xucred.poison()
	x.slot = ^uintptr(0)
	return x
}

// decode accepts a cr_pid of 0, which kernels before 13.0 and 12.3 leave there.
func (x *freebsdXucred) decode(length uint32) (pid int32, uid, gid uint32, err error) {
	uid, gid, err = x.decodeIDs(length)
	if err != nil || x.pid() < 0 {
		return 0, 0, 0, unix.EPROTO
	}
	return x.pid(), uid, gid, nil
}

// decodeIDs ignores the slot, for DragonFly.
func (x *freebsdXucred) decodeIDs(length uint32) (uid, gid uint32, err error) {
	if uintptr(length) != unsafe.Sizeof(*x) {
		return 0, 0, unix.EPROTO
	}
	return x.ids()
}

// supplementaryGroups returns the groups after the first, which is the effective gid. The
// kernel reports at most 16 groups in all.
func (x *xucred) supplementaryGroups() ([]uint32, error) {
	if _, _, err := x.ids(); err != nil {
		return nil, err
	}
	return credibleGroups(x.groups[1:x.ngroups])
}

func poisonIDs(ids []uint32) {
	for i := range ids {
		ids[i] = noID
	}
}

// decodeGroups decodes the groups that fill length bytes of a poisoned buffer.
func decodeGroups(buffer []uint32, length uint32) ([]uint32, error) {
	count := uintptr(length) / unsafe.Sizeof(noID)
	if uintptr(length)%unsafe.Sizeof(noID) != 0 || count > uintptr(len(buffer)) {
		return nil, unix.EPROTO
	}
	return credibleGroups(buffer[:count])
}

// credibleGroups returns a copy of the groups, not nil, or an error if the kernel did not
// write one of them.
func credibleGroups(groups []uint32) ([]uint32, error) {
	if slices.Contains(groups, noID) {
		return nil, unix.EPROTO
	}
	return append(make([]uint32, 0, len(groups)), groups...), nil
}

// decodeLabel decodes the label that fills length bytes of a zeroed buffer. SELinux and
// Smack count a NUL at the end, AppArmor does not. If BPF is the only security module,
// Linux 6.1 succeeds and writes nothing. Bytes that the kernel did not write are NULs, and
// no label contains a NUL.
func decodeLabel(buffer []byte, length uint32) (string, error) {
	if uint64(length) > uint64(len(buffer)) {
		return "", unix.EPROTO
	}
	label := bytes.TrimSuffix(buffer[:length], []byte{0})
	switch {
	case len(label) == 0 || label[0] == 0:
		return "", unsupportedError("the label is empty")
	case bytes.IndexByte(label, 0) >= 0:
		return "", unix.EPROTO
	}
	return string(label), nil
}

// auditToken is audit_token_t (mach/message.h) of Darwin: auid, euid, egid, ruid,
// rgid, pid, asid, pidversion.
type auditToken [8]uint32

func poisonedAuditToken() (t auditToken) {
	poisonIDs(t[:])
	return t
}

func (t *auditToken) decode(length uint32) (token [8]uint32, err error) {
	if uintptr(length) != unsafe.Sizeof(*t) || !t.isFilled() {
		return token, unix.EPROTO
	}
	return *t, nil
}

// isFilled ignores the audit id, in which -1 means unset.
func (t *auditToken) isFilled() bool {
	const euid, rgid, pid, pidversion = 1, 4, 5, 7
	return !slices.Contains(t[euid:rgid+1], noID) && int32(t[pid]) >= 1 && t[pidversion] != noID
}

// openbsdPeercred is struct sockpeercred (sys/socket.h). The pid comes last.
type openbsdPeercred struct {
	uid uint32
	gid uint32
	pid int32
}

// decode returns an error for a pid below 1, because the kernel did not write such an
// answer. The getter of x/sys zeroes its buffer and hides the returned length, but OpenBSD
// always reports the pid.
func (c *openbsdPeercred) decode() (pid int32, uid, gid uint32, err error) {
	if c.pid < 1 || c.uid == noID || c.gid == noID {
		return 0, 0, 0, unix.EPROTO
	}
	return c.pid, c.uid, c.gid, nil
}

// netbsdUnpcbid is struct unpcbid (sys/un.h).
type netbsdUnpcbid struct {
	pid int32
	uid uint32
	gid uint32
}

func poisonedNetBSDUnpcbid() netbsdUnpcbid { return netbsdUnpcbid{pid: -1, uid: noID, gid: noID} }

func (c *netbsdUnpcbid) decode(length uint32) (pid int32, uid, gid uint32, err error) {
	if uintptr(length) != unsafe.Sizeof(*c) || c.pid < 1 || c.uid == noID || c.gid == noID {
		return 0, 0, 0, unix.EPROTO
	}
	return c.pid, c.uid, c.gid, nil
}

// socketName is struct sockaddr_un (sys/un.h) of Darwin and the BSDs, with room for the
// longest name that sun_len, a byte, allows. NetBSD and Darwin accept names that are longer
// than the 104 bytes of the header's sun_path.
type socketName struct {
	length uint8 // sun_len
	family uint8
	path   [253]byte
}

// addressFamily returns the family of the socket that has this name, on the system goos.
// DragonFly gives no address to a Unix socket without a name (golang.org/issue/3349).
func (n *socketName) addressFamily(goos string) int {
	if goos == "dragonfly" && n.family == unix.AF_UNSPEC && n.length == 0 {
		return unix.AF_UNIX
	}
	return int(n.family)
}

// isNamed reports whether the first length bytes are the name of a Unix socket with a path.
func (n *socketName) isNamed(length uint32) (bool, error) {
	const path = unsafe.Offsetof(n.path)
	if uintptr(length) < path || n.family != unix.AF_UNIX {
		return false, unix.EPROTO
	}
	return uintptr(length) > path && n.path[0] != 0, nil
}

// errConnectingEnd is the error for a socket that may be the connecting end.
const errConnectingEnd = unsupportedError("this may be the connecting end, on which some releases of NetBSD name the caller itself: ask on the accepted end, about a peer that bound no name")

// checkAcceptedNames distinguishes NetBSD's accepted end from the connecting end by their
// names. A listener always has a name, and the accepted end has that name. So the peer of a
// connecting end has a name, and the peer of an accepted end usually has none. A peer that
// bound a name before it connected is an error too, and so is a socketpair.
func checkAcceptedNames(own, peer bool) error {
	if !own || peer {
		return errConnectingEnd
	}
	return nil
}

// aixPeercred is struct peercred_struct (sys/socket.h) of a 64-bit process.
type aixPeercred struct {
	pid int32
	_   int32
	_   uint64 // tid
	uid uint32
	gid uint32
}

// errZeroIDs is native's error for root on AIX.
const errZeroIDs = unsupportedError("the answer is uid 0 and gid 0, which golang.org/x/sys does not distinguish from an answer that is too short: build with CGO_ENABLED=1")

// decode returns an error for a pid below 1, as openbsdPeercred.decode does. The ids come
// last in this structure, and no AIX has confirmed its layout. If the kernel wrote fewer
// bytes, the ids would be the zeroes of the getter. So two zeroes are an error too.
func (c *aixPeercred) decode() (pid int32, uid, gid uint32, err error) {
	switch {
	case c.pid < 1 || c.uid == noID || c.gid == noID:
		return 0, 0, 0, unix.EPROTO
	case c.uid == 0 && c.gid == 0:
		return 0, 0, 0, errZeroIDs
	}
	return c.pid, c.uid, c.gid, nil
}

// decodePID checks the pid_t that Darwin's LOCAL_PEERPID writes.
func decodePID(pid int32, length uint32) (int32, error) {
	if uintptr(length) != unsafe.Sizeof(pid) || pid < 0 {
		return 0, unix.EPROTO
	}
	return pid, nil
}

// decodeUcred checks the results of illumos's ucred_getpid, ucred_geteuid and ucred_getegid
// through x/sys. They are C's int and unsigned int in a register, with the upper half as
// libc left it. -1 means that the ucred lacks the id.
func decodeUcred(pid, uid, gid int) (int32, uint32, uint32, error) {
	p, u, g := int32(pid), uint32(uid), uint32(gid)
	if p < 0 || u == noID || g == noID {
		return 0, 0, 0, unix.EPROTO
	}
	return p, u, g, nil
}

// These are the sizes of the structures in the C headers.
var (
	_ [12]byte  = [unsafe.Sizeof(linuxUcred{})]byte{}
	_ [76]byte  = [unsafe.Sizeof(xucred{})]byte{}
	_ [32]byte  = [unsafe.Sizeof(auditToken{})]byte{}
	_ [12]byte  = [unsafe.Sizeof(openbsdPeercred{})]byte{}
	_ [12]byte  = [unsafe.Sizeof(netbsdUnpcbid{})]byte{}
	_ [255]byte = [unsafe.Sizeof(socketName{})]byte{}
	_ [24]byte  = [unsafe.Sizeof(aixPeercred{})]byte{}
	// 88 bytes with the slot at 80 where pointers have 8 bytes, 80 with the
	// slot at 76 where they have 4.
	_ [72 + 2*unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(freebsdXucred{})]byte{}
	_ [72 + unsafe.Sizeof(uintptr(0))]byte   = [unsafe.Offsetof(freebsdXucred{}.slot)]byte{}
	_ [8]byte                                = [unsafe.Offsetof(xucred{}.ngroups)]byte{}
	_ [12]byte                               = [unsafe.Offsetof(xucred{}.groups)]byte{}
	_ [16]byte                               = [unsafe.Offsetof(aixPeercred{}.uid)]byte{}
)
