package guard

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/peercred"
)

// whoAmI answers with the client's ids.
var whoAmI = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	peer, ok := FromContext(r.Context())
	fmt.Fprintf(w, "%v %v", peer, ok)
})

// serveHTTP serves until the test ends.
func serveHTTP(t *testing.T, server *http.Server, serve func() error) {
	t.Helper()
	done := make(chan error)
	go func() { done <- serve() }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("Serve = %v, want http.ErrServerClosed", err)
		}
	})
}

// clientOf is an HTTP client of a listener. Protocols of nil are HTTP/1.1.
func clientOf(t *testing.T, listener net.Listener, protocols *http.Protocols) *http.Client {
	t.Helper()
	insecure := &tls.Config{InsecureSkipVerify: true}
	if protocols == nil {
		conn := dialAny(t, listener)
		return &http.Client{Transport: &oneConnection{plain: conn, secure: tls.Client(conn, insecure)}}
	}
	transport := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, listener.Addr().Network(), listener.Addr().String())
		},
		TLSClientConfig: insecure,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// oneConnection makes all requests on one connection, in HTTP/1.1. On a busy machine
// http.Transport opens more. It drops a connection if it does not know, 50 ms after the
// answer, that the request is written.
type oneConnection struct{ plain, secure net.Conn }

func (c *oneConnection) RoundTrip(request *http.Request) (*http.Response, error) {
	conn := c.plain
	if request.URL.Scheme == "https" {
		conn = c.secure
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), request) // which has the answer and no more
}

// get returns status, protocol and body.
func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %s", response.StatusCode, response.Proto, body)
}

func ourselves() string {
	return fmt.Sprintf("pid=%d uid=%d gid=%d", os.Getpid(), os.Geteuid(), os.Getegid())
}

// httpVersion is a way to serve HTTP.
type httpVersion struct {
	name      string
	protocols *http.Protocols
	scheme    string
	version   string // in answers
}

func httpVersions() []httpVersion {
	h2c, h2 := new(http.Protocols), new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	h2.SetHTTP2(true)
	return []httpVersion{
		{"HTTP/1.1", nil, "http", "HTTP/1.1"},
		{"h2c", h2c, "http", "HTTP/2.0"},
		{"TLS", nil, "https", "HTTP/1.1"},
		{"TLS and HTTP/2", h2, "https", "HTTP/2.0"},
	}
}

