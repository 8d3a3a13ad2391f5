package grpcpeer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"

	"example.com/peercred/guard"
)

// NewClientCredentials returns credentials for a client, with
// [grpc.WithTransportCredentials], which connect to a server only if policy lets in
// whoever serves there: nothing is sent to another, no call and no token. The zero
// Policy connects to nobody, and so does a target that is no Unix socket.
//
// The server is whoever called listen(2), which under socket activation is the
// service manager. On NetBSD every server is denied, because some releases tell the
// connecting end its own ids.
//
// The handshake fails with an error that wraps *[guard.Denied] and is not temporary,
// or with that of its context, which is respected even if the policy blocks. gRPC
// makes a text of it: a call fails with codes.Unavailable and the reason as its
// message (do not hand it on to clients of your own), or, if it waits for ready,
// with the end of its context, while gRPC connects again and again, with growing
// pauses, in case the right server comes. Only [grpc.DialContext] with
// FailOnNonTempDialError gives up, and returns the error itself. So the typed
// refusal is for the onDeny hooks, which are called as those of
// [NewServerCredentials] are.
//
// The credentials are safe for concurrent use; ServerHandshake and OverrideServerName
// are errors.
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
	return nil, nil, errors.New("grpcpeer: these credentials are a client's, a server's are those of NewServerCredentials")
}

func (c *clientCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// admit is [guard.Admit] until ctx ends, whatever the policy waits for. Then conn is
// closed, and the error is that of ctx.
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
				admitted.Close() // with what the policy made it open
			}
		}
	}()
	select {
	case o := <-outcomes:
		return o.conn, o.err
	case <-ctx.Done():
		go conn.Close() // a server can make it slow
		return nil, ctx.Err()
	}
}

// permanent is a refusal as gRPC wants it: an error without a Temporary counts as
// one that goes by, see [credentials.TransportCredentials].
type permanent struct{ denied *guard.Denied }

func (p permanent) Error() string { return p.denied.Error() }
func (p permanent) Unwrap() error { return p.denied }
func (permanent) Temporary() bool { return false }
