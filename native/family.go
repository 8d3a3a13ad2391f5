//go:build darwin || freebsd || dragonfly || netbsd || solaris || aix

package native

import "golang.org/x/sys/unix"

// checkUnixFamily returns EAFNOSUPPORT for what is not a Unix socket. On these
// systems it must come first: SOL_LOCAL is IPPROTO_IP and LOCAL_PEERCRED is
// IP_OPTIONS, so that a TCP socket answers the same question with success and
// nothing; getpeerucred(3C) and SO_PEERID answer for TCP too.
func checkUnixFamily(fd int) error {
	switch kind, err := Kind(fd); {
	case err != nil:
		return err
	case kind != "Unix":
		return unix.EAFNOSUPPORT
	}
	return nil
}
