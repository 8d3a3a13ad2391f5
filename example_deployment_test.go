//go:build unix

package peercred_test

import (
	"context"
	"net"
	"net/http"
	"time"

	"example.com/peercred/guard"
)

// The code of docs/deployment.md.

var _ = listenInPod // which takes a pod to run

func listenInPod(ctx context.Context) (net.Listener, error) {
	return guard.Listen(ctx, "unix", "/sockets/s", guard.Config{
		Policy:               guard.Groups(2000), // the fsGroup; GIDs would deny the clients
		Mode:                 0o660,
		Group:                "2000", // otherwise the file has the server's own group
		AllowSharedDirectory: true,
	})
}

func serveByRoute(ctx context.Context, path string, allowed guard.Policy, secret http.Handler) (net.Listener, *http.Server, error) {
	anybody := guard.Func("anybody", func(guard.Peer) error { return nil })
	listener, err := guard.Listen(ctx, "unix", path, guard.Config{Policy: anybody, Mode: 0o666})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /secret", guard.Require(allowed)(secret))
	return listener, &http.Server{
		ConnContext:       guard.ConnContext, // without it no peer is known
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
	}, nil
}
