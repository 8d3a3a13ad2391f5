//go:build unix && (cgo || (!android && !ios))

// (Go links no program for Android and iOS without cgo, so there is none then.)

// Command credentialserver gives each local user temporary credentials of their own, over
// HTTP on a Unix socket. The kernel says who connects, so a client needs no secret to get
// its first one.
//
//	credentialserver --socket PATH --rules FILE [--mode MODE] [--group NAME] [--owner NAME]
//
// # Rules
//
// The rules are a regular JSON file. It must belong to the server's user or to root, and
// nobody else may be able to write it:
//
//	{
//	  "users":     ["alice"],
//	  "groups":    ["developers"],
//	  "lifetime":  "15m",
//	  "verifiers": {"users": ["postgres"], "groups": []}
//	}
//
// A client gets credentials if its user is among users, or if it has one of groups as
// its effective group or as a supplementary group. Verifiers can ask who has a token.
// Nobody else is served. Every key can be left out, and an empty list names nobody.
// Credentials are valid for lifetime, a duration from 10s to 24h. The default is 15m. An
// unknown key, a repeated key, and an unknown name are errors.
//
// On SIGHUP the file is read again. Connections stay open. Each request is decided by the
// rules that are current then. If the new rules cannot be read, the old ones stay, and the
// reason is logged.
//
// # GET /v1/credentials
//
// For users. The answer is new credentials for the user that the client ran as when it
// connected:
//
//	{
//	  "uid":        1000,                    effective user id
//	  "user":       "alice",                 its name; left out if it has none
//	  "token":      "0pYk…",                 secret: 43 characters of A-Z a-z 0-9 - _
//	  "issued_at":  "2026-01-02T15:04:05Z",  RFC 3339, in UTC
//	  "expires_at": "2026-01-02T15:19:05Z"   likewise; the token is not valid from then on
//	}
//
// The server stores no token, only its SHA-256. It stores up to 64 for each user, and one
// more replaces the oldest. If it stores 65536 for all users, the answer is 503.
//
// # POST /v1/introspect
//
// For verifiers. The body is {"token": "0pYk…"}, and has at most 4096 bytes. As in RFC
// 7662, the answer for a valid token is
//
//	{"active": true, "uid": 1000, "expires_at": "2026-01-02T15:19:05Z"}
//
// A token is valid if it was issued, has not expired, and the rules still name its user. To
// know that, the server stores with each token the names in users and groups that admitted
// its user, 16 at most. One of them must be in the rules now, and have the same id.
// Otherwise the answer is
//
//	{"active": false}
//
// and gives no reason. No token is valid after a restart of the server.
//
// # Other answers
//
// They have no body:
//
//   - 400 for a body that is not as above, such as one with an unknown or repeated key. Also
//     for a query, because no route has one.
//   - 413 for a body that is too long.
//   - 403 if the current rules deny the client this route, and 500 if they cannot decide.
//   - 404 and 405 for a route or a method that does not exist, for clients that may use any
//     route.
//
// The connections of all other clients are closed before HTTP begins. So are those of a user
// with 64 open connections, and all while 512 are open.
//
// # One user with many uids
//
// The limits of a user count by uid. A member of a group that the rules name can connect
// under each of its subordinate uids (subuid(5)), and each counts as its own user. The
// server cannot know who has a subordinate uid. The kernel reports who made the user
// namespace of a process, but the member can also run a set-user-ID file of the subordinate
// uid outside that namespace. So one member can take all 512 connections and 65536 tokens.
// The server then serves nobody else. To prevent that, name only users in the rules, and no
// groups.
//
// # Log
//
// The log, on stderr, has one line for each request and each denied connection. A line has
// the pid, uid and gid of the client as of connect time, the path of its executable, method,
// route, status, and the rule that denied. The executable is that as of the request, and the
// client may have been another program before. So it is only for people. A request is logged
// before it is answered. Requests that net/http rejects as malformed (400, 417, 431, 501,
// 505) are not logged. The log has no secrets, and text that a client chose is quoted.
//
// # End
//
// On SIGTERM and SIGINT the server removes the socket file, and waits up to 10 seconds for
// requests that it is serving. The exit status is 0. It is 1 if the server could not start,
// or a request took longer. It is 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
)

const usage = `Usage: credentialserver --socket PATH --rules FILE [--mode MODE] [--group NAME] [--owner NAME]

Gives each local user that the rules name temporary credentials of their own, over
HTTP on a Unix socket:

  echo '{"users": ["alice"], "verifiers": {"users": ["root"]}}' >rules.json
  credentialserver --socket /run/credentials.sock --rules rules.json
  curl --unix-socket /run/credentials.sock http://localhost/v1/credentials

It reads the rules again on SIGHUP. On SIGTERM and SIGINT it answers the requests that
it is serving, and ends. The log is on stderr. The rules, the routes and their JSON are
documented in main.go ("go doc").

Exit status: 0 a signal ended it, 1 it could not start or a request took too long at the
end, 2 wrong usage.

`

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// settings are what the command line says.
type settings struct {
	socket string
	rules  string
	mode   fs.FileMode
	group  string        // of the socket file
	owner  string        // likewise
	shared bool          // allows a shared directory
	grace  time.Duration // for requests that are being served at the end
}

func main() {
	hangups := catchHangups()
	ctx, stop := interruptible()
	code := run(ctx, hangups, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run serves until ctx is done, and reads the rules again with each of hangups.
func run(ctx context.Context, hangups <-chan os.Signal, args []string, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "credentialserver: %v\nRun \"credentialserver --help\" for an example.\n", err)
		return exitUsage
	}
	// A text handler quotes text that is not printable. So no path or reason can look like
	// another line, or control a terminal.
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := serve(ctx, hangups, s, log); err != nil {
		fmt.Fprintf(stderr, "credentialserver: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func parseArgs(args []string, stdout io.Writer) (settings, error) {
	s := settings{grace: limits.grace}
	flags := flag.NewFlagSet("credentialserver", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.socket, "socket", "", "the `PATH` of the socket; a stale socket file is replaced")
	flags.StringVar(&s.rules, "rules", "", "the `FILE` that says who is served")
	flags.Func("mode", "the socket file's `MODE` in octal (default 0666, or 0660 with --group); the rules decide about clients that can connect", func(text string) (err error) {
		s.mode, err = parseMode(text)
		return err
	})
	flags.StringVar(&s.group, "group", "", "the group of the socket file, by `NAME` or number (default our own)")
	flags.StringVar(&s.owner, "owner", "", "the owner of the socket file, by `NAME` or number (default our own; another requires root)")
	flags.BoolVar(&s.shared, "allow-shared-directory", false, "allow a directory in which others can replace the socket file")
	err := flags.Parse(args)
	if s.mode == 0 {
		s.mode = defaultMode(s.group)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.socket == "":
		err = errors.New("missing --socket: give the path of the socket")
	case s.rules == "":
		err = errors.New("missing --rules: give the file that names the users")
	}
	return s, err
}

// defaultMode lets everybody connect, or only the group if there is one. The rules decide
// who is admitted.
func defaultMode(group string) fs.FileMode {
	if group != "" {
		return 0o660
	}
	return 0o666
}

func parseMode(text string) (fs.FileMode, error) {
	bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || bits == 0 || bits > 0o777 {
		return 0, errors.New("want permission bits in octal, from 1 to 777, as in 660")
	}
	return fs.FileMode(bits), nil
}
