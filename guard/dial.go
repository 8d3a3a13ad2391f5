package guard

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Dial connects to the Unix socket at address, and returns the connection if policy
// lets in the process that serves there. So a client can be sure of its server before it
// sends a secret. The network is "unix" or "unixpacket".
//
// The server is the process that called listen(2), which under socket activation is the
// service manager. On NetBSD, whose connecting end is told its own ids, nobody is
// let in.
//
// Descriptors (SCM_RIGHTS) that the server sends are refused, with EPERM for the server,
// by Linux 6.16 and newer: see [Config].ReceiveDescriptors. A client that wants some
// connects with package net, and has [Admit] see to the server.
//
// The error is a *[net.OpError], and nothing has been sent then. In it is:
//
//   - *[Denied] for a server that policy does not let in.
//   - [net.UnknownNetworkError] for any other network.
//   - [syscall.EINVAL] for an address that is too long or has a NUL byte.
//   - Otherwise what [net.Dialer.DialContext] returned.
func Dial(ctx context.Context, network, address string, policy Policy) (*Conn, error) {
	if err := checkTarget(network, address); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: err}
	}
	dialer := net.Dialer{Control: refuseDescriptors}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	admitted, denied := admit(conn, policy)
	if denied != nil {
		closeForeign(conn)
		return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: denied}
	}
	return admitted, nil
}

// isStream tells the networks whose sockets have one peer.
func isStream(network string) bool { return network == "unix" || network == "unixpacket" }

// unknownNetwork names the networks that guard knows.
func unknownNetwork(network string) error {
	return fmt.Errorf(`%w: it must be "unix" or "unixpacket"`, net.UnknownNetworkError(network))
}

// checkTarget refuses what package net takes for something else, or refuses without a
// reason.
func checkTarget(network, address string) error {
	if !isStream(network) {
		return unknownNetwork(network)
	}
	if strings.ContainsRune(address, 0) { // where the kernel ends a path
		return fmt.Errorf("the address %q has a NUL byte: %w", address, syscall.EINVAL)
	}
	if longest := longestAddress(address); len(address) > longest {
		return fmt.Errorf("the address has %d bytes, and that of a socket has at most %d: use a shorter one, as by a symbolic link: %w",
			len(address), longest, syscall.EINVAL)
	}
	return nil
}

// longestAddress returns how many bytes an address like this can have. An abstract name
// needs no NUL byte at its end.
func longestAddress(address string) int {
	if isAbstract(address) {
		return maxPath + 1
	}
	return maxPath
}
