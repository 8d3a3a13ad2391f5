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

// Require returns options for [grpc.NewServer]: a [UnaryServerInterceptor] and a
// [StreamServerInterceptor], so that the rules decide on every call. With only one of them,
// every peer that can connect could call the methods of the other kind. They run before
// interceptors that are chained after them, and after the one of [grpc.UnaryInterceptor] or
// [grpc.StreamInterceptor].
func Require(rules Rules, onDeny ...func(method string, denied *guard.Denied)) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(UnaryServerInterceptor(rules, onDeny...)),
		grpc.ChainStreamInterceptor(StreamServerInterceptor(rules, onDeny...)),
	}
}

// UnaryServerInterceptor returns an interceptor that passes on the unary calls that the
// rules admit. It keeps a copy of the rules, and is safe for concurrent use. The policy
// decides about every call. The peer was identified when its connection was made. A decision
// takes no system call, unless the policy requires facts that were not asked for yet.
//
// Other calls end with codes.PermissionDenied and an empty message. If the policy could not
// decide ([guard.Denied].Failed), or the peer is not known, the code is codes.Internal. The
// handler does not run, but gRPC has read the request. The connection stays open.
//
// The client does not learn the reason. The onDeny hooks get it, before the answer is sent,
// in the goroutine of the call. They must be safe for concurrent use. A panic is logged to
// [slog.Default].
//
// UnaryServerInterceptor panics if a key of the rules has none of the forms of [Rules].
func UnaryServerInterceptor(rules Rules, onDeny ...func(method string, denied *guard.Denied)) grpc.UnaryServerInterceptor {
	g := newGate(rules, onDeny)
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := g.check(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streaming calls. It decides once
// for each stream, before the first message is read.
func StreamServerInterceptor(rules Rules, onDeny ...func(method string, denied *guard.Denied)) grpc.StreamServerInterceptor {
	g := newGate(rules, onDeny)
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := g.check(stream.Context(), info.FullMethod); err != nil {
			return err
		}
		return handler(server, stream)
	}
}

// gate decides for both interceptors.
type gate struct {
	rules  Rules
	onDeny []func(string, *guard.Denied)
}

func newGate(rules Rules, onDeny []func(string, *guard.Denied)) gate {
	return gate{rules.checked(), slices.Clone(onDeny)}
}

// check returns nil for a call that is admitted, and otherwise the status that ends it.
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
