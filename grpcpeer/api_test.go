package grpcpeer_test

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

// The public names of this package, with their types. This file only compiles, on every
// system. A change here is a change for users.

type (
	apiCredentials = func(guard.Policy, ...func(*guard.Denied)) credentials.TransportCredentials
	apiHook        = func(method string, denied *guard.Denied)
)

var (
	_ apiCredentials                                                = grpcpeer.NewServerCredentials
	_ apiCredentials                                                = grpcpeer.NewClientCredentials
	_ func(context.Context) (guard.Peer, bool)                      = grpcpeer.PeerFromContext
	_ func(grpcpeer.Rules, ...apiHook) []grpc.ServerOption          = grpcpeer.Require
	_ func(grpcpeer.Rules, ...apiHook) grpc.UnaryServerInterceptor  = grpcpeer.UnaryServerInterceptor
	_ func(grpcpeer.Rules, ...apiHook) grpc.StreamServerInterceptor = grpcpeer.StreamServerInterceptor

	_ credentials.AuthInfo           = grpcpeer.AuthInfo{CommonAuthInfo: credentials.CommonAuthInfo{}, Peer: guard.Peer{}}
	_ credentials.AuthorityValidator = grpcpeer.AuthInfo{}
	_                                = grpcpeer.Rules(map[string]guard.Policy{})
)
