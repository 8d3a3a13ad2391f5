//go:build unix && !linux

package native

import "golang.org/x/sys/unix"

// checkUnixFamily returns EAFNOSUPPORT for what is not a Unix socket. On these
// systems it must come first, because sockets of other families answer the same
// question:
//
//   - SOL_LOCAL is IPPROTO_IP and LOCAL_PEERCRED is IP_OPTIONS. A TCP socket
//     without options succeeds and writes nothing. With options it writes up to 44
//     bytes that its creator chose, which can read as version 0, one group, uid 0.
//     On NetBSD LOCAL_PEEREID is IP_TOS, which writes 4 bytes.
//   - OpenBSD takes a socket for a Unix socket if its protocol number is 1, which
//     is AF_UNIX and also ICMP.
//   - getpeerucred(3C) and SO_PEERID answer for TCP.
func checkUnixFamily(fd int) error {
	switch kind, err := Kind(fd); {
	case err != nil:
		return err
	case kind != "Unix":
		return unix.EAFNOSUPPORT
	}
	return nil
}
