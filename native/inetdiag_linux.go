package native

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loopbackPeerUID returns the uid of the socket at the other end of the TCP or MPTCP
// connection fd, both ends of which have a loopback address. It is the file system uid of
// the process that called socket(2), or accept(2) for a server's end, as fchown(2) may have
// changed it. A uid that our user namespace does not map is the overflow id, 65534.
//
// While our end is open, the kernel lets no other socket of the network namespace be
// connected with the addresses of its peer. So our end must be connected after the answer
// too. Data that arrived can be read from an end that was reset, whose addresses are free.
//
// That is not so for sockets that are bound to different devices (SO_BINDTODEVICE). So the
// peer must not be bound to a device, and our end to none but lo.
//
// The error is
//   - EPROTOTYPE if fd is not a TCP socket.
//   - ENOTCONN if our end is not connected, or the peer has closed.
//   - EADDRNOTAVAIL if an address is not a loopback address.
//   - EAGAIN if the server has not accepted the connection yet. Also if an MPTCP peer has
//     closed: the subflow of an old kernel (6.12) then has no owner and is connected.
//   - ENOENT if no socket of our network namespace has the peer's addresses and no device.
//   - errors.ErrUnsupported for a connection of another network namespace or device or one
//     that a firewall redirects, without NETLINK_SOCK_DIAG or tcp_diag, and before Linux
//     5.14, which lacks SO_NETNS_COOKIE.
//
// Source: sock_diag(7), net/ipv4/inet_diag.c, net/netfilter/nf_conntrack_proto.c.
func (system) loopbackPeerUID(fd int) (uint32, error) {
	if err := checkTCP(fd); err != nil {
		return 0, err
	}
	own, err := inetName(fd, unix.SYS_GETSOCKNAME)
	if err != nil {
		return 0, err
	}
	peer, err := inetName(fd, unix.SYS_GETPEERNAME)
	if err != nil {
		return 0, err
	}
	if !own.Addr().IsLoopback() || !peer.Addr().IsLoopback() {
		return 0, unix.EADDRNOTAVAIL
	}
	if err := checkDevice(fd); err != nil {
		return 0, err
	}
	if err := checkNotRedirected(fd, own, peer); err != nil {
		return 0, err
	}
	uid, err := ownerOf(fd, peer, own)
	if err := checkConnected(fd); err != nil {
		return 0, err
	}
	return uid, err
}

// isNotLoopback reports whether err says that an address is not a loopback address.
func (system) isNotLoopback(err error) bool { return errors.Is(err, unix.EADDRNOTAVAIL) }

// checkTCP looks at the protocol alone. Another family or type with the same number has no
// name that inetName accepts.
func checkTCP(fd int) error {
	protocol, err := socketOption(fd, unix.SO_PROTOCOL)
	switch {
	case err != nil:
		return err
	case protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP:
		return unix.EPROTOTYPE
	}
	return nil
}

// inetName calls getsockname(2) or getpeername(2).
func inetName(fd int, call uintptr) (netip.AddrPort, error) {
	name := poisoned[unix.RawSockaddrInet6]()
	length := uint32(unsafe.Sizeof(name))
	if _, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&length))); errno != 0 {
		return netip.AddrPort{}, errno
	}
	return decodeInetName(&name, length)
}

// decodeInetName returns an IPv4 address that is mapped to IPv6 as IPv4.
func decodeInetName(name *unix.RawSockaddrInet6, length uint32) (netip.AddrPort, error) {
	port := binary.BigEndian.Uint16(bytesOf(&name.Port))
	switch {
	case name.Family == unix.AF_INET && length == unix.SizeofSockaddrInet4:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port), nil
	case name.Family == unix.AF_INET6 && length == unix.SizeofSockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port), nil
	}
	return netip.AddrPort{}, unix.EPROTO
}

// loopbackDevice is the index of lo in every network namespace.
const loopbackDevice = 1

func checkDevice(fd int) error {
	device, err := socketOption(fd, unix.SO_BINDTOIFINDEX)
	switch {
	case err != nil:
		return err
	case device != 0 && device != loopbackDevice:
		return errOtherDevice
	}
	return nil
}

