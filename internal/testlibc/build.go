//go:build linux && (cgo || !android)

package main

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"example.com/peercred/internal/testlog"
)

// build is one way to build the tests.
type build struct {
	compiler  string // and what is called as CC
	cc        string
	libc      string // as the build must tell it, by its first word
	flags     []string
	sanitizer *sanitizer
}

// sanitizer is one that must catch a bug of testdata/planted.
type sanitizer struct {
	name        string
	flags       []string // of go build
	environment []string // of go build, and of the tests
	bug         string
	report      string   // part of what it says
	skips       []string // the beginnings of the reasons that tests have not to run
}

// forgedLengths are taken for what getsockopt wrote by those that watch it do so.
var forgedLengths = []string{"needs forged lengths to reach it, "}

var (
	address = &sanitizer{
		name:  "AddressSanitizer",
		flags: []string{"-asan"},
		// The shims allocate nothing, and who looks for leaks cannot be traced, as
		// some of the tests are.
		environment: []string{"ASAN_OPTIONS=detect_leaks=0", "PEERCRED_TEST_SANITIZER=AddressSanitizer"},
		bug:         "beyond",
		report:      "AddressSanitizer: heap-buffer-overflow",
		skips:       forgedLengths,
	}
	undefined = &sanitizer{
		name: "UndefinedBehaviorSanitizer",
		environment: []string{
			"CGO_CFLAGS=-O2 -g -fsanitize=undefined -fno-sanitize-recover=all",
			"CGO_LDFLAGS=-fsanitize=undefined",
		},
		bug:    "overflow",
		report: "runtime error: signed integer overflow",
	}
	memory = &sanitizer{
		name:        "MemorySanitizer",
		flags:       []string{"-msan"},
		environment: []string{"PEERCRED_TEST_SANITIZER=MemorySanitizer"},
		bug:         "uninitialized",
		report:      "MemorySanitizer: use-of-uninitialized-value",
		skips:       forgedLengths,
	}
	races = &sanitizer{
		name:   "the race detector",
		flags:  []string{"-race"},
		bug:    "race",
		report: "WARNING: DATA RACE",
	}
)

// static builds have no need of the machine's libc, and resolve no names by it.
var static = []string{"-tags=netgo,osusergo", "-ldflags=-linkmode external -extldflags -static"}

func builds() []build {
	return []build{
		{compiler: "gcc", cc: "gcc", libc: "glibc"},
		{compiler: "clang", cc: "clang", libc: "glibc"},
		{compiler: "gcc", cc: "musl-gcc", libc: "musl", flags: static},
		{compiler: "clang", cc: muslClang(), libc: "musl", flags: static},
		{compiler: "gcc", cc: "gcc", libc: "glibc", sanitizer: address},
		{compiler: "clang", cc: "clang", libc: "glibc", sanitizer: address},
		{compiler: "gcc", cc: "gcc", libc: "glibc", sanitizer: undefined},
		{compiler: "clang", cc: "clang", libc: "glibc", sanitizer: undefined},
		{compiler: "clang", cc: "clang", libc: "glibc", sanitizer: memory},
		{compiler: "clang", cc: "clang", libc: "glibc", sanitizer: races},
	}
}

// muslClang is to clang what musl-gcc is to gcc, which Debian has alone.
func muslClang() string {
	processor := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	libraries := "/usr/lib/" + processor + "-linux-musl"
	own, _ := exec.Command("clang", "-print-resource-dir").Output() // without clang, the build says so
	return strings.Join([]string{
		"clang", "-nostdinc", "-isystem", strings.TrimSpace(string(own)) + "/include", "-isystem", "/usr/include/" + processor + "-linux-musl",
		"-B" + libraries, "-L" + libraries, "-Wno-unused-command-line-argument",
	}, " ")
}

func (b build) title() string {
	parts := []string{b.libc}
	if b.isStatic() {
		parts[0] += ", static"
	}
	parts = append(parts, b.compiler)
	if b.sanitizer != nil {
		parts = append(parts, b.sanitizer.name)
	}
	return strings.Join(parts, ", ")
}

func (b build) isStatic() bool { return slices.Equal(b.flags, static) }

// arguments are those of a go command.
func (b build) arguments(command string, rest ...string) []string {
	arguments := append([]string{command}, b.flags...)
	if b.sanitizer != nil {
		arguments = append(arguments, b.sanitizer.flags...)
	}
	return append(arguments, rest...)
}

// expectedSkips begin the reasons for which tests may skip.
func (b build) expectedSkips() []string {
	reasons := []string{testlog.NoProfile, testlog.NoPolicy}
	if b.sanitizer != nil {
		reasons = append(reasons, b.sanitizer.skips...)
	}
	return reasons
}

func (b build) environment() []string {
	environment := []string{"CGO_ENABLED=1", "CC=" + b.cc}
	if b.sanitizer != nil {
		environment = append(environment, b.sanitizer.environment...)
	}
	return environment
}
