//go:build unix && !netbsd

package guard_test

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// exampleListener listens on a temporary socket, and admits our own user.
func exampleListener() (listener *guard.Listener, path string, remove func()) {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "s")
	listener, err = guard.Listen(context.Background(), "unix", path, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		log.Fatal(err)
	}
	return listener, path, func() {
		listener.Close()
		os.RemoveAll(dir)
	}
}

// A server for our own user and nobody else.
func ExampleListen() {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")

	listener, err := guard.Listen(context.Background(), "unix", path, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "the secret")
			conn.Close()
		}
	}()

	conn, err := net.Dial("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	fmt.Println(string(said), err)
	// Output: the secret <nil>
}

// A server for root and the members of a group. It logs and counts denied peers.
func ExampleListen_group() {
	operators, err := guard.GroupNames("operators")
	if err != nil {
		log.Print(err) // operators denies every peer then
	}
	listener, err := guard.Listen(context.Background(), "unix", "/run/agent/s", guard.Config{
		Policy: guard.AnyOf(guard.UIDs(0), operators),
		Mode:   0o660,
		Group:  "operators",
		OnDeny: guard.LogDenied(slog.Default()),
	})
	if err != nil {
		log.Print(err)
		return
	}
	expvar.Publish("agent", expvar.Func(func() any { return listener.Counts() }))
	log.Print(http.Serve(listener, http.NotFoundHandler()))
}

// The socket of the unit agent.socket, or our own socket if no service manager handed one
// over.
func ExampleInherited() {
	config := guard.Config{Policy: guard.CurrentUser()}
	listener, err := guard.Inherited("agent.socket", config)
	if errors.Is(err, guard.ErrNotActivated) {
		listener, err = guard.Listen(context.Background(), "unix", "/run/agent/s", config)
	}
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(http.Serve(listener, http.NotFoundHandler()))
}

// A listener of package net.
func ExampleNewListener() {
	inner, err := net.Listen("unix", "@agent")
	if err != nil {
		log.Print(err)
		return
	}
	listener, err := guard.NewListener(inner, guard.Config{Policy: guard.CurrentUser()})
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(http.Serve(listener, http.NotFoundHandler()))
}

// A connection that comes from elsewhere.
func ExampleAdmit() {
	ours, theirs := net.Pipe() // which is no Unix socket
	defer theirs.Close()
	_, err := guard.Admit(ours, guard.CurrentUser())
	notUnix, ok := errors.AsType[*peercred.ErrNotUnixSocket](err)
	fmt.Println(ok && notUnix.ConnType == "unknown")
	denied, ok := errors.AsType[*guard.Denied](err)
	fmt.Println(ok && denied.Failed)
	// Output:
	// true
	// true
}

// A client that sends its secret only to a server of its own user.
func ExampleDial() {
	listener, path, remove := exampleListener()
	defer remove()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()

	conn, err := guard.Dial(context.Background(), "unix", path, guard.CurrentUser())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "the secret")
	conn.CloseWrite()
	said, err := io.ReadAll(conn)
	fmt.Println(string(said), err)
	// Output: the secret <nil>
}

// An HTTP server that knows who sent each request.
func ExampleConnContext() {
	listener, path, remove := exampleListener()
	defer remove()
	server := &http.Server{
		ConnContext: guard.ConnContext,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			peer, ok := guard.FromContext(r.Context())
			if !ok {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprint(w, peer.Credentials().UID == uint32(os.Geteuid()))
		}),
	}
	go server.Serve(listener)
	defer server.Close()

	fmt.Println(exampleGet(path, "/"))
	// Output: 200 true
}

// A rule for each route, and a hook that logs the denied requests.
func ExampleRequire() {
	listener, path, remove := exampleListener()
	defer remove()
	note := func(r *http.Request, d *guard.Denied) { log.Printf("%s: %v", r.Pattern, d) }
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux := http.NewServeMux()
	mux.Handle("GET /for-me", guard.Require(guard.CurrentUser(), note)(hello))
	mux.Handle("GET /for-nobody", guard.Require(guard.UIDs(), note)(hello))
	server := &http.Server{ConnContext: guard.ConnContext, Handler: mux}
	go server.Serve(listener)
	defer server.Close()

	fmt.Println(exampleGet(path, "/for-me"))
	fmt.Println(exampleGet(path, "/for-nobody"))
	// Output:
	// 200 hello
	// 403
}

// A denied client that reads "403 Forbidden". A Listener closes the connections of denied
// peers. So this Listener admits everybody who can connect, and Require decides.
func ExampleRequire_forbidden() {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")

	everybody := guard.Func("everybody", func(guard.Peer) error { return nil })
	listener, err := guard.Listen(context.Background(), "unix", path, guard.Config{Policy: everybody, Mode: 0o666})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /secret", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the secret") })
	anotherUser := guard.UIDs(uint32(os.Geteuid()) + 1)
	server := &http.Server{
		ConnContext: guard.ConnContext,
		Handler: guard.Require(anotherUser, func(r *http.Request, d *guard.Denied) {
			slog.Warn("request denied", "route", r.URL.Path, "denied", d)
		})(mux),
	}
	go server.Serve(listener)
	defer server.Close()

	fmt.Println(exampleGet(path, "/secret"))
	// Output: 403
}

// exampleGet returns status and body of one request.
func exampleGet(path, url string) string {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return guard.Dial(ctx, "unix", path, guard.CurrentUser())
		},
	}}
	response, err := client.Get("http://unix" + url)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	if len(body) == 0 {
		return fmt.Sprint(response.StatusCode)
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

// A custom rule: office hours.
func ExampleFunc() {
	office := guard.Func("office hours", func(guard.Peer) error {
		if hour := time.Now().Hour(); hour < 8 || hour > 18 {
			return errors.New("come back later")
		}
		return nil
	})
	policy := guard.AllOf(guard.CurrentUser(), office)
	fmt.Println(policy.Allow(guard.Peer{}) != nil) // nobody is never admitted
	// Output: true
}
