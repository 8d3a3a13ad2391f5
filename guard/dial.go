package guard

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Dial connects to the Unix socket at address. It returns the connection if policy admits
// the process that serves there. So a client can check its server before it sends a secret.
// The network is "unix" or "unixpacket".
//
// The server is the process that called listen(2). Under socket activation that is the
// service manager. On NetBSD every server is denied, because some releases
// tell the connecting end its own ids.
//
// Linux 6.16 and newer refuse descriptors (SCM_RIGHTS) that the server sends, with EPERM
// for the server: see [Config].ReceiveDescriptors. A client that wants to receive
// descriptors connects with package net, and checks the server with [Admit].
//
// The error is a *[net.OpError]. Nothing has been sent in that case. It wraps:
//
//   - *[Denied] if policy does not admit the server.
//   - [net.UnknownNetworkError] for any other network.
//   - [syscall.EINVAL] for an address that is too long or has a NUL byte.
//   - Otherwise the error of [net.Dialer.DialContext].
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
	if socket, ok := conn.(syscall.Conn); ok {
		admitted.quick = descriptorsAreRefused(socket)
	}
	return admitted, nil
}

// isStream reports whether the sockets of a network have one peer.
func isStream(network string) bool { return network == "unix" || network == "unixpacket" }

// unknownNetwork names the networks that guard knows.
func unknownNetwork(network string) error {
	return fmt.Errorf(`%w: it must be "unix" or "unixpacket"`, net.UnknownNetworkError(network))
}

// checkTarget refuses an address that package net would misread, or refuse without a reason.
func checkTarget(network, address string) error {
	if !isStream(network) {
		return unknownNetwork(network)
	}
	if strings.ContainsRune(address, 0) { // the kernel would end a path there
		return fmt.Errorf("the address %q has a NUL byte: %w", address, syscall.EINVAL)
	}
	if longest := longestAddress(address); len(address) > longest {
		return fmt.Errorf("the address has %d bytes, and a socket address has at most %d: use a shorter one, such as a symbolic link: %w",
			len(address), longest, syscall.EINVAL)
	}
	return nil
}

// longestAddress returns how many bytes an address like this one can have. An abstract name
// requires no NUL byte at its end.
func longestAddress(address string) int {
	if isAbstract(address) {
		return maxPath + 1
	}
	return maxPath
}
