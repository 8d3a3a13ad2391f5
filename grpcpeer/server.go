package grpcpeer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// NewServerCredentials returns credentials for a server, for [grpc.Creds], which let in
// the clients that policy lets in. The zero Policy lets in nobody, and so does a
// connection that is no Unix socket. [PeerFromContext] returns the clients that are let in.
//
// The connections of the others are closed, and nothing is sent. The handshake returns
// when its connection is closed: gRPC's own Close waits for nothing then, whatever
// descriptors the client sent. The reason goes to the onDeny hooks, of which
// [guard.LogDenied] makes one, and to gRPC's log at its level info. A hook is called after
// the connection is closed, in a goroutine of that connection. So it must be safe for
// concurrent use, and a slow one keeps nobody else waiting. If it panics, that is logged
// with [slog.Default].
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
