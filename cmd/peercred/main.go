//go:build cgo || (!android && !ios)

// (Go links no program for Android and iOS without cgo, so there is none then.)

// Command peercred shows which process is at the other end of a Unix socket, as
// the kernel vouches for it.
//
//	peercred check  [--json]
//	peercred listen [--once] [--json] [--mode MODE] [--allow-user NAME] ... ADDRESS
//	peercred dial   [--json] [--allow-user NAME] ... ADDRESS
//
// Run peercred --help, or a command with --help, for what each does.
//
// It exits with 0 when the kernel answered or, for listen without --once, when it
// was told to end; with 1 when the kernel did not answer or anything else failed;
// and with 2 when it was called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `Usage: peercred COMMAND [FLAGS] [ADDRESS]

Shows which process is at the other end of a Unix socket, as the kernel vouches
for it: pid, effective user and group id, groups, security label, executable.

Commands:
  check   ask about a socket of its own, through every linked implementation
  listen  listen on ADDRESS and show who connects
  dial    connect to ADDRESS and show who serves

ADDRESS is the path of a socket, or @NAME for Linux's abstract namespace.
"peercred COMMAND --help" lists the flags of a command.

Exit status: 0 the kernel answered (or, for listen, it was told to end), 1 it did
not answer or something else failed, 2 wrong usage.
`

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

var (
	errReported = errors.New("reported already") // exitFailed, without another word
	errUsage    = errors.New("wrong usage")      // exitUsage, likewise
)

// command is one of the program's commands, on its streams.
type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

var commands = map[string]command{
	"check":  runCheck,
	"listen": runListen,
	"dial":   runDial,
}

func main() {
	ctx, stop := interruptible()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "peercred: there is no command %q; \"peercred --help\" lists them\n", args[0])
		return exitUsage
	}
	switch err := command(ctx, args[1:], stdout, stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case !errors.Is(err, errReported):
		fmt.Fprintf(stderr, "peercred %s: %v\n", args[0], err)
	}
	return exitFailed
}

// parse reads args into flags and returns the operands, of which there must be
// as many as the synopsis names. Help goes to stdout, complaints go to stderr.
func parse(flags *flag.FlagSet, synopsis, description string, operands int, args []string, stdout, stderr io.Writer) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "Usage: peercred %s\n\n%s\n", synopsis, description)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return nil, err
	case err == nil && flags.NArg() != operands:
		err = fmt.Errorf("%d operands, want %d", flags.NArg(), operands)
	}
	if err != nil {
		fmt.Fprintf(stderr, "peercred %s: %v\nUsage: peercred %s\n", flags.Name(), err, synopsis)
		return nil, errUsage
	}
	return flags.Args(), nil
}

func newFlags(name string) (flags *flag.FlagSet, asJSON *bool) {
	flags = flag.NewFlagSet(name, flag.ContinueOnError)
	return flags, flags.Bool("json", false, "print JSON")
}
