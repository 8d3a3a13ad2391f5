//go:build unix && (cgo || (!android && !ios))

// (Go links no program for Android and iOS without cgo, so there is none then.)

// Command credentialserver hands each local user temporary credentials of their
// own, over HTTP on a Unix socket. It goes by the kernel's word on who connects,
// so no client needs a secret to get its first one.
//
//	credentialserver --socket PATH --rules FILE [--mode MODE] [--group NAME] [--owner NAME]
//
// # Rules
//
// The rules are a JSON file, which must be a regular one, belong to the server's
// user or to root, and be writable by nobody else:
//
//	{
//	  "users":     ["alice"],
//	  "groups":    ["developers"],
//	  "lifetime":  "15m",
//	  "verifiers": {"users": ["postgres"], "groups": []}
//	}
//
// A client gets credentials if its user is among users, or if it has one of groups as
// its effective group or as a supplementary group. Verifiers can ask whose a token is.
// Nobody else is served. Every key can be left out, and an empty list names nobody.
// Credentials live for lifetime, a duration from 10s to 24h. The default is 15m. An
// unknown key, a repeated key, and an unknown name are errors.
//
// On SIGHUP the file is read again. Connections stay open, and each request is
// decided by the rules of its time. If the new rules cannot be had the old ones
// stay, and the log says why.
//
// # GET /v1/credentials
//
// For users. The answer is new credentials of the user that the client ran as when
// it connected:
//
//	{
//	  "uid":        1000,                    effective user id
//	  "user":       "alice",                 its name; left out if it has none
//	  "token":      "0pYk…",                 secret: 43 characters of A-Z a-z 0-9 - _
//	  "issued_at":  "2026-01-02T15:04:05Z",  RFC 3339, in UTC
//	  "expires_at": "2026-01-02T15:19:05Z"   likewise; the token is worthless from then on
//	}
//
// The server keeps no token, only its SHA-256. It keeps up to 64 of a user; one more
// makes the oldest worthless. There is 503 when it keeps 65536 of all users.
//
// # POST /v1/introspect
//
// For verifiers. The body is {"token": "0pYk…"}, in up to 4096 bytes. The answer is,
// in the spirit of RFC 7662,
//
//	{"active": true, "uid": 1000, "expires_at": "2026-01-02T15:19:05Z"}
//
// for a token that was issued, has not expired, and whose user the rules still name.
// (With each token the server keeps the names in users and groups that let its user in
// when the token was issued, 16 at most. One of them must be in the rules now, and have
// the same id.) Else it is
//
//	{"active": false}
//
// and does not say why. A restart of the server makes all tokens worthless.
//
// # Other answers
//
// They have no body. 400 is for a body that is not as above, one with an unknown or a
// doubled key among them, and for a query, since no route has one; 413 for a body that
// is too long; 403 for who is not allowed the route by the present rules, and 500 if
// that could not be found out; 404 and 405 for what there is not, for those who are
// allowed any route. A connection of anybody else is closed before HTTP begins, and
// so is one of a user who has 64 open, and any while 512 are open.
//
// # One user with many uids
//
// The limits of a user count by uid. A member of a group that the rules name can come
// under each of its subordinate uids (subuid(5)), and each counts as a user of its own.
// The server cannot know whose subordinate uid it sees. The kernel tells who made the
// user namespace of a process. But the member can also run a set-user-ID file of the
// subordinate uid outside that namespace. So one member can take all 512 connections
// and all 65536 tokens. The server then serves nobody else. To prevent that, name users
// in the rules, and no groups.
//
// # Log
//
// The log, on stderr, has one line for each request and each refused connection,
// with pid, uid and gid of the client as of its connect(2), the path of its
// executable as of the request (which is for people: the client may have been
// another program before), method, route, status, and which rule refused. A request
// is logged before it is answered. What net/http itself refuses as malformed HTTP/1
// (with 400, 417, 431, 501, 505) is not logged. There is no secret in the log,
// and what a client chooses is quoted in it.
//
// # End
//
// On SIGTERM and SIGINT the socket file is removed, requests that are under way get
// their answer, for which they have 10 seconds, and the exit status is 0. It is 1 if
// the server could not start or had to cut requests off, 2 if it was called wrongly.
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

Hands each local user whom the rules name temporary credentials of their own, over
HTTP on a Unix socket:

  echo '{"users": ["alice"], "verifiers": {"users": ["root"]}}' >rules.json
  credentialserver --socket /run/credentials.sock --rules rules.json
  curl --unix-socket /run/credentials.sock http://localhost/v1/credentials

It reads the rules again on SIGHUP, and ends on SIGTERM and SIGINT once the requests
under way are answered. The log is on stderr. The rules, the routes and their JSON
are documented in main.go ("go doc").

Exit status: 0 it was told to end, 1 it could not start or cut requests off, 2 wrong
usage.

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
	grace  time.Duration // for requests under way at the end
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
	// A text handler quotes whatever is not printable, so that no path or reason
	// can look like another line, or drive a terminal.
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
	flags.StringVar(&s.socket, "socket", "", "the `PATH` of the socket; what a killed server left there is replaced")
	flags.StringVar(&s.rules, "rules", "", "the `FILE` that says who is served")
	flags.Func("mode", "the socket file's `MODE` in octal, which it has before anybody can connect (default 0666, or\n0660 with --group); the rules decide about clients that can connect", func(text string) (err error) {
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
		err = fmt.Errorf("%q is no flag, and there are no operands", flags.Arg(0))
	case s.socket == "":
		err = errors.New("--socket is missing: say where clients are to find the server")
	case s.rules == "":
		err = errors.New("--rules is missing: say which file names the users")
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
