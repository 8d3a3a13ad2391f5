//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/peercred/guard"
	"github.com/google/go-cmp/cmp"
)

func TestCredentials(t *testing.T) {
	s := startServer(t, rulesFor([]string{me(t)}, nil))
	c := s.client(t)
	before := time.Now().Truncate(time.Second)
	a := c.do(t, "GET", "/v1/credentials", "")
	after := time.Now()
	var got credentials
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	want := jsonAnswer(fmt.Sprintf("{\"uid\":%d,\"user\":%q,\"token\":%q,\"issued_at\":%q,\"expires_at\":%q}\n", os.Geteuid(), me(t),
		got.Token, got.IssuedAt.Format("2006-01-02T15:04:05Z"), got.IssuedAt.Add(15*time.Minute).Format("2006-01-02T15:04:05Z")))
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got.Token) != 43 || got.IssuedAt.Before(before) || got.IssuedAt.After(after) {
		t.Errorf("%+v, between %v and %v", got, before, after)
	}
	if again := c.fetch(t); again.Token == got.Token {
		t.Error("the same token twice")
	}
}

func TestIntrospect(t *testing.T) {
	s := startServer(t, rulesFor([]string{me(t)}, []string{me(t)}))
	c := s.client(t)
	mine := c.fetch(t)
	fits := `{"token": "` + strings.Repeat("x", 4096-len(`{"token": ""}`)) + `"}`
	for _, test := range []struct {
		body string
		want answer
	}{
		{tokenBody(mine.Token), jsonAnswer(active(mine))},
		{tokenBody(mine.Token[1:]), jsonAnswer(inactive)},
		{tokenBody(""), jsonAnswer(inactive)},
		{fits, jsonAnswer(inactive)},
		{fits + " ", answer{Status: 413}},
		{"", answer{Status: 400}},
		{"{}", answer{Status: 400}},
		{`{"token": null}`, answer{Status: 400}},
		{`{"token": 1}`, answer{Status: 400}},
		{`"` + mine.Token + `"`, answer{Status: 400}},
		{"token=" + mine.Token, answer{Status: 400}},
		{tokenBody(mine.Token) + tokenBody(mine.Token), answer{Status: 400}},
		{`{"token": "x", "token": "` + mine.Token + `"}`, answer{Status: 400}},
		{`{"token": "` + mine.Token + `", "uid": 0}`, answer{Status: 400}},
		{`{"TOKEN": "` + mine.Token + `"}`, answer{Status: 400}},
		{`{"token": ["` + mine.Token + `"]}`, answer{Status: 400}},
		{`{"token": {"token": "` + mine.Token + `"}}`, answer{Status: 400}},
	} {
		if diff := cmp.Diff(test.want, c.do(t, "POST", "/v1/introspect", test.body)); diff != "" {
			t.Errorf("%.60s (-want +got):\n%s", test.body, diff)
		}
	}
	if strings.Contains(s.log.String(), mine.Token[1:]) {
		t.Error("the token is in the log")
	}
}

// TestTokenOutlivesConnection also has rules that name the user by a group.
func TestTokenOutlivesConnection(t *testing.T) {
	s := startServer(t, rulesFor([]string{me(t)}, []string{me(t)}))
	first := s.client(t)
	mine := first.fetch(t)
	first.CloseIdleConnections()
	if got := s.client(t).introspect(t, mine.Token); got != active(mine) {
		t.Errorf("%s, want %s", got, active(mine))
	}
}

