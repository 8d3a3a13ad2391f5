//go:build unix && (cgo || (!android && !ios))

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"example.com/peercred"
	"example.com/peercred/guard"
	"github.com/google/go-cmp/cmp"
)

// TestAuditLine has every field of every kind of request.
func TestAuditLine(t *testing.T) {
	book := newLogBook()
	log := slog.New(slog.NewTextHandler(book, nil))
	a := auditor{log}
	nobody := guard.Require(guard.AllOf(), a.denied)(http.NotFoundHandler())
	known := routes{
		"/silent":  http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		"/body":    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x"); w.WriteHeader(500) }),
		"/twice":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }),
		"/panics":  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"/refuses": nobody,
	}
	c := serveHandler(t, &http.Server{
		Handler: a.requests(known, known), ConnContext: guard.ConnContext,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(newLogBook(), nil), slog.LevelError),
	})
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := fields{
		"level": "INFO", "msg": "request", "pid": itoa(os.Getpid()), "uid": itoa(os.Geteuid()), "gid": itoa(os.Getegid()),
		"executable": executable, "method": "POST", "denied": "false",
	}
	if !peercred.Support().Process.Available {
		base["executable"] = "-"
	}
	for n, test := range []struct {
		path string
		more fields
	}{
		{"/silent", fields{"route": "/silent", "status": "200"}},
		{"/body", fields{"route": "/body", "status": "200"}},
		{"/twice", fields{"route": "/twice", "status": "404"}},
		{"/unknown", fields{"route": "-", "status": "404"}},
		{"/panics", fields{"route": "/panics", "status": "0"}},
		{"/refuses", fields{"route": "/refuses", "status": "403", "level": "WARN", "denied": "true", "failed": "false", "rule": "all of ()"}},
	} {
		response, err := c.Post("http://localhost"+test.path, "", nil) // which is not tried again
		if err == nil {
			response.Body.Close()
		}
		want := fields{}
		for _, from := range []fields{base, test.more} {
			maps.Copy(want, from)
		}
		book.await(t, n+1, fields{"msg": "request"})
		lines, _ := book.read()
		got := parseLine(t, lines[len(lines)-1])
		delete(got, "time")
		if (got["executable"] == "-") != (got["executable_unknown"] != "") {
			t.Errorf("%s: want the executable, or why it is not known: %v", test.path, got)
		}
		delete(got, "executable_unknown")
		if diff := cmp.Diff(want, got); diff != "" || len(lines) != n+1 {
			t.Errorf("%s: %d lines (-want +got):\n%s", test.path, len(lines), diff)
		}
	}
}

// TestAuditDeniedConnection has both kinds of connections that are closed unread.
func TestAuditDeniedConnection(t *testing.T) {
	for _, test := range []struct {
		denied *guard.Denied
		want   fields
	}{
		{
			&guard.Denied{Credentials: &peercred.PeerCredentials{PID: 1, UID: 1<<32 - 2, GID: 3}, Rule: "r"},
			fields{"pid": "1", "uid": "4294967294", "gid": "3", "denied": "true", "rule": "r", "failed": "false"},
		},
		{
			&guard.Denied{Rule: "r", Failed: true, Err: errors.New("one line\nlevel=INFO uid=0 \"\x1b[2J\u009b")},
			fields{"pid": "-", "uid": "-", "gid": "-", "denied": "true", "rule": "r", "failed": "true", "reason": "one line\nlevel=INFO uid=0 \"\x1b[2J\u009b"},
		},
	} {
		book := newLogBook()
		auditor{slog.New(slog.NewTextHandler(book, nil))}.connection(test.denied)
		lines, _ := book.read()
		got := parseLine(t, lines[0])
		delete(got, "time")
		want := fields{"level": "WARN", "msg": "connection denied", "executable": "-", "executable_unknown": "not asked for: the connection is closed"}
		maps.Copy(want, test.want)
		if diff := cmp.Diff(want, got); diff != "" || len(lines) != 1 {
			t.Errorf("%d lines (-want +got):\n%s", len(lines), diff)
		}
	}
}

// A request that did not pass the auditor has no line in the log.
func TestAuditDeniedElsewhere(t *testing.T) {
	var log bytes.Buffer
	a := auditor{slog.New(slog.NewTextHandler(&log, nil))}
	a.denied(httptest.NewRequest(http.MethodGet, "/credentials", nil), &guard.Denied{Rule: "nobody"})
	if log.Len() > 0 {
		t.Errorf("it logs %q", &log)
	}
}