// checkNotRedirected returns an error if a firewall's rule (DNAT, REDIRECT) changed the
// address that the client connected to. The client's socket then has that address, and the
// socket that has ours can be anybody's. The kernel does not know the original address if it
// tracks no connections, or not this one. Then usually no rule applies to it.
//
// The kernel does not report what happens in a zone of conntrack, or that the client's own
// address was changed. It changes that for a rule (SNAT), and if it gave the address to a
// connection that it redirected.
func checkNotRedirected(fd int, own, peer netip.AddrPort) error {
	original, err := originalName(fd, own.Addr())
	switch {
	case errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP): // MPTCP
		return checkNoTracking()
	case err != nil:
		return err
	case original != own && original != peer: // own at the server's end, peer at the client's
		return errRedirected
	}
	return nil
}

// originalName returns the address that the client connected to. The kernel reports no length.
func originalName(fd int, own netip.Addr) (netip.AddrPort, error) {
	name := poisoned[unix.RawSockaddrInet6]()
	level, size := unix.SOL_IPV6, unix.SizeofSockaddrInet6
	if own.Is4() {
		level, size = unix.SOL_IP, unix.SizeofSockaddrInet4
	}
	length, err := getsockopt(fd, level, unix.SO_ORIGINAL_DST, unsafe.Pointer(&name), uintptr(size))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return decodeInetName(&name, length)
}

// checkNoTracking returns an error if the kernel tracks connections.
func checkNoTracking() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := originalName(fd, netip.IPv4Unspecified()); !errors.Is(err, unix.ENOPROTOOPT) {
		return errMultipath
	}
	return nil
}

// checkConnected asks for the first byte of struct tcp_info, which is the state. An MPTCP
// socket reports the state of its first subflow, and has the same addresses as that subflow.
// getpeername(2) is not enough, because the connection can survive the subflow.
func checkConnected(fd int) error {
	state := poisoned[uint8]()
	length, err := getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_INFO, unsafe.Pointer(&state), unsafe.Sizeof(state))
	switch {
	case err != nil:
		return err
	case length != 1 || state == poisoned[uint8]():
		return unix.EPROTO
	case !isConnected(state):
		return unix.ENOTCONN
	}
	return nil
}

func isConnected(state uint8) bool {
	switch state {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2,
		unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		return true
	}
	return false
}

const (
	errNoSockDiag  = unsupportedError("the kernel or a sandbox does not allow netlink sockets: allow AF_NETLINK, for example in RestrictAddressFamilies= of systemd")
	errNoTCPDiag   = unsupportedError("the kernel does not report TCP sockets: load its module tcp_diag")
	errNoCookie    = unsupportedError("this kernel does not have SO_NETNS_COOKIE; Linux has it since 5.14")
	errRedirected  = unsupportedError("a rule of the firewall (NAT) redirected the connection, so the peer's socket cannot be found")
	errMultipath   = unsupportedError("the kernel does not report whether a rule of the firewall (NAT) redirected an MPTCP connection: turn MPTCP off, in Go by net.ListenConfig.SetMultipathTCP(false)")
	errOtherDevice = unsupportedError("the connection is bound to a network device (VRF or SO_BINDTODEVICE), and other devices can have the same addresses")
	errOtherNetns  = unsupportedError("the connection is in another network namespace than this process")
)

// diag is the netlink socket that all questions share, because to make one takes longer
// than to ask.
var diag sockDiag

// sockDiag is a socket of NETLINK_SOCK_DIAG, which knows the sockets of one network namespace.
type sockDiag struct {
	sync.Mutex
	open   bool
	fd     int
	cookie uint64 // of the socket; no other socket has it
	netns  uint64 // the cookie of its network namespace
	serial uint32 // of the last question
}

