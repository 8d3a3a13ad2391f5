//go:build linux && (cgo || !android)

// Command testgvisor runs peercred's tests, in both settings, on gVisor, a kernel in
// a process. What is expected depends on its release: before November 2025 it
// named the caller as everybody's peer, and must be refused with that reason; since
// then it must name peers under other ids rightly, but for SOCK_SEQPACKET, whose ends
// it confuses and which must be refused. It needs root.
//
// It runs the tests that ask for credentials, since gVisor has nothing else to tell:
// SO_PEERGROUPS, SO_PEERSEC and SO_PEERPIDFD answer ENOPROTOOPT there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"example.com/peercred/internal/testlog"
	"example.com/peercred/internal/toolrun"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("testgvisor: ")
	runsc := flag.String("runsc", "runsc", "gVisor's `command`, which tells its release")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/testgvisor [-runsc command], from the module's root\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := test(ctx, *runsc); err != nil {
		log.Fatal(err)
	}
}

func test(ctx context.Context, runsc string) error {
	if err := checkTools(runsc); err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, runsc, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", runsc, err)
	}
	release, want, err := expected(string(version))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peercred-testgvisor")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, setting := range []struct{ cgo, implementation string }{{"1", "cpeercred"}, {"0", "native"}} {
		fmt.Printf("== gVisor %s, CGO_ENABLED=%s\n", release, setting.cgo)
		binary := filepath.Join(dir, setting.cgo+".test")
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED="+setting.cgo)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", build, err, out)
		}
		if err := want.run(ctx, runsc, binary); err != nil {
			return err
		}
		fmt.Printf("proven: linux/%s %s emulated by make test-gvisor: gVisor %s, which %s\n", runtime.GOARCH, setting.implementation, release, want.outcome)
	}
	return nil
}

// checkTools names all that is missing, before the first build.
func checkTools(runsc string) error {
	var root error
	if os.Geteuid() != 0 {
		root = errors.New("it must be run by root, for gVisor and for peers under other ids")
	}
	return errors.Join(root, toolrun.Missing(toolrun.Tool{Command: runsc, Packages: "runsc"}, toolrun.CCompiler()))
}

// expectation is what the tests must find.
type expectation struct {
	outcome     string
	tests       []string
	environment []string
}

var (
	refused = expectation{
		outcome:     "answers for the caller, is refused with that reason",
		tests:       []string{"TestTrap13Kernel"},
		environment: []string{"PEERCRED_TEST_KERNEL_ANSWERS_FOR_CALLER=1"},
	}
	answered = expectation{
		outcome: "names the peers of SOCK_STREAM rightly, and confuses those of SOCK_SEQPACKET, which is refused",
		tests: []string{
			"TestTrap13Kernel", "TestTrap13PacketEnds", "TestTrap04HighIDs", "TestClientSeesServer", "TestSetuidAfterConnect",
			"TestTrap06ConnectorIsNotWriter", "TestTrap07PeerGone", "TestInheritedDescriptor",
		},
		environment: []string{"PEERCRED_TEST_KERNEL_CONFUSES_PACKET_ENDS=1"},
	}
)

var versionLine = regexp.MustCompile(`(?m)^runsc version (\S*?(20\d{6})\S*)$`)

// expected tells what is right for a release, which has its date in its name.
func expected(version string) (release string, want expectation, err error) {
	found := versionLine.FindStringSubmatch(version)
	switch {
	case found == nil:
		return "", expectation{}, fmt.Errorf("no release's date is in %q", version)
	case found[2] < "20251101":
		return found[1], refused, nil
	case found[2] >= "20251201":
		return found[1], answered, nil
	}
	return "", expectation{}, fmt.Errorf("gVisor %s is of November 2025, of which it is not known what is right; take a later one", found[1])
}

func (want expectation) run(ctx context.Context, runsc, binary string) error {
	cmd := exec.CommandContext(ctx, runsc, "--network=none", "--ignore-cgroups", "do",
		binary, "-test.v", "-test.run=^("+strings.Join(want.tests, "|")+")$")
	cmd.Env = append(os.Environ(), want.environment...)
	out, err := cmd.CombinedOutput()
	fmt.Printf("%s", out)
	if cmd.ProcessState == nil {
		return err
	}
	complaints := complaints(string(out), cmd.ProcessState.ExitCode(), want.tests)
	if len(complaints) > 0 {
		return errors.New(strings.Join(complaints, "\n"))
	}
	return nil
}

// complaints are what is wrong with the tests' output, if anything: each test must
// have run.
func complaints(out string, code int, tests []string) []string {
	var log testlog.Log
	lines := slices.Collect(strings.Lines(out))
	for _, line := range lines {
		log.Read(strings.TrimRight(line, "\r\n"))
	}
	list := log.Complaints(code, nil)
	for _, test := range tests {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "--- PASS: "+test+" (") }) {
			list = append(list, test+" did not pass")
		}
	}
	return list
}
