//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// system is one whose C shim is fuzzed.
type system struct {
	goos    string
	headers []string // among Zig's, if it has them
	defines []string // what the system's own compiler would
}

// Every shim is compiled for this machine, which has the sizes and the calling
// convention of the others, with that system's headers and names.
var systems = []system{
	{goos: "linux"},
	{"darwin", []string{"any-darwin-any"}, []string{"-D__APPLE__", "-D__MACH__", "-D__APPLE_CC__=6000", "-D__ENVIRONMENT_MAC_OS_X_VERSION_MIN_REQUIRED__=110000"}},
	{"freebsd", []string{"x86_64-freebsd-none", "generic-freebsd"}, []string{"-D__FreeBSD__=14"}},
	{"dragonfly", nil, []string{"-D__DragonFly__"}}, // with an imitation, as Solaris and AIX
	{"openbsd", []string{"x86_64-openbsd-none", "generic-openbsd"}, []string{"-D__OpenBSD__"}},
	{"netbsd", []string{"x86_64-netbsd-none", "generic-netbsd"}, []string{"-D__NetBSD__"}},
	{"solaris", nil, []string{"-D__sun", "-D_DEFAULT_SOURCE"}},
	{"aix", nil, []string{"-D_AIX", "-D_DEFAULT_SOURCE"}},
}

// places are where things are, and where they go.
type places struct {
	shims    string // cpeercred
	corpora  string // in the tree
	seeds    string // in the tree
	cache    string // of what is built, learnt and found
	headers  string // Zig's
	builtins string // clang's own headers
}

const needs = "the C targets need clang with libFuzzer, and objcopy, on linux/amd64: apt-get install clang libclang-rt-14-dev binutils"

func findPlaces() (p places, err error) {
	if runtime.GOARCH != "amd64" {
		return p, errors.New(needs)
	}
	resources, err := exec.Command("clang", "-print-resource-dir").Output()
	if err != nil {
		return p, fmt.Errorf("%s (%w)", needs, err)
	}
	p.builtins = filepath.Join(strings.TrimSpace(string(resources)), "include")
	cache, err := os.UserCacheDir()
	if err != nil {
		return p, err
	}
	p.cache = filepath.Join(cache, "peercred", "fuzz")
	if p.shims, err = filepath.Abs("cpeercred"); err != nil {
		return p, err
	}
	p.corpora = filepath.Join(p.shims, "testdata", "fuzz", "corpus")
	p.seeds = filepath.Join(p.shims, "testdata", "fuzz", "seeds")
	p.headers = filepath.Join(*zig, "ziglang", "lib", "libc", "include")
	if _, err := os.Stat(p.headers); err != nil {
		return p, fmt.Errorf("no headers of other systems: %w; make fuzz installs them and says where by -zig", err)
	}
	return p, nil
}

// flags make the compiler take the other system's headers for its own.
func (s system) flags(p places) []string {
	flags := []string{"-O1", "-g", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-parameter",
		"-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all"}
	if s.goos == "linux" {
		return flags
	}
	flags = append(flags, "-U__linux__", "-U__linux", "-Ulinux", "-U__gnu_linux__")
	flags = append(flags, s.defines...)
	imitation := filepath.Join(p.shims, "testdata", s.goos)
	switch s.goos {
	case "solaris", "aix": // which adds to this machine's headers
		return append(flags, "-isystem", imitation)
	case "dragonfly": // which is whole
		return append(flags, "-nostdinc", "-isystem", imitation, "-isystem", p.builtins)
	case "darwin": // whose headers wrap the compiler's
		return append(flags, "-nostdinc", "-isystem", filepath.Join(p.headers, s.headers[0]), "-isystem", p.builtins)
	}
	flags = append(flags, "-nostdinc", "-isystem", p.builtins)
	for _, h := range s.headers {
		flags = append(flags, "-isystem", filepath.Join(p.headers, h))
	}
	return flags
}

// sources are the files that cgo compiles for the system.
func (s system) sources(ctx context.Context, p places) ([]string, error) {
	goarch := "amd64"
	if s.goos == "aix" {
		goarch = "ppc64"
	}
	out, err := mustOutput(ctx, []string{"go", "list", "-f", `{{join .CFiles "\n"}}`, "."}, in(p.shims),
		with("CGO_ENABLED=1", "GOOS="+s.goos, "GOARCH="+goarch))
	return strings.Fields(out), err
}

// remembered is a shim's memory of the kernel, which is cleared for each input: so that
// what an input does depends on no other.
const remembered = "packet_ends_are_right"

