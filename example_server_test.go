//go:build unix

package peercred_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"

	"example.com/peercred/guard"
)

// A server for its own user and nobody else.
func Example_server() {
	listener, err := guard.Listen(context.Background(), "unix", "/tmp/secrets.sock", guard.Config{
		Policy: guard.CurrentUser(),
		OnDeny: guard.LogDenied(slog.Default()),
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "the secret\n")
	})))
}
