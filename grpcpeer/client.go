package grpcpeer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// NewClientCredentials returns credentials for [grpc.WithTransportCredentials] of a client.
// They connect only to a server that policy admits. Nothing is sent to another server, no
// call and no token. The zero Policy denies every server. A target is also denied if
// it is not a Unix socket, unless [guard.Dial] makes the connection, as a function of
// [grpc.WithContextDialer] on loopback TCP.
//
// The server is the process that called listen(2). Under socket activation that is the
// service manager. On NetBSD every server is denied, because some releases name the caller
// itself on the connecting end.
//
// The handshake fails with an error that wraps *[guard.Denied] and is not temporary, or with
// the error of its context. It returns when the context ends, even if the policy blocks.
//
// gRPC turns the error into text. A call fails with codes.Unavailable, and its message is
// the reason: do not pass it on to your own clients. A call that waits for ready fails when
// its context ends. Meanwhile gRPC connects again, with growing pauses, and so finds the
// right server when it starts. [grpc.DialContext] with FailOnNonTempDialError gives up, and
// returns the error itself. To get *[guard.Denied] otherwise, use the onDeny hooks. They are
// called like those of [NewServerCredentials].
//
// The credentials are safe for concurrent use. ServerHandshake and OverrideServerName are
// errors.
func NewClientCredentials(policy guard.Policy, onDeny ...func(*guard.Denied)) credentials.TransportCredentials {
	return &clientCredentials{newCommon(policy, onDeny)}
}

type clientCredentials struct{ common }

func (c *clientCredentials) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	admitted, err := admit(ctx, conn, c.policy)
	if err != nil {
		if denied, ok := errors.AsType[*guard.Denied](err); ok {
			c.tell(denied)
			err = permanent{denied}
		}
		return nil, nil, err
	}
	return admitted, authInfo(admitted.Peer()), nil
}

func (c *clientCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("grpcpeer: these credentials are for a client: use those of NewServerCredentials for a server")
}

func (c *clientCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// admit is [guard.Admit], and returns when ctx ends, even if the policy blocks. Then it
// closes conn, and returns the error of ctx.
func admit(ctx context.Context, conn net.Conn, policy guard.Policy) (*guard.Conn, error) {
	type outcome struct {
		conn *guard.Conn
		err  error
	}
	outcomes := make(chan outcome)
	go func() {
		admitted, err := guard.Admit(conn, policy)
		select {
		case outcomes <- outcome{admitted, err}:
		case <-ctx.Done():
			if err == nil {
				admitted.Close() // closes the handle that the policy opened
			}
		}
	}()
	select {
	case o := <-outcomes:
		return o.conn, o.err
	case <-ctx.Done():
		go conn.Close() // the server can make it slow
		return nil, ctx.Err()
	}
}

// permanent is a denial as an error that is not temporary. gRPC takes an error without a
// Temporary method for a temporary one: see [credentials.TransportCredentials].
type permanent struct{ denied *guard.Denied }

func (p permanent) Error() string { return p.denied.Error() }
func (p permanent) Unwrap() error { return p.denied }
func (permanent) Temporary() bool { return false }