// build makes a program of the shims in p, the kernel that lies, and libFuzzer. The
// shims' calls go to that kernel: libFuzzer, and the libc, keep this machine's.
func (s system) build(ctx context.Context, p places, program string) error {
	objects := program + ".objects"
	if err := os.MkdirAll(objects, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(objects)
	sources, err := s.sources(ctx, p)
	if err != nil {
		return err
	}
	link := []string{"clang", "-fsanitize=fuzzer,address,undefined", "-o", program}
	for _, source := range append(sources, "testdata/fuzz/lyingkernel.c", "testdata/fuzz/fuzzshims.c") {
		object := filepath.Join(objects, filepath.Base(source)+".o")
		link = append(link, object)
		compile := slices.Concat([]string{"clang", "-c", "-o", object}, s.flags(p), []string{filepath.Join(p.shims, source)})
		if _, err := mustOutput(ctx, compile); err != nil {
			return err
		}
		if filepath.Dir(source) != "." {
			continue
		}
		rename := []string{"objcopy", "--globalize-symbol=" + remembered, "--redefine-syms=" + filepath.Join(p.shims, "testdata/fuzz/symbols"), object}
		if _, err := mustOutput(ctx, rename); err != nil {
			return err
		}
	}
	if _, err := mustOutput(ctx, link); err != nil {
		return fmt.Errorf("%w\n%s", err, needs)
	}
	return nil
}

// cTarget is libFuzzer on the shims of one system.
type cTarget struct {
	system
	places
}

func (t cTarget) name() string    { return "cpeercred on " + t.goos }
func (t cTarget) program() string { return filepath.Join(t.cache, t.goos) }
func (t cTarget) learnt() string  { return filepath.Join(t.cache, "corpus", t.goos) }
func (t cTarget) kept() string    { return filepath.Join(t.corpora, t.goos+".hex") }

// seeds are inputs that were written by hand, each for a trap, and that keep leaves alone.
func (t cTarget) seeds() string { return filepath.Join(t.places.seeds, t.goos+".hex") }

// longestInput is more than a shim can ask for.
const longestInput = "-max_len=512"

func (t cTarget) fuzz(ctx context.Context) (o outcome) {
	if o.err = os.MkdirAll(t.learnt(), 0o755); o.err != nil {
		return o
	}
	if o.err = t.build(ctx, t.places, t.program()); o.err != nil {
		return o
	}
	kept, err := unpack(t.kept())
	if err != nil {
		return outcome{err: err}
	}
	defer os.RemoveAll(kept)
	seeds, err := unpack(t.seeds())
	if err != nil {
		return outcome{err: err}
	}
	defer os.RemoveAll(seeds)
	return runFuzzer(ctx, t.program(), t.learnt(), kept, seeds)
}

func runFuzzer(ctx context.Context, program string, corpora ...string) (o outcome) {
	cmd := append([]string{program, fmt.Sprintf("-max_total_time=%.0f", fuzzTime.Seconds()), longestInput,
		"-print_final_stats=1", "-artifact_prefix=" + program + "-"}, corpora...)
	out, err := output(ctx, cmd)
	o.executions, o.learnt = cStatistics(out)
	if err == nil {
		return o
	}
	input := artifactLine.FindStringSubmatch(out)
	if input == nil {
		o.err = fmt.Errorf("%v: %w\n%s", cmd, err, out)
		return o
	}
	o.found = finding{says: explanation(out), input: input[1], reproduce: program + " " + input[1]}
	return o
}

var (
	executedLine = regexp.MustCompile(`stat::number_of_executed_units: (\d+)`)
	addedLine    = regexp.MustCompile(`stat::new_units_added: +(\d+)`)
	artifactLine = regexp.MustCompile(`Test unit written to (\S+)`)
)

func cStatistics(out string) (executions, learnt int) {
	number := func(line *regexp.Regexp) (n int) {
		if m := line.FindStringSubmatch(out); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
		return n
	}
	return number(executedLine), number(addedLine)
}

// explanation leaves out libFuzzer's progress.
func explanation(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "\tNEW_FUNC") && !strings.HasPrefix(line, "INFO:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// keep merges both corpora into one whose every entry reaches what no other does.
func (t cTarget) keep(ctx context.Context) error {
	kept, err := unpack(t.kept())
	if err != nil {
		return err
	}
	defer os.RemoveAll(kept)
	merged, err := os.MkdirTemp("", "peercred-merged")
	if err != nil {
		return err
	}
	defer os.RemoveAll(merged)
	cmd := []string{t.program(), "-set_cover_merge=1", longestInput, "-use_counters=0", merged, kept, t.learnt()}
	if _, err := mustOutput(ctx, cmd); err != nil {
		return err
	}
	return pack(merged, t.kept())
}