func TestRoutes(t *testing.T) {
	user, verifier := rulesFor([]string{me(t)}, nil), rulesFor(nil, []string{me(t)})
	for _, test := range []struct {
		rules, method, path string
		want                answer
		route               string
	}{
		{user, "HEAD", "/v1/credentials", answer{Status: 405, Allow: "GET"}, "/v1/credentials"},
		{user, "POST", "/v1/credentials", answer{Status: 405, Allow: "GET"}, "/v1/credentials"},
		{user, "GET", "/v1/introspect", answer{Status: 403}, "/v1/introspect"},
		{user, "POST", "/v1/introspect", answer{Status: 403}, "/v1/introspect"},
		{verifier, "GET", "/v1/introspect", answer{Status: 405, Allow: "POST"}, "/v1/introspect"},
		{verifier, "GET", "/v1/credentials", answer{Status: 403}, "/v1/credentials"},
		{user, "GET", "/", answer{Status: 404}, "-"},
		{user, "GET", "/secret-path?secret=query", answer{Status: 404}, "-"},
		{user, "GET", "/v1/credentials/", answer{Status: 404}, "-"},
		{user, "GET", "//v1/credentials", answer{Status: 404}, "-"},
		{user, "GET", "/v1/credentials?secret=x", answer{Status: 400}, "/v1/credentials"},
		{user, "POST", "/v1/credentials?secret=x", answer{Status: 405, Allow: "GET"}, "/v1/credentials"},
		{verifier, "POST", "/v1/introspect?secret=x&secret=y", answer{Status: 400}, "/v1/introspect"},
		{verifier, "GET", "/v1/credentials?secret=x", answer{Status: 403}, "/v1/credentials"},
		{user, "GET", "/v1/../v1/credentials", answer{Status: 404}, "-"},
		{user, "SECRET-METHOD", "/", answer{Status: 404}, "-"},
	} {
		s := startServer(t, test.rules)
		if diff := cmp.Diff(test.want, s.client(t).do(t, test.method, test.path, "")); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.path, diff)
		}
		denied := test.want.Status == 403
		s.log.await(t, 1, fields{"msg": "request", "route": test.route, "status": itoa(test.want.Status), "denied": fmt.Sprint(denied)})
		if n := s.log.count(t, fields{"msg": "request"}); n != 1 || strings.Contains(strings.ToLower(s.log.String()), "secret") {
			t.Errorf("%s %s: %d lines for one request, or what the client chose:\n%s", test.method, test.path, n, s.log)
		}
	}
}

// TestOptionsOfServer makes the requests that net/http would answer itself.
func TestOptionsOfServer(t *testing.T) {
	s := startServer(t, rulesFor([]string{me(t)}, nil))
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 404 {
		t.Errorf("%v, %v; want 404", response, err)
	}
	s.log.await(t, 1, fields{"msg": "request", "method": "OPTIONS", "route": "-", "status": "404"})
}

// TestReload keeps one connection open while the rules change.
func TestReload(t *testing.T) {
	both := []string{me(t)}
	s := startServer(t, rulesFor(both, both))
	c := s.client(t)
	mine := c.fetch(t)

	s.reload(t, "{", notReloaded, 1)
	if got := c.introspect(t, mine.Token); got != active(mine) {
		t.Errorf("after rules that cannot be read: %s", got)
	}
	c.fetch(t)

	s.reload(t, rulesFor(nil, both), reloaded, 1)
	if got := c.introspect(t, mine.Token); got != inactive {
		t.Errorf("of a user who is no longer named: %s", got)
	}
	if got := c.do(t, "GET", "/v1/credentials", ""); got != (answer{Status: 403}) {
		t.Errorf("to a user who is no longer named: %+v", got)
	}

	s.reload(t, "{}", reloaded, 2)
	for _, path := range []string{"/v1/credentials", "/v1/introspect", "/"} {
		if got := c.do(t, "GET", path, ""); got != (answer{Status: 403}) {
			t.Errorf("%s, to nobody: %+v", path, got)
		}
	}

	s.reload(t, `{"lifetime": "10s", `+rulesFor(both, both)[1:], reloaded, 3)
	if got := c.introspect(t, mine.Token); got != active(mine) {
		t.Errorf("of a user who is named again: %s", got)
	}
	if got := c.fetch(t); got.ExpiresAt.Sub(got.IssuedAt) != 10*time.Second {
		t.Errorf("%+v, want the new lifetime", got)
	}
	if c.dials != 1 {
		t.Errorf("%d connections, want the same one all the time", c.dials)
	}
}

func TestConnectionLimit(t *testing.T) {
	s := startServer(t, rulesFor([]string{me(t)}, nil))
	var clients []*client
	for range maxConnectionsOfUser {
		c := s.client(t)
		c.fetch(t)
		clients = append(clients, c)
	}
	if _, err := s.client(t).Get("http://localhost/v1/credentials"); err == nil {
		t.Error("one connection more than allowed is served")
	}
	s.log.await(t, 1, fields{"msg": "connection denied", "uid": itoa(os.Geteuid()), "denied": "true", "rule": "at most 64 connections of one user and 512 of all", "reason": "64 of the user are open", "executable": "-"})
	clients[0].CloseIdleConnections()
	// The server has seen that when it admits the next one, sooner or later.
	hopeless := time.Now().Add(patience)
	for {
		response, err := s.client(t).Get("http://localhost/v1/credentials")
		if err == nil {
			response.Body.Close()
			break
		}
		if time.Now().After(hopeless) {
			t.Fatal("nobody is admitted after a connection was closed")
		}
	}
}

