//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/peercred/benchmarks/internal/order"
	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

// calls are unary ones of gRPC's own health service, each to a server of its own.
func calls() (*group, error) {
	runtime.GOMAXPROCS(1) // no thread waits for another to be woken, which takes any time
	dir, err := os.MkdirTemp("", "peercred-bench-")
	if err != nil {
		return nil, err
	}
	ourselves := guard.CurrentUser()
	g := &group{length: 2 * time.Millisecond, close: func() { os.RemoveAll(dir) }}
	for _, s := range []struct {
		kind           order.Kind
		name           string
		server, client credentials.TransportCredentials
		options        []grpc.ServerOption
	}{
		{order.Peer, order.CallLocal, local.NewCredentials(), local.NewCredentials(), nil},
		{order.Ours, order.Call, grpcpeer.NewServerCredentials(ourselves), grpcpeer.NewClientCredentials(ourselves), nil},
		{order.Ours, order.CallRequired, grpcpeer.NewServerCredentials(ourselves), grpcpeer.NewClientCredentials(ourselves),
			grpcpeer.Require(grpcpeer.Rules{"/": ourselves})},
	} {
		listener, err := net.Listen("unix", filepath.Join(dir, fmt.Sprint(len(g.subjects))))
		if err != nil {
			return nil, err
		}
		server := grpc.NewServer(append(s.options, grpc.Creds(s.server))...)
		healthpb.RegisterHealthServer(server, health.NewServer())
		go server.Serve(listener)
		conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(s.client))
		if err != nil {
			return nil, err
		}
		client := healthpb.NewHealthClient(conn)
		if _, err := client.Check(context.Background(), &healthpb.HealthCheckRequest{}); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		g.add(s.kind, s.name, order.CallLocal, timed(func(n int) {
			for range n {
				_, err := client.Check(context.Background(), &healthpb.HealthCheckRequest{})
				must(err)
			}
		}))
	}
	return g, nil
}