func TestHTTP(t *testing.T) {
	for _, test := range httpVersions() {
		t.Run(test.name, func(t *testing.T) {
			listener := listenAs(t, Config{Policy: everybody()})
			mux := http.NewServeMux()
			mux.Handle("/in", Require(CurrentUser())(whoAmI))
			mux.Handle("/out", Require(UIDs())(whoAmI))
			server := &http.Server{Handler: mux, ConnContext: ConnContext, Protocols: test.protocols}
			serve := func() error { return server.Serve(listener) }
			if test.scheme == "https" {
				server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
				serve = func() error { return server.ServeTLS(listener, "", "") }
			}
			serveHTTP(t, server, serve)
			client := clientOf(t, listener, test.protocols)
			for range 3 {
				if got, want := get(t, client, test.scheme+"://host/in"), "200 "+test.version+" "+ourselves()+" true"; got != want {
					t.Errorf("%q, want %q", got, want)
				}
				if got, want := get(t, client, test.scheme+"://host/out"), "403 "+test.version+" "; got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			// The client may open a second connection if the first is slow to become free.
			if got := listener.Counts().Accepted; got == 0 || got > 2 {
				t.Errorf("%d connections for six requests, want that later ones are on a kept connection", got)
			}
		})
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A request whose connection has no credentials is denied. The error says what is wrong
// with the server. The log says it once.
func TestRequestsWithoutAPeer(t *testing.T) {
	needCredentials(t)
	admitted := listenAs(t, Config{Policy: everybody()})
	dialPlain(t, admitted)
	outer := ConnContext(t.Context(), acceptPeer(t, admitted))
	if _, ok := FromContext(outer); !ok {
		t.Fatal("the outer context has no peer")
	}
	const noConnContext = "guard: the request has no peer: set http.Server.ConnContext to guard.ConnContext, and serve from a guard.Listener"
	const noListener = "guard: the request has no peer: it came on a *net.UnixConn, not from a guard.Listener: serve from one"
	for _, test := range []struct {
		name    string
		guarded bool
		server  *http.Server
		want    string
	}{
		{"no ConnContext", true, &http.Server{}, noConnContext},
		{"neither", false, &http.Server{}, noConnContext},
		{"no guard.Listener", false, &http.Server{ConnContext: ConnContext}, noListener},
		{"an outer peer", false, &http.Server{ConnContext: ConnContext, BaseContext: func(net.Listener) context.Context { return outer }}, noListener},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener := plainOrGuarded(t, test.guarded)
			text := logged(t)
			var told []*Denied
			note := func(_ *http.Request, d *Denied) { told = append(told, d) }
			mux := http.NewServeMux()
			mux.Handle("/a", Require(everybody(), note)(whoAmI))
			mux.Handle("/b", Require(everybody(), note)(whoAmI))
			test.server.Handler = mux
			serveHTTP(t, test.server, func() error { return test.server.Serve(listener) })
			client := clientOf(t, listener, nil)
			for _, route := range []string{"/a", "/b", "/a"} {
				if got, want := get(t, client, "http://host"+route), "500 HTTP/1.1 "; got != want {
					t.Errorf("%s: %q, want %q", route, got, want)
				}
			}
			for _, d := range told {
				if d.Credentials != nil || d.Rule != "a known peer" || !d.Failed || d.Err.Error() != test.want {
					t.Errorf("the hook gets %+v, want %s", d, test.want)
				}
			}
			if len(told) != 3 {
				t.Errorf("the hook is called %d times", len(told))
			}
			want := fmt.Sprintf("level=ERROR msg=\"guard: requests are denied\" address=%s reason=%q\n", listener.Addr(), test.want)
			if diff := cmp.Diff(want, text.String()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
	if peer, ok := FromContext(context.Background()); ok || peer != (Peer{}) {
		t.Errorf("a context without a peer has %v", peer)
	}
	unasked := ConnContext(t.Context(), &Conn{}) // which nobody admitted
	if peer, ok := FromContext(unasked); ok || peer != (Peer{}) {
		t.Errorf("a Conn without a peer has %v", peer)
	}
	if got, want := whyUnknown(unasked).Error(), "it came on a *guard.Conn"; !strings.Contains(got, want) {
		t.Errorf("of a Conn without a peer: %q, want %q", got, want)
	}
}

// plainOrGuarded returns a listener of package net, or one that admits everybody.
func plainOrGuarded(t *testing.T, guarded bool) net.Listener {
	t.Helper()
	if guarded {
		return listenAs(t, Config{Policy: everybody()})
	}
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// router has the method by which many routers take middleware.
type router struct {
	*http.ServeMux
	middleware []func(http.Handler) http.Handler
}

func (r *router) Use(middleware ...func(http.Handler) http.Handler) {
	r.middleware = append(r.middleware, middleware...)
}

func (r *router) handler() (h http.Handler) {
	h = r.ServeMux
	for _, wrap := range slices.Backward(r.middleware) {
		h = wrap(h)
	}
	return h
}

// Require goes around a route, and around all of them with other middleware.
func TestRequireIsMiddleware(t *testing.T) {
	var passed []string
	pass := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				passed = append(passed, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	hooks := []func(*http.Request, *Denied){func(*http.Request, *Denied) { passed = append(passed, "denied") }}
	r := &router{ServeMux: http.NewServeMux()}
	r.Use(pass("before"), Require(UIDs(1, 2), hooks...), pass("after"))
	hooks[0] = nil // what a caller does to its hooks afterwards changes nothing
	r.Handle("GET /of-1", Require(UIDs(1))(pass("handler")(whoAmI)))
	handler := r.handler()
	for _, test := range []struct {
		uid    uint32
		status int
		want   []string
	}{
		{1, http.StatusOK, []string{"before", "after", "handler"}},
		{2, http.StatusForbidden, []string{"before", "after"}},
		{3, http.StatusForbidden, []string{"before", "denied"}},
	} {
		passed = nil
		request := httptest.NewRequest("GET", "/of-1", nil)
		peer := peerWith(peercred.PeerCredentials{UID: test.uid}, nil, "")
		request = request.WithContext(ConnContext(request.Context(), peer.conn))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if diff := cmp.Diff(test.want, passed); diff != "" || recorder.Code != test.status {
			t.Errorf("uid %d: status %d, want %d, and passed (-want +got):\n%s", test.uid, recorder.Code, test.status, diff)
		}
	}
}

// The reason of a denial goes to the hook, and nowhere else. A policy that cannot decide is
// a failure of the server.
func TestRequireTellsTheHook(t *testing.T) {
	secret := errors.New("the reason, with uid and rule")
	for _, test := range []struct {
		name   string
		policy Policy
		status int
		denied Denied
	}{
		{"denied", UIDs(), http.StatusForbidden, Denied{Rule: "uid in an empty list"}},
		{"denied for a reason", Func("secret", func(Peer) error { return secret }), http.StatusForbidden, Denied{Rule: "secret", Err: secret}},
		{"undecided", Labels("x"), http.StatusInternalServerError, Denied{Rule: `security label "x"`, Failed: true}},
		{"the zero policy", Policy{}, http.StatusForbidden, Denied{Rule: "nobody"}},
	} {
		var told []*Denied
		handler := Require(test.policy, func(r *http.Request, d *Denied) {
			if r.URL.Path != "/route" {
				t.Errorf("%s: the hook gets %s", test.name, r.URL)
			}
			told = append(told, d)
		})(whoAmI)
		peer := reticent(1, 2)
		request := httptest.NewRequest("GET", "/route", nil)
		request = request.WithContext(ConnContext(request.Context(), peer.conn))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != test.status || recorder.Body.Len() != 0 || len(recorder.Header()) != 0 {
			t.Errorf("%s: %d, %v, %q, want %d and nothing more", test.name, recorder.Code, recorder.Header(), recorder.Body, test.status)
		}
		if len(told) != 1 {
			t.Fatalf("%s: the hook was called %d times", test.name, len(told))
		}
		if test.denied.Failed {
			told[0].Err = nil
		}
		test.denied.Credentials = &peercred.PeerCredentials{UID: 1, GID: 2}
		if diff := cmp.Diff(test.denied, *told[0], cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("%s: the hook got (-want +got):\n%s", test.name, diff)
		}
	}
}

// A policy can change between the requests of one connection, which stays open.
func TestRequireAsksForEveryRequest(t *testing.T) {
	var closed atomic.Bool
	listener := listenAs(t, Config{Policy: everybody()})
	server := &http.Server{ConnContext: ConnContext, Handler: Require(Func("while open", func(Peer) error { return deniedUnless(!closed.Load()) }))(whoAmI)}
	serveHTTP(t, server, func() error { return server.Serve(listener) })
	client := clientOf(t, listener, nil)
	for _, shut := range []bool{false, true, false} {
		closed.Store(shut)
		want := map[bool]string{false: "200", true: "403"}[shut]
		if got := get(t, client, "http://host/"); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want the status %s", got, want)
		}
	}
	if got := listener.Counts().Accepted; got != 1 {
		t.Errorf("%d connections for three requests, want 1", got)
	}
}

// A denied peer is not served a single request. It reads the end of the connection,
// whatever it sent before it was accepted.
func TestNoRequestBeforeTheCheck(t *testing.T) {
	listener := listenAs(t, Config{Policy: UIDs()})
	var served atomic.Int32
	server := &http.Server{ConnContext: ConnContext, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })}
	client := dialPlain(t, listener)
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: host\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, server, func() error { return server.Serve(listener) })
	if line, err := bufio.NewReader(client).ReadString('\n'); line != "" || err == nil {
		t.Errorf("it read %q, %v", line, err)
	}
	if served.Load() != 0 {
		t.Errorf("%d requests were served", served.Load())
	}
}

func TestRequireAllocatesNothing(t *testing.T) {
	peer := peerWith(peercred.PeerCredentials{UID: 1}, nil, "")
	request := httptest.NewRequest("GET", "/", nil)
	request = request.WithContext(ConnContext(request.Context(), peer.conn))
	handler := Require(UIDs(1))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	recorder := httptest.NewRecorder()
	if n := testing.AllocsPerRun(100, func() { handler.ServeHTTP(recorder, request) }); n != 0 {
		t.Errorf("%v allocations for a request", n)
	}
}

// eventsWriter notes when an answer is sent.
type eventsWriter struct {
	http.ResponseWriter
	events *[]string
}

func (w eventsWriter) WriteHeader(status int) {
	*w.events = append(*w.events, fmt.Sprint("answer ", status))
	w.ResponseWriter.WriteHeader(status)
}

// The hooks of Require run before the answer, in their order.
func TestRequireCallsHooksFirst(t *testing.T) {
	var events []string
	hook := func(name string) func(*http.Request, *Denied) {
		return func(*http.Request, *Denied) { events = append(events, name) }
	}
	handler := Require(CurrentUser(), hook("first"), hook("second"))(http.NotFoundHandler())
	handler.ServeHTTP(eventsWriter{httptest.NewRecorder(), &events}, httptest.NewRequest(http.MethodGet, "/", nil))
	if diff := cmp.Diff([]string{"first", "second", "answer 500"}, events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
