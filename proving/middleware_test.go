package proving

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/go-chi/chi/v5"

	"example.com/peercred/guard"
)

// guard.Require is middleware as chi takes it: for a whole router, a group and one route.
func TestRequireWithChi(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a system that reports who connects")
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		if _, known := guard.FromContext(r.Context()); known {
			io.WriteString(w, "known")
		}
	}
	var denied []string // paths
	hook := func(r *http.Request, d *guard.Denied) { denied = append(denied, r.URL.Path+" "+d.Rule) }
	router := chi.NewRouter()
	router.Use(guard.Require(guard.CurrentUser(), hook))
	router.Get("/all", answer)
	router.With(guard.Require(guard.Nobody(), hook)).Get("/route", answer)
	router.Route("/group", func(r chi.Router) {
		r.Use(guard.Require(guard.Nobody(), hook))
		r.Get("/one", answer)
	})

	path := filepath.Join(t.TempDir(), "s")
	listener, err := guard.Listen(t.Context(), "unix", path, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: router, ConnContext: guard.ConnContext}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	for _, test := range []struct {
		path   string
		status int
		body   string
		denied string
	}{
		{"/all", http.StatusOK, "known", ""},
		{"/route", http.StatusForbidden, "", "/route nobody"},
		{"/group/one", http.StatusForbidden, "", "/group/one nobody"},
	} {
		denied = nil
		response, err := client.Get("http://server" + test.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != test.status || string(body) != test.body {
			t.Errorf("%s: status %d, %q, %v; want %d, %q", test.path, response.StatusCode, body, err, test.status, test.body)
		}
		if got := append(denied, "")[0]; len(denied) > 1 || got != test.denied {
			t.Errorf("%s: the hook got %q, want %q", test.path, denied, test.denied)
		}
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}
