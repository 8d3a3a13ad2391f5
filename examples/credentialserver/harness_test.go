//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/peercred/guard"
)

// commandVariable makes the test binary one of these commands.
const commandVariable = "CREDENTIALSERVER_TEST_COMMAND"

var commands = map[string]func(){"serve": main}

func TestMain(m *testing.M) {
	limits.header, limits.read, limits.write, limits.idle, limits.grace = patience, patience, patience, patience, patience
	if command, ok := commands[os.Getenv(commandVariable)]; ok {
		command()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// logBook is a log that a test can read while it is written.
type logBook struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	grown   chan struct{} // closed when there is more
}

func newLogBook() *logBook { return &logBook{grown: make(chan struct{})} }

func (b *logBook) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.partial = append(b.partial, text...)
	for {
		line, rest, found := bytes.Cut(b.partial, []byte("\n"))
		if !found {
			break
		}
		b.lines, b.partial = append(b.lines, string(line)), rest
	}
	close(b.grown)
	b.grown = make(chan struct{})
	return len(text), nil
}

func (b *logBook) read() (lines []string, grown <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines), b.grown
}

// patience ends a wait that would never end. If the code is correct, the wait ends earlier,
// even on a slow machine.
const patience = 5 * time.Minute

// shippedLimits are the command's limits, unless a test changes them.
var shippedLimits = limits

// await waits until n lines have the given fields, and returns the last of them.
func (b *logBook) await(t *testing.T, n int, want fields) fields {
	t.Helper()
	hopeless := time.After(patience)
	for {
		lines, grown := b.read()
		if found := matching(t, lines, want); len(found) >= n {
			return found[n-1]
		}
		select {
		case <-grown:
		case <-hopeless:
			t.Fatalf("no %d lines with %v in the log:\n%s", n, want, strings.Join(lines, "\n"))
		}
	}
}

// count returns how many lines have the given fields by now.
func (b *logBook) count(t *testing.T, want fields) int {
	t.Helper()
	lines, _ := b.read()
	return len(matching(t, lines, want))
}

func (b *logBook) String() string {
	lines, _ := b.read()
	return strings.Join(lines, "\n")
}

// fields are those of a line of the log.
type fields map[string]string

func matching(t *testing.T, lines []string, want fields) (found []fields) {
	t.Helper()
	for _, line := range lines {
		got := parseLine(t, line)
		if maps.EqualFunc(want, selected(got, want), func(a, b string) bool { return a == b }) {
			found = append(found, got)
		}
	}
	return found
}

func selected(from, keys fields) fields {
	s := fields{}
	for key := range keys {
		if value, ok := from[key]; ok {
			s[key] = value
		}
	}
	return s
}

// parseLine reads key=value pairs, whose values are quoted if they must be. A line of another
// form is a field of its own.
func parseLine(t *testing.T, line string) fields {
	t.Helper()
	got := fields{}
	for rest := line; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		key, after, found := strings.Cut(rest, "=")
		if !found || strings.Contains(key, " ") {
			return fields{"other": line}
		}
		value, err := strconv.QuotedPrefix(after)
		if err != nil {
			value, _, _ = strings.Cut(after, " ")
			got[key] = value
		} else if got[key], err = strconv.Unquote(value); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		rest = after[len(value):]
	}
	return got
}

// testServer is the command in this process.
type testServer struct {
	socket, rules string
	log           *logBook
	hangups       chan os.Signal
	stop          func()
	exit          <-chan int
}

