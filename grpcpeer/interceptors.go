package grpcpeer

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/peercred/guard"
)

// Require returns options for [grpc.NewServer], with which rules decide on every
// call: [UnaryServerInterceptor] and [StreamServerInterceptor], for one without the
// other leaves the methods of the other kind to whoever can connect. They come
// before interceptors that are chained after them, and after that of
// [grpc.UnaryInterceptor] or [grpc.StreamInterceptor].
func Require(rules Rules, onDeny ...func(method string, denied *guard.Denied)) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(UnaryServerInterceptor(rules, onDeny...)),
		grpc.ChainStreamInterceptor(StreamServerInterceptor(rules, onDeny...)),
	}
}

// UnaryServerInterceptor returns an interceptor that hands on the unary calls that
// the rules let in. It is safe for concurrent use, and keeps a copy of the rules.
// The policy is asked for every call, about a peer that is known since its
// connection was made: that costs no system call, unless the policy wants facts that
// were not asked for yet.
//
// Other calls end with codes.PermissionDenied, or with codes.Internal if it could
// not be decided ([guard.Denied].Failed, an unknown peer among that), with an empty
// message, before a handler runs, though after gRPC has read the request; the
// connection stays open. Why is for the onDeny hooks to know, which are called before
// the answer is sent, in the goroutine of the call: so they must be safe for
// concurrent use. One that panics is logged with [slog.Default].
//
// It panics if a key of the rules has none of the forms of [Rules].
func UnaryServerInterceptor(rules Rules, onDeny ...func(method string, denied *guard.Denied)) grpc.UnaryServerInterceptor {
	g := newGate(rules, onDeny)
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := g.check(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streaming calls: it
// decides once for a stream, when it begins, and before its first message is read.
func StreamServerInterceptor(rules Rules, onDeny ...func(method string, denied *guard.Denied)) grpc.StreamServerInterceptor {
	g := newGate(rules, onDeny)
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := g.check(stream.Context(), info.FullMethod); err != nil {
			return err
		}
		return handler(server, stream)
	}
}

// gate is what both interceptors do.
type gate struct {
	rules  Rules
	onDeny []func(string, *guard.Denied)
}

func newGate(rules Rules, onDeny []func(string, *guard.Denied)) gate {
	return gate{rules.checked(), slices.Clone(onDeny)}
}

// check returns nil for a call that may be made, and else the status that ends it.
func (g gate) check(ctx context.Context, method string) error {
	peer, _ := PeerFromContext(ctx)
	err := g.rules.of(method).Allow(peer)
	if err == nil {
		return nil
	}
	denied, ok := errors.AsType[*guard.Denied](err)
	if !ok {
		return status.Error(codes.Internal, "")
	}
	for _, hook := range g.onDeny {
		survive(denied, func() { hook(method, denied) })
	}
	return status.Error(codeOf(denied), "")
}

func codeOf(denied *guard.Denied) codes.Code {
	if denied.Failed {
		return codes.Internal
	}
	return codes.PermissionDenied
}
