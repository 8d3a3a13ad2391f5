package grpcpeer

import (
	"context"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"example.com/peercred/guard"
)

// AuthInfo is what [NewServerCredentials] and [NewClientCredentials] find out about a
// connection. It is in the [peer.Peer] of a call: for a server [PeerFromContext]
// gets at it, and for a client the call option [grpc.Peer].
type AuthInfo struct {
	// CommonAuthInfo has the security level PrivacyAndIntegrity.
	credentials.CommonAuthInfo
	// Peer is the process at the other end, good as long as the connection is open.
	Peer guard.Peer
}

var (
	_ credentials.AuthInfo           = AuthInfo{}
	_ credentials.AuthorityValidator = AuthInfo{}
)

func authInfo(peer guard.Peer) AuthInfo {
	return AuthInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, peer}
}

// AuthType returns "peercred".
func (AuthInfo) AuthType() string { return protocol }

// ValidateAuthority lets a client put any name into the :authority header, as
// credentials/local does: the peer is known by its ids, which no name vouches for.
func (AuthInfo) ValidateAuthority(string) error { return nil }

// PeerFromContext returns who makes the call whose handler, or server interceptor,
// has this context. It returns false, and the zero Peer, whom every Policy refuses,
// if that is not known: for a connection that was not made with
// [NewServerCredentials].
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
