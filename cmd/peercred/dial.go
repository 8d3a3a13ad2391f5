//go:build cgo || (!android && !ios)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const defaultTimeout = 2 * time.Second

var dialHelp = help{
	synopsis: "dial [--json] [--timeout DURATION] " + allowSynopsis + " ADDRESS",
	description: `Connects to the socket ADDRESS and shows who serves: the process that called
listen(2). Under socket activation that is the service manager. Executable and start
time are as of now. A dash marks a fact that this system does not report. The reason is
below. With --allow flags, which can be repeated, any other server is a failure.

Then it sends nothing, and waits for the server:
  the server sends something        it admitted us
  it closes the connection          it denied us, or it has ended
  it does neither during --timeout  it admitted us and waits for a request, or it has
                                    not looked yet; stderr says so
"peercred listen" sends "admitted" to clients that it admits.

On tcp:HOST:PORT, a loopback address on Linux, it shows uid and address of the server.
The kernel reports nothing else, and that only once the server has accepted. So dial
first waits for that, up to --timeout.

Exit status: 0 the server was shown and did not deny us; 1 it denied us, the --allow
flags do not name it, or something else failed; 2 wrong usage.
`,
	operands: []string{"ADDRESS"},
}

func runDial(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, asJSON := newFlags("dial")
	timeout := duration(defaultTimeout)
	flags.Var(&timeout, "timeout", "wait up to this `DURATION` for the server, such as 500ms or 1m; 0 does not wait")
	allowed := addAllowFlags(flags)
	operands, err := dialHelp.parse(flags, args, stdout, stderr)
	if err != nil {
		return err
	}
	network, address := networkOf(operands[0])
	if network == "tcp" && timeout == 0 {
		fmt.Fprintln(stderr, "peercred dial: --timeout 0 is not for TCP: the server is known only once it has accepted")
		return errUsage
	}
	conn, err := connect(ctx, network, address, allowed.policy(), time.Duration(timeout))
	if err != nil {
		return err
	}
	defer conn.Close()
	p, err := look(conn)
	if err != nil {
		return err
	}
	if err := p.show(stdout, *asJSON, new(footnotes)); err != nil || timeout == 0 {
		return err
	}
	err = awaitAdmission(ctx, conn, time.Duration(timeout))
	if errors.Is(err, errUndecided) {
		fmt.Fprintf(stderr, "peercred dial: the server kept the connection open for %v: it admitted us and waits for a request, or it has not looked yet\n", &timeout)
		return nil
	}
	return err
}

// duration is a flag for a time to wait.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if _, withUnit := time.ParseDuration(text + "s"); err != nil && withUnit == nil {
		return fmt.Errorf("want a number with a unit, such as %ss", text)
	}
	switch {
	case err != nil:
		return errors.New("want a number with a unit, such as 500ms, 5s or 1m")
	case parsed < 0:
		return errors.New("it is negative")
	}
	*d = duration(parsed)
	return nil
}