// startServer runs the command with rules, and ends it with the test.
func startServer(t *testing.T, rules string) *testServer {
	t.Helper()
	dir := t.TempDir()
	s := &testServer{
		socket: filepath.Join(dir, "s"), rules: filepath.Join(dir, "rules.json"),
		log: newLogBook(), hangups: make(chan os.Signal, 1),
	}
	s.writeRules(t, rules)
	ctx, stop := context.WithCancel(context.Background())
	exit := make(chan int, 1)
	s.stop, s.exit = stop, exit
	done := make(chan struct{})
	go func() {
		defer close(done)
		exit <- run(ctx, s.hangups, []string{"--socket", s.socket, "--rules", s.rules}, io.Discard, s.log)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	s.log.await(t, 1, fields{"msg": "serving"})
	return s
}

func (s *testServer) writeRules(t *testing.T, text string) {
	t.Helper()
	writeFile(t, s.rules, text, 0o600)
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// reload makes the server read the rules, and waits until the log has the message for the
// nth time.
func (s *testServer) reload(t *testing.T, text, message string, n int) {
	t.Helper()
	s.writeRules(t, text)
	s.hangups <- os.Interrupt // any will do
	s.log.await(t, n, fields{"msg": message})
}

// Messages of the log.
const (
	reloaded    = "rules reloaded"
	notReloaded = "rules not reloaded, the old ones stay"
)

// client is an HTTP client with one connection at a time.
type client struct {
	*http.Client
	dials int
}

func newClient(t *testing.T, dial func() (net.Conn, error)) *client {
	c := &client{}
	kept := &keptConnection{dial: func() (net.Conn, error) {
		c.dials++
		return dial()
	}}
	t.Cleanup(kept.CloseIdleConnections)
	c.Client = &http.Client{Transport: kept}
	return c
}

// keptConnection is an http.RoundTripper that dials again only after an error. On a busy
// machine http.Transport does so too if it does not know, 50 ms after the answer, that
// the request is written.
type keptConnection struct {
	dial   func() (net.Conn, error)
	conn   net.Conn
	reader *bufio.Reader
}

func (k *keptConnection) RoundTrip(request *http.Request) (*http.Response, error) {
	if k.conn == nil {
		conn, err := k.dial()
		if err != nil {
			return nil, err
		}
		k.conn, k.reader = conn, bufio.NewReader(conn)
	}
	_ = request.Write(k.conn) // the server may have answered and closed before it was written
	response, err := http.ReadResponse(k.reader, request)
	if err != nil {
		k.CloseIdleConnections()
	}
	return response, err
}

func (k *keptConnection) CloseIdleConnections() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

func (s *testServer) client(t *testing.T) *client {
	return newClient(t, func() (net.Conn, error) { return net.Dial("unix", s.socket) })
}

// answer is the part of an answer that a test checks.
type answer struct {
	Status       int
	Type         string
	CacheControl string
	Allow        string
	Body         string
}

func (c *client) do(t *testing.T, method, path, body string) answer {
	t.Helper()
	request, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := response.Header
	return answer{response.StatusCode, h.Get("Content-Type"), h.Get("Cache-Control"), h.Get("Allow"), string(text)}
}

// jsonAnswer is the answer with status 200.
func jsonAnswer(body string) answer {
	return answer{Status: 200, Type: "application/json", CacheControl: "no-store", Body: body}
}

// fetch fetches credentials.
func (c *client) fetch(t *testing.T) credentials {
	t.Helper()
	a := c.do(t, "GET", "/v1/credentials", "")
	var got credentials
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != 200 {
		t.Fatalf("%+v: %v", a, err)
	}
	return got
}

// introspect asks about a token.
func (c *client) introspect(t *testing.T, secret string) string {
	t.Helper()
	a := c.do(t, "POST", "/v1/introspect", tokenBody(secret))
	if a.Status != 200 {
		t.Fatalf("%+v", a)
	}
	return a.Body
}

func tokenBody(secret string) string { return fmt.Sprintf(`{"token": %q}`, secret) }

const inactive = "{\"active\":false}\n"

func active(c credentials) string {
	return fmt.Sprintf("{\"active\":true,\"uid\":%d,\"expires_at\":%q}\n", c.UID, c.ExpiresAt.Format(time.RFC3339))
}

// me is our own user name.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// rulesFor are rules with users and verifiers.
func rulesFor(users, verifiers []string) string {
	text, err := json.Marshal(map[string]any{"users": users, "verifiers": map[string]any{"users": verifiers}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// connect returns both ends of a connection to ourselves.
func connect(t *testing.T) (*guard.Conn, net.Conn) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	return connectBy(t, socket, func() (net.Conn, error) { return net.Dial("unix", socket) })
}

func connectBy(t *testing.T, socket string, dial func() (net.Conn, error)) (*guard.Conn, net.Conn) {
	t.Helper()
	listener, err := guard.Listen(context.Background(), "unix", socket, guard.Config{
		Mode: 0o666, Policy: everybody, Prefetch: guard.PrefetchGroups,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	theirs, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := listener.AcceptPeer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { errors.Join(ours.Close(), theirs.Close()) })
	return ours, theirs
}

var everybody = guard.Func("everybody", func(guard.Peer) error { return nil })

func itoa(n int) string { return strconv.Itoa(n) }