// ownerOf returns the uid of the socket from one address to another, in the network
// namespace of the socket fd.
//
// The kernel reads the owner of a socket before its inode. accept(2) may set both between
// the two, and the owner of a socket that was not accepted reads as root before Linux 6.17.
// So the socket must have an inode in one answer, and the next tells the uid.
func ownerOf(fd int, from, to netip.AddrPort) (uint32, error) {
	netns, err := cookie(fd, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, err
	}
	diag.Lock()
	defer diag.Unlock()
	if err := diag.enter(netns); err != nil {
		return 0, err
	}
	_, err = diag.ask(from, to, 0)
	if errors.Is(err, unix.ENOENT) {
		// Without tcp_diag there is no answer about our own end either.
		if _, err := diag.ask(to, from, loopbackDevice); errors.Is(err, unix.ENOENT) {
			return 0, errNoTCPDiag
		}
	}
	if err != nil {
		return 0, err
	}
	return diag.ask(from, to, 0)
}

// cookie returns SO_COOKIE or SO_NETNS_COOKIE.
func cookie(fd, option int) (uint64, error) {
	value := poisoned[uint64]()
	length, err := getsockopt(fd, unix.SOL_SOCKET, option, unsafe.Pointer(&value), unsafe.Sizeof(value))
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return 0, errNoCookie
	case err != nil:
		return 0, err
	case uintptr(length) != unsafe.Sizeof(value) || value == poisoned[uint64]():
		return 0, unix.EPROTO
	}
	return value, nil
}

// enter makes d a socket of the network namespace, if this thread is in it.
//
// The program may have closed all descriptors, and the number may mean another file by now.
func (d *sockDiag) enter(netns uint64) error {
	if known, _ := cookie(d.fd, unix.SO_COOKIE); known != d.cookie { // and never 0
		d.open = false
	}
	if d.open && d.netns == netns {
		return nil
	}
	d.close()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return errNoSockDiag
	case err != nil:
		return err
	}
	d.open, d.fd = true, fd
	d.netns, err = cookie(fd, unix.SO_NETNS_COOKIE)
	if err == nil {
		d.cookie, err = cookie(fd, unix.SO_COOKIE)
	}
	if err != nil {
		d.close()
		return err
	}
	if d.netns != netns {
		return errOtherNetns
	}
	return nil
}

func (d *sockDiag) close() {
	if d.open {
		d.open = false
		unix.Close(d.fd)
	}
}

// ask returns the uid of the connected socket from one address to another that is bound to
// no device, or to this one. It closes d if the kernel does not answer, so that no later
// question gets a late answer.
func (d *sockDiag) ask(from, to netip.AddrPort, device uint32) (uint32, error) {
	d.serial++
	question := newDiagQuestion(from, to, device, d.serial)
	buffer := poisoned[[diagRoom]byte]()
	length, err := d.exchange(&question, &buffer)
	if err != nil {
		d.close()
		return 0, err
	}
	uid, err := question.decode(buffer[:length])
	if errors.Is(err, unix.EPROTO) {
		d.close()
	}
	return uid, err
}

// exchange returns the length of the answer. The kernel answers during sendto(2).
func (d *sockDiag) exchange(question *diagQuestion, answer *[diagRoom]byte) (length int, err error) {
	if _, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(d.fd), uintptr(unsafe.Pointer(question)), unsafe.Sizeof(*question), 0, 0, 0); errno != 0 {
		return 0, errno
	}
	sender := poisoned[unix.RawSockaddrNetlink]()
	senderSize := uint32(unsafe.Sizeof(sender))
	received, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(d.fd), uintptr(unsafe.Pointer(answer)), diagRoom,
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(&sender)), uintptr(unsafe.Pointer(&senderSize)))
	switch {
	case errno == unix.EAGAIN: // there is none
		return 0, unix.EPROTO
	case errno != 0:
		return 0, errno
	case received > diagRoom, senderSize != unix.SizeofSockaddrNetlink, sender.Family != unix.AF_NETLINK, sender.Pid != 0:
		return 0, unix.EPROTO
	}
	return int(received), nil
}

// diagRoom is enough for struct inet_diag_msg and the attributes that nobody asked for.
const diagRoom = 1024

// diagID is struct inet_diag_sockid (linux/inet_diag.h). Numbers that are arrays here are
// big-endian.
type diagID struct {
	sport, dport [2]byte
	src, dst     [16]byte
	device       uint32
	cookie       [2]uint32
}

