package native

// Call names the kernel's call behind [Credentials].
const Call = "getsockopt(LOCAL_PEERCRED)"

// Credentials returns the ids of the process at the other end of the Unix
// socket fd: effective ids, captured at the peer's connect(2) on the accepted
// end and at listen(2) on the connecting end. pid is 0 before FreeBSD 13.0 and
// 12.3, which do not tell it.
//
// The error is ENOTCONN for a stream socket without a peer, socketpairs included;
// EINVAL for a datagram socket; EINVAL up to FreeBSD 13 and ENOTCONN in newer
// source for a seqpacket socket without a peer; EAFNOSUPPORT for what is not a Unix
// socket; EBADF; and EPROTO for an answer that is not a struct xucred.
//
// Source: unix(4), uipc_ctloutput in sys/kern/uipc_usrreq.c.
func Credentials(fd int) (pid int32, uid, gid uint32, err error) {
	cred, length, err := askXucred(fd)
	if err != nil {
		return 0, 0, 0, err
	}
	return cred.decode(length)
}
