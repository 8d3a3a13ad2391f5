//go:build cgo || (!android && !ios)

// (Go links no programs for Android and iOS without cgo.)

// Command peercred shows which process is at the other end of a Unix socket, or which user at
// the other end of a TCP connection on loopback, as the kernel vouches for it.
//
//	peercred check  [--json]
//	peercred listen [--once] [--json] [--mode MODE] [--group NAME] [--owner NAME] ... ADDRESS
//	peercred dial   [--json] [--timeout DURATION] [--allow-user NAME] ... ADDRESS
//	peercred demo
//	peercred version
//
// "peercred --help" lists the commands, and "peercred COMMAND --help" describes one. The exit
// status is 0 for success, 1 for a failure and 2 for wrong usage. It is 141 if the reader of
// the output goes away first, as for a program that SIGPIPE ends. Flags can be before and
// after ADDRESS. Arguments after "--" are not flags.
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
  check   connect to itself and compare the answers of all linked implementations
  listen  listen on ADDRESS and show who connects
  dial    connect to ADDRESS and show who serves
  demo    run a server and clients, under several users if root, and show the answers
  version show the version of this command

ADDRESS is the path of a socket, or @NAME for Linux's abstract namespace, or
tcp:HOST:PORT for TCP on loopback, where Linux reports only the uid.
"peercred COMMAND --help" lists the flags and the exit status of a command.

Exit status: 0 success, 1 failure, 2 wrong usage, 141 the reader of the output went away.
`

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitPipe   = 128 + 13 // what a shell makes of SIGPIPE
)

var (
	errReported = errors.New("reported already") // exitFailed, without a further message
	errUsage    = errors.New("wrong usage")      // exitUsage, likewise
)

// command is one of the program's commands, on its streams.
type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

var commands = map[string]command{
	"check":  runCheck,
	"listen": runListen,
	"dial":   runDial,
	"demo":   runDemo,

	"version":   runVersion,
	"--version": runVersion,
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
	case isBrokenPipe(err): // as by "| head"
		return exitPipe
	case !errors.Is(err, errReported):
		fmt.Fprintf(stderr, "peercred %s: %v\n", args[0], err)
	}
	return exitFailed
}

// help describes a command. The operands are named as in the synopsis.
type help struct {
	synopsis    string
	description string
	operands    []string
}

// operandHelp says what to give for a missing operand.
var operandHelp = map[string]string{
	"ADDRESS": "give the path of a socket, or @NAME for Linux's abstract namespace, or tcp:HOST:PORT for TCP on loopback",
}

// parse parses args into flags, and returns the operands that h names. Help goes to stdout,
// errors go to stderr.
func (h help) parse(flags *flag.FlagSet, args []string, stdout, stderr io.Writer) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	operands, err := parseAnywhere(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "Usage: peercred %s\n\n%s\n", h.synopsis, h.description)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return nil, err
	case err != nil:
	case len(operands) < len(h.operands):
		missing := h.operands[len(operands)]
		err = fmt.Errorf("missing %s: %s", missing, operandHelp[missing])
	case len(operands) > len(h.operands):
		err = fmt.Errorf("unexpected argument %q", operands[len(h.operands)])
	}
	if err != nil {
		fmt.Fprintf(stderr, "peercred %s: %v\nUsage: peercred %s\n", flags.Name(), err, h.synopsis)
		return nil, errUsage
	}
	return operands, nil
}

// parseAnywhere parses flags before, between and after the operands. Package flag stops at
// the first operand. Arguments after "--" are operands.
func parseAnywhere(flags *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		parsed := len(args) - len(rest)
		if len(rest) == 0 || parsed > 0 && args[parsed-1] == "--" {
			return append(operands, rest...), nil
		}
		operands = append(operands, rest[0])
		args = rest[1:]
	}
}

func newFlags(name string) (flags *flag.FlagSet, asJSON *bool) {
	flags = flag.NewFlagSet(name, flag.ContinueOnError)
	return flags, flags.Bool("json", false, "print JSON")
}