// diagQuestion is struct nlmsghdr and struct inet_diag_req_v2.
type diagQuestion struct {
	unix.NlMsghdr
	family, protocol, extensions, _ uint8
	states                          uint32
	id                              diagID
}

// diagAnswer is struct nlmsghdr and struct inet_diag_msg.
type diagAnswer struct {
	unix.NlMsghdr
	family, state, _, _ uint8
	id                  diagID
	_, _, _, uid, inode uint32
}

var (
	_ [16 + 56]byte = [unsafe.Sizeof(diagQuestion{})]byte{}
	_ [16 + 72]byte = [unsafe.Sizeof(diagAnswer{})]byte{}
)

// newDiagQuestion returns the question for the one socket from one address to another that
// is bound to no device, or to this one.
func newDiagQuestion(from, to netip.AddrPort, device, serial uint32) (q diagQuestion) {
	q.NlMsghdr = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(q)), Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST, Seq: serial}
	q.family, q.protocol, q.states = unix.AF_INET6, unix.IPPROTO_TCP, ^uint32(0)
	if from.Addr().Is4() {
		q.family = unix.AF_INET
	}
	q.id.device = device
	q.id.cookie = [2]uint32{^uint32(0), ^uint32(0)} // INET_DIAG_NOCOOKIE
	copy(q.id.src[:], from.Addr().AsSlice())
	copy(q.id.dst[:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(q.id.sport[:], from.Port())
	binary.BigEndian.PutUint16(q.id.dport[:], to.Port())
	return q
}

// names returns the addresses of a socket of the family, or none if it is not one of TCP.
func (id *diagID) names(family uint8) (from, to netip.AddrPort) {
	src, dst := netip.AddrFrom16(id.src).Unmap(), netip.AddrFrom16(id.dst).Unmap()
	switch family {
	case unix.AF_INET:
		src, dst = netip.AddrFrom4([4]byte(id.src[:4])), netip.AddrFrom4([4]byte(id.dst[:4]))
	case unix.AF_INET6:
	default:
		return from, to
	}
	from = netip.AddrPortFrom(src, binary.BigEndian.Uint16(id.sport[:]))
	to = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(id.dport[:]))
	return from, to
}

// decode decodes what the kernel says to q. EPROTO means that it is not an answer to q.
//
// If there is no such socket, the kernel may answer with a listening one. A socket without
// an inode belongs to no process. Its uid reads as root, except on newer kernels.
func (q *diagQuestion) decode(message []byte) (uid uint32, err error) {
	var a diagAnswer
	copy(bytesOf(&a), message)
	switch {
	case uint64(a.Len) != uint64(len(message)), a.Seq != q.Seq,
		a.Flags&(unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR) != 0:
		return 0, unix.EPROTO
	case a.Type == unix.NLMSG_ERROR:
		return 0, decodeDiagError(message)
	case a.Type != unix.SOCK_DIAG_BY_FAMILY, uintptr(len(message)) < unsafe.Sizeof(a):
		return 0, unix.EPROTO
	case a.state == unix.BPF_TCP_SYN_RECV: // a connection for which the listener has no room yet
		return 0, unix.EAGAIN
	case !isConnected(a.state):
		return 0, unix.ENOTCONN
	}
	from, to := a.id.names(a.family)
	askedFrom, askedTo := q.id.names(q.family)
	switch {
	case from != askedFrom, to != askedTo, a.uid == noID:
		return 0, unix.EPROTO
	case a.inode == 0 && a.state == unix.BPF_TCP_ESTABLISHED:
		return 0, unix.EAGAIN
	case a.inode == 0:
		return 0, unix.ENOTCONN
	}
	return a.uid, nil
}

const maxErrno = 4095

// decodeDiagError decodes a message with struct nlmsgerr, which begins with a negative errno.
func decodeDiagError(message []byte) error {
	if len(message) < unix.SizeofNlMsghdr+4 {
		return unix.EPROTO
	}
	errno := -int64(int32(binary.NativeEndian.Uint32(message[unix.SizeofNlMsghdr:])))
	if errno < 1 || errno > maxErrno {
		return unix.EPROTO
	}
	return unix.Errno(errno)
}
