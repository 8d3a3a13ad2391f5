//go:build unix && !netbsd

package guard_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"example.com/peercred/guard"
)

// listenLoopback listens on TCP, or on a Unix socket where TCP does not report the user.
func listenLoopback(dir string) *guard.Listener {
	config := guard.Config{Policy: guard.CurrentUser()}
	listener, err := guard.Listen(context.Background(), "tcp", "127.0.0.1:0", config)
	if err != nil {
		listener, err = guard.Listen(context.Background(), "unix", filepath.Join(dir, "s"), config)
	}
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// A server on loopback TCP for our own user, and a client that checks who serves.
func ExampleListen_tcp() {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listener := listenLoopback(dir) // guard.Listen(ctx, "tcp", "127.0.0.1:0", config)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.AcceptPeer()
			if err != nil {
				return
			}
			uid, err := conn.Peer().UID()
			fmt.Fprint(conn, uid == uint32(os.Geteuid()), " ", err, "\n")
			io.Copy(io.Discard, conn) // until the client has closed
			conn.Close()
		}
	}()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := guard.Dial(ctx, listener.Addr().Network(), listener.Addr().String(), guard.CurrentUser())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.CloseWrite()
	said, err := io.ReadAll(conn)
	fmt.Print(string(said), err)
	// Output:
	// true <nil>
	// <nil>
}

// onlyHosts refuses requests for another host. A web page whose name leads to 127.0.0.1 (DNS
// rebinding) makes a browser send them. The browser is a process of its user, so a policy
// admits it.
func onlyHosts(next http.Handler, hosts ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(hosts, r.Host) {
			http.Error(w, "unknown host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A server on loopback TCP that refuses the requests which other web sites make in a browser
// of an admitted user.
func ExampleListen_browser() {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listener := listenLoopback(dir)
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "done") })
	handler = http.NewCrossOriginProtection().Handler(handler) // checks Sec-Fetch-Site and Origin
	handler = onlyHosts(handler, "localhost:8080", "127.0.0.1:8080")
	server := &http.Server{Handler: handler, ConnContext: guard.ConnContext}
	go server.Serve(listener)
	defer server.Close()

	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return guard.Dial(ctx, listener.Addr().Network(), listener.Addr().String(), guard.CurrentUser())
		},
	}}
	for _, from := range []struct{ host, origin string }{
		{"localhost:8080", ""},
		{"localhost:8080", "http://localhost:8080"},
		{"localhost:8080", "https://evil.example"},
		{"evil.example:8080", "http://evil.example:8080"},
	} {
		request, err := http.NewRequest("POST", "http://"+from.host, nil)
		if err != nil {
			log.Fatal(err)
		}
		if from.origin != "" {
			request.Header.Set("Origin", from.origin)
		}
		response, err := client.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Printf("%d for host %s, origin %q\n", response.StatusCode, from.host, from.origin)
	}
	// Output:
	// 200 for host localhost:8080, origin ""
	// 200 for host localhost:8080, origin "http://localhost:8080"
	// 403 for host localhost:8080, origin "https://evil.example"
	// 421 for host evil.example:8080, origin "http://evil.example:8080"
}
