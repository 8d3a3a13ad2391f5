//go:build unix && (cgo || (!android && !ios))

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"example.com/peercred/guard"
)

// serve serves until ctx is done, and the requests that it is serving are answered.
func serve(ctx context.Context, hangups <-chan os.Signal, s settings, log *slog.Logger) error {
	rules, err := openLiveRules(s.rules, log)
	if err != nil {
		return err
	}
	audit := auditor{log}
	limit := newConnectionLimit(maxConnectionsOfUser, maxConnections)
	listener, err := guard.Listen(ctx, "unix", s.socket, guard.Config{
		Policy: guard.AllOf(rules.anyone(), limit.policy()),
		Mode:   s.mode, Owner: s.owner, Group: s.group, AllowSharedDirectory: s.shared,
		OnDeny: audit.connection,
	})
	if err != nil {
		return err
	}
	defer listener.Close()

	background, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { rules.reloadOn(background, hangups) })

	server := newServer(newAPI(rules, audit), limit, log)
	log.Info("serving", "socket", s.socket, "users", rules.get().users.String(), "verifiers", rules.get().verifiers.String())
	err = serveUntil(ctx, server, listener, s.grace, log)
	counts := listener.Counts()
	log.Info("stopped", "accepted", counts.Accepted, "denied", counts.Denied, "failed", counts.Failed, "unreported", counts.Unreported)
	return err
}

// limits are how long a client may take. At the end, grace is for all requests together.
// Tests change them, to pass on a slow machine.
var limits = struct{ header, read, write, idle, grace time.Duration }{
	header: 5 * time.Second,
	read:   30 * time.Second,
	write:  time.Minute,
	idle:   2 * time.Minute,
	grace:  10 * time.Second,
}

// newServer limits the time and memory that a client can take.
func newServer(a *api, limit *connectionLimit, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:                      a.handler(),
		ConnContext:                  guard.ConnContext,
		ConnState:                    limit.track,
		ReadHeaderTimeout:            limits.header,
		ReadTimeout:                  limits.read,
		WriteTimeout:                 limits.write,
		IdleTimeout:                  limits.idle,
		MaxHeaderBytes:               8 << 10,
		DisableGeneralOptionsHandler: true, // which would answer "OPTIONS *" unasked and unlogged
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
}

// serveUntil serves until ctx is done. Then it removes the socket file, and waits up to
// grace for the requests that are being served.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, grace time.Duration, log *slog.Logger) error {
	told := make(chan struct{})
	server.RegisterOnShutdown(func() { // called once the listener is closed
		log.Info("stopping: the socket is closed, requests under way are answered")
		close(told)
	})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended: // the listener failed, and no peer caused that
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := server.Shutdown(patience)
	<-told
	<-ended
	if errors.Is(err, context.DeadlineExceeded) {
		server.Close()
		return fmt.Errorf("requests that took longer than %v at the end were cut off", grace)
	}
	return err
}
