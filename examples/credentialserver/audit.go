//go:build unix && (cgo || (!android && !ios))

package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// auditor logs each request and its outcome. The only text in it that a client chose is the
// path of its executable, which the log's handler quotes.
type auditor struct{ log *slog.Logger }

// entry collects the outcome of a request while it is served.
type entry struct {
	status int           // 0 if none was sent
	denied *guard.Denied // nil if the request was not
}

// entryKey is the context's key for an *entry.
type entryKey struct{}

// requests logs each request that next serves, before the answer is sent, and also if next
// panics. It logs the route, which we chose, and not the path, which the client chose.
func (a auditor) requests(known routes, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := append(sender(r), asked(known, r)...)
		var e entry
		r = r.WithContext(context.WithValue(r.Context(), entryKey{}, &e))
		defer func() { a.write("request", e.denied, append(line, slog.Int("status", e.status))) }()
		next.ServeHTTP(&statusRecorder{w, &e}, r)
		e.status = cmp.Or(e.status, http.StatusOK)
	})
}

// denied is a hook for guard.Require.
func (a auditor) denied(r *http.Request, d *guard.Denied) {
	if e, ok := r.Context().Value(entryKey{}).(*entry); ok {
		e.denied = d
	}
}

// connection is a hook for guard.Config. It logs a connection that was closed before a
// request was read.
func (a auditor) connection(d *guard.Denied) {
	a.write("connection denied", d, append(ids(d.Credentials), unknownExecutable("not asked for: the connection is closed")...))
}

func (a auditor) write(message string, denied *guard.Denied, attributes []slog.Attr) {
	level := slog.LevelInfo
	attributes = append(attributes, slog.Bool("denied", denied != nil))
	if denied != nil {
		level = slog.LevelWarn
		attributes = append(attributes, slog.String("rule", denied.Rule), slog.Bool("failed", denied.Failed))
		if denied.Err != nil {
			attributes = append(attributes, slog.String("reason", denied.Err.Error()))
		}
	}
	a.log.LogAttrs(context.Background(), level, message, attributes...)
}

// sender returns who sent r. Call it before r is served, because the client may not wait for
// the answer.
func sender(r *http.Request) []slog.Attr {
	peer, _ := guard.FromContext(r.Context())
	return append(ids(peer.Credentials()), executable(peer)...)
}

func asked(known routes, r *http.Request) []slog.Attr {
	route := "-"
	if _, ok := known[r.URL.Path]; ok {
		route = r.URL.Path
	}
	return []slog.Attr{slog.String("method", knownMethod(r.Method)), slog.String("route", route)}
}

func ids(c *peercred.PeerCredentials) []slog.Attr {
	if c == nil {
		return []slog.Attr{slog.String("pid", "-"), slog.String("uid", "-"), slog.String("gid", "-")}
	}
	return []slog.Attr{slog.Int64("pid", int64(c.PID)), slog.Uint64("uid", uint64(c.UID)), slog.Uint64("gid", uint64(c.GID))}
}

// executable returns the path of the client's program, or why it is not known.
func executable(peer guard.Peer) []slog.Attr {
	process, err := peer.Process()
	if err != nil {
		return unknownExecutable(err.Error())
	}
	path, err := process.ExecutablePath()
	if err != nil {
		return unknownExecutable(err.Error())
	}
	return []slog.Attr{slog.String("executable", path)}
}

func unknownExecutable(why string) []slog.Attr {
	return []slog.Attr{slog.String("executable", "-"), slog.String("executable_unknown", why)}
}

// knownMethod replaces unknown methods, which the client chose.
func knownMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// statusRecorder notes the status that is sent.
type statusRecorder struct {
	http.ResponseWriter
	entry *entry
}

func (s *statusRecorder) WriteHeader(status int) {
	s.entry.status = cmp.Or(s.entry.status, status)
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(body []byte) (int, error) {
	s.entry.status = cmp.Or(s.entry.status, http.StatusOK)
	return s.ResponseWriter.Write(body)
}

// Unwrap is for http.ResponseController.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
