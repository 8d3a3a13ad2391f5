package main

import (
	"fmt"
	"go/build"
	"path/filepath"
	"strings"
)

// system is a system with C shims. This is the tools' only list of systems.
type system struct {
	goos string

	targets string // processors that the shims are compiled for, in Zig's spelling
	flags   string // of Zig
	calls   string // all calls that the shims refer to, besides alwaysCalled
	here    string // flags of clang, to compile for this machine with that system's headers

	programs string   // ports for which programs are linked: GOARCH=TRIPLE
	link     []string // flags of go build, where Zig's linker lacks something
}

const (
	alwaysCalled = "getsockopt getsockname socket socketpair close"

	// linuxCalls are those of Android too.
	linuxCalls = "bind clock_gettime connect fcntl getpeername ioctl poll recvfrom recvmsg send sendto setsockopt syscall"

	notLinux = "-U__linux__ -U__linux -Ulinux -U__gnu_linux__ "
	headers  = " -nostdlibinc -isystem $ZIG/lib/libc/include/"
)

var systems = []system{
	{
		goos: "linux",
		targets: `x86_64-linux-gnu x86-linux-gnu aarch64-linux-gnu arm-linux-gnueabihf mips-linux-gnueabi mipsel-linux-gnueabi
			mips64-linux-gnuabi64 mips64el-linux-gnuabi64 powerpc64-linux-musl powerpc64le-linux-gnu riscv64-linux-gnu
			s390x-linux-gnu loongarch64-linux-gnu sparc64-linux-gnu x86_64-linux-musl aarch64-linux-musl`,
		calls: linuxCalls,
		here:  "-D__linux__=1",
	},
	{ // with the kernel's headers, which Bionic also has, and musl's in place of Bionic's
		goos:    "android",
		targets: "x86_64-linux-musl x86-linux-musl aarch64-linux-musl arm-linux-musleabi",
		flags:   "-D__ANDROID__=1",
		calls:   linuxCalls,
	},
	{
		goos:     "darwin",
		targets:  "x86_64-macos aarch64-macos",
		calls:    "getpeereid fcntl",
		here:     notLinux + "-D__APPLE__ -D__MACH__ -D__APPLE_CC__=6000 -D__ENVIRONMENT_MAC_OS_X_VERSION_MIN_REQUIRED__=110000" + headers + "any-darwin-any",
		programs: "amd64=x86_64-macos arm64=aarch64-macos",
		link:     []string{"-ldflags=-w"}, // or Go calls this machine's strip
	},
	{
		goos:     "freebsd",
		targets:  "x86_64-freebsd x86-freebsd aarch64-freebsd arm-freebsd-eabihf",
		here:     notLinux + "-D__FreeBSD__=14" + headers + "x86_64-freebsd-none -isystem $ZIG/lib/libc/include/generic-freebsd",
		programs: "amd64=x86_64-freebsd arm64=aarch64-freebsd",
	},
	{
		goos:    "dragonfly",
		targets: "x86_64-dragonfly",
		flags:   "-nostdinc -isystem $TESTDATA/dragonfly -isystem $ZIG/lib/include",
		here:    notLinux + "-D__DragonFly__ -nostdlibinc -isystem $TESTDATA/dragonfly",
	},
	{
		goos:     "netbsd",
		targets:  "x86_64-netbsd x86-netbsd aarch64-netbsd arm-netbsd-eabi",
		calls:    "getpeername",
		here:     notLinux + "-D__NetBSD__" + headers + "x86_64-netbsd-none -isystem $ZIG/lib/libc/include/generic-netbsd",
		programs: "amd64=x86_64-netbsd arm64=aarch64-netbsd",
		link:     []string{"-tags=netgo"}, // or package net needs a libresolv
	},
	{
		goos:     "openbsd",
		targets:  "x86_64-openbsd x86-openbsd aarch64-openbsd arm-openbsd-eabi powerpc64-openbsd riscv64-openbsd",
		here:     notLinux + "-D__OpenBSD__" + headers + "x86_64-openbsd-none -isystem $ZIG/lib/libc/include/generic-openbsd",
		programs: "amd64=x86_64-openbsd arm64=aarch64-openbsd",
	},
	{ // Solaris and illumos: our imitation of their headers, beside those of musl or this machine
		goos:    "solaris",
		targets: "x86_64-linux-musl",
		flags:   notLinux + "-D_DEFAULT_SOURCE -D__sun -I$TESTDATA/solaris",
		calls:   "getpeerucred ucred_getpid ucred_geteuid ucred_getegid ucred_getgroups ucred_free",
		here:    notLinux + "-D_DEFAULT_SOURCE -D__sun -I$TESTDATA/solaris",
	},
	{ // our imitation of its headers
		goos:    "aix",
		targets: "powerpc64-linux-musl",
		flags:   notLinux + "-D_DEFAULT_SOURCE -D_AIX -I$TESTDATA/aix",
		calls:   "getpeereid",
		here:    notLinux + "-D_DEFAULT_SOURCE -D_AIX -I$TESTDATA/aix",
	},
	{goos: "windows", programs: "amd64=x86_64-windows-gnu"}, // without a shim
}

func (s system) words(flags string) []string {
	return strings.Fields(strings.NewReplacer("$ZIG", *zig, "$TESTDATA", filepath.Join(root, "cpeercred", "testdata")).Replace(flags))
}

// shims returns the files that cgo compiles for the system, by name and build constraint.
func (s system) shims() (files []string, err error) {
	all, err := filepath.Glob(filepath.Join(*sources, "*.c"))
	if err != nil {
		return nil, err
	}
	on := build.Default
	on.GOOS, on.GOARCH, on.CgoEnabled = s.goos, "amd64", true
	for _, file := range all {
		matches, err := on.MatchFile(filepath.Split(file))
		if err != nil {
			return nil, err
		}
		if matches {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no shim in %s", *sources)
	}
	return files, nil
}
