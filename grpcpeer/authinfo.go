package grpcpeer

import (
	"context"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"example.com/peercred/guard"
)

// AuthInfo is the AuthInfo of connections made with [NewServerCredentials] or
// [NewClientCredentials]. It is in the [peer.Peer] of a call. A server gets the process from
// it with [PeerFromContext]. A client gets it with the call option [grpc.Peer].
type AuthInfo struct {
	// CommonAuthInfo has the security level PrivacyAndIntegrity on a Unix socket, and
	// NoSecurity on TCP.
	credentials.CommonAuthInfo
	// Peer is the process at the other end. Facts about it can be asked for while the
	// connection is open.
	Peer guard.Peer
}

var (
	_ credentials.AuthInfo           = AuthInfo{}
	_ credentials.AuthorityValidator = AuthInfo{}
)

func authInfo(peer guard.Peer) AuthInfo {
	level := credentials.PrivacyAndIntegrity
	if peer.Credentials() == nil { // TCP
		level = credentials.NoSecurity
	}
	return AuthInfo{credentials.CommonAuthInfo{SecurityLevel: level}, peer}
}

// AuthType returns "peercred".
func (AuthInfo) AuthType() string { return protocol }

// ValidateAuthority accepts any name in the :authority header, as credentials/local does.
// The ids identify the server, and it has no name.
func (AuthInfo) ValidateAuthority(string) error { return nil }

// PeerFromContext returns the client that made the call with this context, for handlers and
// server interceptors. If the connection was not made with [NewServerCredentials], it
// returns false and the zero Peer, which every Policy denies.
//
// It makes no system call. It is safe for concurrent use, and so is the Peer.
func PeerFromContext(ctx context.Context) (guard.Peer, bool) {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return guard.Peer{}, false
	}
	info, _ := p.AuthInfo.(AuthInfo)
	return info.Peer, info.Peer != guard.Peer{}
}