func TestConnectionLimitCounts(t *testing.T) {
	ours, _ := connect(t)
	limit := newConnectionLimit(2, 9)
	for _, step := range []struct {
		state   http.ConnState
		refused bool
	}{
		{http.StateNew, false}, {http.StateActive, false}, {http.StateIdle, false}, {http.StateNew, true},
		{http.StateClosed, false}, {http.StateNew, true}, {http.StateClosed, false}, {http.StateClosed, false},
	} {
		limit.track(ours, step.state)
		if err := limit.policy().Allow(ours.Peer()); (err != nil) != step.refused {
			t.Errorf("after %v: %v; want denied %v", step.state, err, step.refused)
		}
	}
	if len(limit.byUID) != 0 || limit.open != 0 {
		t.Errorf("%v and %d are stored for users who are gone", limit.byUID, limit.open)
	}
}

// TestServerIsBounded has clients that are slow, or never end.
func TestServerIsBounded(t *testing.T) {
	patient := limits
	limits = shippedLimits
	t.Cleanup(func() { limits = patient })
	a, log := newTestAPI(t, "{}")
	server := newServer(a, newConnectionLimit(1, 1), a.audit.log)
	for name, limit := range map[string]time.Duration{
		"ReadHeaderTimeout": server.ReadHeaderTimeout, "ReadTimeout": server.ReadTimeout,
		"WriteTimeout": server.WriteTimeout, "IdleTimeout": server.IdleTimeout,
	} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("%s is %v", name, limit)
		}
	}
	if server.MaxHeaderBytes <= 0 || server.MaxHeaderBytes > 64<<10 {
		t.Errorf("MaxHeaderBytes is %d", server.MaxHeaderBytes)
	}
	// net/http logs the client's address, which the client chooses.
	server.ErrorLog.Print("panic serving x\nlevel=INFO")
	log.await(t, 1, fields{"level": "ERROR", "msg": "panic serving x\nlevel=INFO"})
}

// TestGracefulEnd ends the server while a request's body is on its way.
func TestGracefulEnd(t *testing.T) {
	s := startServer(t, rulesFor(nil, []string{me(t)}))
	held := hold(t, dialer(s.socket))
	s.stop()
	s.log.await(t, 1, fields{"msg": stopping})
	if _, err := os.Lstat(s.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is there still: %v", err)
	}
	if got := held.finish(t); got != inactive {
		t.Errorf("%q, want the answer", got)
	}
	if code := <-s.exit; code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	if lines, _ := s.log.read(); !strings.Contains(lines[len(lines)-1], "msg=stopped accepted=1 ") {
		t.Errorf("the log does not end with the end:\n%s", s.log)
	}
}

const stopping = "stopping: the socket is closed, requests under way are answered"

// TestCutOff ends a server whose client never finishes.
func TestCutOff(t *testing.T) {
	dir := t.TempDir()
	s := settings{socket: filepath.Join(dir, "s"), rules: filepath.Join(dir, "rules"), mode: 0o600, grace: 1}
	writeFile(t, s.rules, rulesFor(nil, []string{me(t)}), 0o600)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log := newLogBook()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, nil, s, slog.New(slog.NewTextHandler(log, nil))) }()
	log.await(t, 1, fields{"msg": "serving"})
	held := hold(t, dialer(s.socket))
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "were cut off") {
		t.Errorf("%v, want an error about the requests that were cut off", err)
	}
	if n, err := held.conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v; want a closed connection", n, err)
	}
}

// heldRequest is a request whose body is on its way.
type heldRequest struct {
	conn   net.Conn
	reader *bufio.Reader
}

const heldBody = `{"token": "x"}`

func dialer(socket string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.Dial("unix", socket) }
}

