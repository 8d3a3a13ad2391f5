package grpcpeer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// NewServerCredentials returns credentials for [grpc.Creds] of a server. They admit the
// clients that policy admits. The zero Policy denies every client. A connection is also
// denied if it is neither on a Unix socket nor from a [guard.Listener] on loopback TCP.
// [PeerFromContext] returns an admitted client.
//
// The connections of denied clients are closed, and nothing is sent. The handshake returns
// after the connection is closed. So the Close of gRPC waits for nothing, whatever
// descriptors the client sent. The reason goes to the onDeny hooks, such as one of
// [guard.LogDenied], and to the log of gRPC at level info. A hook is called after the
// connection is closed, in a goroutine of that connection. It must be safe for concurrent
// use. A slow hook keeps no other client waiting. A panic is logged to [slog.Default].
//
// The peer of a [guard.Conn], from a [guard.Listener], is not asked for again. The policies
// of both must admit it.
//
// The handshake fails with *[guard.Denied]. The credentials are safe for concurrent use.
// ClientHandshake and OverrideServerName are errors.
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
	return nil, nil, errors.New("grpcpeer: these credentials are for a server: use those of NewClientCredentials for a client")
}

func (s *serverCredentials) Clone() credentials.TransportCredentials {
	clone := *s
	return &clone
}
