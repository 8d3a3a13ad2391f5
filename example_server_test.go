//go:build unix

package peercred_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"example.com/peercred/guard"
)

// A server that admits root and its own user, and gives the secret only to its own user.
func Example_server() {
	listener, err := guard.Listen(context.Background(), "unix", "/tmp/secrets.sock", guard.Config{
		Policy: guard.AnyOf(guard.CurrentUser(), guard.UIDs(0)),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		peer, _ := guard.FromContext(r.Context())
		fmt.Fprintln(w, "you are", peer)
	})
	onlyUs := guard.Require(guard.CurrentUser())
	mux.Handle("/secret", onlyUs(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "the secret")
	})))
	server := &http.Server{Handler: mux, ConnContext: guard.ConnContext}
	log.Fatal(server.Serve(listener))
}
