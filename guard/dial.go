package guard

import (
	"context"
	"net"
)

// Dial connects to the Unix socket at address, and returns the connection if policy
// lets in whoever serves there. So a client can be sure of its server before it
// sends a secret. The network is "unix" or "unixpacket".
//
// The server is whoever called listen(2), which under socket activation is the
// service manager. On NetBSD, whose connecting end is told its own ids, nobody is
// let in.
//
// Descriptors (SCM_RIGHTS) that the server sends are refused, with EPERM for the server,
// by Linux 6.16 and newer: see [Config].ReceiveDescriptors. A client that wants some
// connects with package net, and has [Admit] see to the server.
//
// The error is that of [net.Dialer.DialContext], or wraps *[Denied]; nothing has
// been sent then.
func Dial(ctx context.Context, network, address string, policy Policy) (*Conn, error) {
	if !isStream(network) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.UnknownNetworkError(network)}
	}
	dialer := net.Dialer{Control: refuseDescriptors}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	admitted, denied := admit(conn, policy, 0)
	if denied != nil {
		elsewhere.close(conn, ctx.Done())
		return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: denied}
	}
	return admitted, nil
}

// isStream tells the networks whose sockets have one peer.
func isStream(network string) bool { return network == "unix" || network == "unixpacket" }