// hold sends a request without its body, and returns when its handler reads the body. The
// server then sends 100 Continue.
func hold(t *testing.T, dial func() (net.Conn, error)) *heldRequest {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /v1/introspect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(heldBody))
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v; want 100 Continue", line, err)
	}
	if line, err := reader.ReadString('\n'); line != "\r\n" {
		t.Fatalf("%q, %v; want an empty line", line, err)
	}
	return &heldRequest{conn, reader}
}

// finish sends the body, and returns the body of the answer.
func (h *heldRequest) finish(t *testing.T) string {
	t.Helper()
	io.WriteString(h.conn, heldBody)
	response, err := http.ReadResponse(h.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		t.Errorf("status %d, %v", response.StatusCode, err)
	}
	return string(text)
}

// serveHandler serves from a guarded socket that admits everybody.
func serveHandler(t *testing.T, server *http.Server) *client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := guard.Listen(context.Background(), "unix", socket, guard.Config{Policy: everybody})
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return newClient(t, dialer(socket))
}

// TestTooManyTokens runs the API with no room for a token.
func TestTooManyTokens(t *testing.T) {
	a, log := newTestAPI(t, rulesFor([]string{me(t)}, nil))
	a.tokens.most = 0
	c := serveHandler(t, newServer(a, newConnectionLimit(9, 9), a.audit.log))
	if got := c.do(t, "GET", "/v1/credentials", ""); got != (answer{Status: 503}) {
		t.Errorf("%+v, want 503", got)
	}
	log.await(t, 1, fields{"msg": "request", "status": "503", "denied": "false"})
}

// TestRulesThatChangedMeanwhile lets a request in and issues by rules that name nobody.
func TestRulesThatChangedMeanwhile(t *testing.T) {
	a, _ := newTestAPI(t, "{}")
	c := serveHandler(t, &http.Server{Handler: http.HandlerFunc(a.credentials), ConnContext: guard.ConnContext})
	if got := c.do(t, "GET", "/", ""); got != (answer{Status: 403}) {
		t.Errorf("%+v, want 403", got)
	}
	if byHash, byUID := a.tokens.sizes(); byHash != 0 || byUID != 0 {
		t.Errorf("%d and %d tokens are kept, want none", byHash, byUID)
	}
}

// TestWithoutGuard runs the API where no connection has credentials.
func TestWithoutGuard(t *testing.T) {
	a, log := newTestAPI(t, rulesFor([]string{me(t)}, []string{me(t)}))
	server := newServer(a, nil, a.audit.log)
	server.ConnContext, server.ConnState = nil, nil
	c := serveHandler(t, server)
	for _, path := range []string{"/v1/credentials", "/v1/introspect", "/"} {
		if got := c.do(t, "GET", path, ""); got != (answer{Status: 500}) {
			t.Errorf("%s: %+v, want 500", path, got)
		}
	}
	log.await(t, 3, fields{"msg": "request", "pid": "-", "uid": "-", "gid": "-", "executable": "-", "status": "500", "denied": "true", "failed": "true"})

	bare := serveHandler(t, &http.Server{Handler: http.HandlerFunc(a.credentials)})
	if got := bare.do(t, "GET", "/", ""); got != (answer{Status: 500}) {
		t.Errorf("a handler without its guard: %+v, want 500", got)
	}
}

func newTestAPI(t *testing.T, rules string) (*api, *logBook) {
	t.Helper()
	book := newLogBook()
	log := slog.New(slog.NewTextHandler(book, nil))
	path := filepath.Join(t.TempDir(), "rules")
	writeFile(t, path, rules, 0o600)
	live, err := openLiveRules(path, log)
	if err != nil {
		t.Fatal(err)
	}
	return &api{live, newTokens(9, 9), auditor{log}}, book
}

func TestNameOf(t *testing.T) {
	if got := nameOf(0); got != "root" {
		t.Errorf("uid 0 is %q, want root", got)
	}
	if got := nameOf(1<<32 - 2); got != "" {
		t.Errorf("a uid without a name is %q, want none", got)
	}
}

func TestReplyThatCannotBeWritten(t *testing.T) {
	recorder := httptest.NewRecorder()
	reply(recorder, func() {})
	if recorder.Code != http.StatusInternalServerError || recorder.Body.Len() > 0 {
		t.Errorf("%d, %q, want 500 and nothing", recorder.Code, recorder.Body)
	}
}
