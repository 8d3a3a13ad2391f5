package grpcpeer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// NewServerCredentials returns credentials for a server, with [grpc.Creds], which
// let in the clients that policy lets in. The zero Policy lets in nobody, and nobody
// is let in through what is no Unix socket. Whoever is let in is known to
// [PeerFromContext].
//
// The others' connections are closed with nothing sent. Why is for the onDeny hooks
// to know, with [guard.LogDenied] as one, and for gRPC's own log, at its level info. A
// hook is called after the connection was closed, in a goroutine of that connection:
// so it must be safe for concurrent use, a slow one keeps nobody else waiting, and
// one that panics is logged with [slog.Default].
//
// The peer of a [guard.Conn], from a [guard.Listener], is not asked for again. The
// policies of both must let it in.
//
// The handshake fails with *[guard.Denied]. The credentials are safe for concurrent
// use; ClientHandshake and OverrideServerName are errors.
func NewServerCredentials(policy guard.Policy, onDeny ...func(*guard.Denied)) credentials.TransportCredentials {
	return &serverCredentials{newCommon(policy, onDeny)}
}

type serverCredentials struct{ common }

func (s *serverCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	admitted, err := guard.Admit(conn, s.policy)
	if err != nil {
		if denied, ok := errors.AsType[*guard.Denied](err); ok {
			s.tell(denied)
		}
		return nil, nil, err
	}
	return admitted, authInfo(admitted.Peer()), nil
}

func (s *serverCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("grpcpeer: these credentials are a server's, a client's are those of NewClientCredentials")
}

func (s *serverCredentials) Clone() credentials.TransportCredentials {
	clone := *s
	return &clone
}
