//go:build linux && (cgo || !android)

package main

import "slices"

// system is one that has C shims, and how they are compiled for it.
type system struct {
	names   []string // as GOOS
	targets []target
	headers string // which were used
	compile func(toolchain, target) []string
	shims   []shim
	errno   string // the function behind errno in these headers
}

// target is a processor, as the compiler spells it and as GOARCH: "" for one that
// Go has no port for.
type target struct{ triple, arch string }

// shim is a C file, and what its object may refer to.
type shim struct {
	file  string
	calls []string // the system's, each of which it must refer to
	other []string // what it may refer to besides
}

const (
	ownHeaders = "the system's own headers"
	imitation  = "an imitation of its headers"
)

// What shims refer to besides the system: errno is always allowed.
var (
	family = []string{"cpeercred_check_unix_family"}
	memory = []string{"memset", "memcpy"}
	// What clock_gettime(2) is called where its time has 32 or 64 bits.
	clock = []string{"clock_gettime", "__clock_gettime64"}
)

func withFamily(names ...string) []string { return slices.Concat(family, names) }

// sockets is the shim that all systems share.
func sockets(calls ...string) shim {
	return shim{
		"socket",
		slices.Concat([]string{"getsockopt", "socket", "socketpair", "close"}, calls),
		[]string{"cpeercred_credentials", "cpeercred_check_packet_ends", "memset"},
	}
}

var (
	linuxShims = []shim{
		{"linux", []string{"getsockopt", "fcntl", "close", "poll", "ioctl", "syscall", "socket", "bind", "getsockname", "connect"},
			slices.Concat(clock, memory, []string{"memchr"})},
		sockets(),
		unsupported,
	}
	unsupported = shim{"unsupported", nil, nil}
)

var systems = []system{
	{
		names: []string{"linux"},
		targets: []target{
			{"x86_64-linux-gnu", "amd64"}, {"x86-linux-gnu", "386"},
			{"aarch64-linux-gnu", "arm64"}, {"arm-linux-gnueabihf", "arm"},
			{"mips-linux-gnueabi", "mips"}, {"mipsel-linux-gnueabi", "mipsle"},
			{"mips64-linux-gnuabi64", "mips64"}, {"mips64el-linux-gnuabi64", "mips64le"},
			{"powerpc64-linux-musl", "ppc64"}, {"powerpc64le-linux-gnu", "ppc64le"},
			{"riscv64-linux-gnu", "riscv64"}, {"s390x-linux-gnu", "s390x"},
			{"loongarch64-linux-gnu", "loong64"}, {"sparc64-linux-gnu", ""},
			{"x86_64-linux-musl", "amd64"}, {"aarch64-linux-musl", "arm64"},
		},
		headers: ownHeaders,
		compile: withZig,
		shims:   append(slices.Clone(linuxShims), shim{file: "testdata/linuxheaders"}),
		errno:   "__errno_location",
	},
	{
		names: []string{"android"},
		targets: []target{
			{"x86_64-linux-android", "amd64"}, {"i686-linux-android", "386"},
			{"aarch64-linux-android", "arm64"}, {"armv7a-linux-androideabi", "arm"},
		},
		headers: "Linux's own headers, and musl's in want of Bionic's",
		compile: forAndroid,
		shims:   linuxShims,
		errno:   "__errno_location",
	},
	{
		names:   []string{"darwin"},
		targets: []target{{"x86_64-macos", "amd64"}, {"aarch64-macos", "arm64"}},
		headers: ownHeaders,
		compile: withZig,
		shims: []shim{
			{"darwin", []string{"getsockopt", "getpeereid"}, withFamily(memory...)},
			sockets("getsockname", "fcntl"),
			unsupported,
		},
		errno: "__error",
	},
	{
		names: []string{"freebsd"},
		targets: []target{
			{"x86_64-freebsd", "amd64"}, {"x86-freebsd", "386"}, {"aarch64-freebsd", "arm64"},
			{"arm-freebsd-eabihf", "arm"},
		},
		headers: ownHeaders,
		compile: withZig,
		shims: []shim{
			{"freebsd", []string{"getsockopt"}, withFamily(memory...)},
			sockets("getsockname"),
			unsupported,
		},
		errno: "__error",
	},
	{
		names:   []string{"dragonfly"},
		targets: []target{{"x86_64-unknown-dragonfly", "amd64"}},
		headers: imitation,
		compile: forDragonFly,
		shims: []shim{
			{"dragonfly", []string{"getsockopt"}, withFamily(memory...)},
			sockets("getsockname"),
			unsupported,
		},
		errno: "__error",
	},
	{
		names: []string{"netbsd"},
		targets: []target{
			{"x86_64-netbsd", "amd64"}, {"x86-netbsd", "386"}, {"aarch64-netbsd", "arm64"},
			{"arm-netbsd-eabi", "arm"},
		},
		headers: ownHeaders,
		compile: withZig,
		shims: []shim{
			{"netbsd", []string{"getsockopt", "getsockname", "getpeername"}, withFamily(memory...)},
			sockets("getsockname"),
			unsupported,
		},
		errno: "__errno",
	},
	{
		names: []string{"openbsd"},
		targets: []target{
			{"x86_64-openbsd", "amd64"}, {"x86-openbsd", "386"}, {"aarch64-openbsd", "arm64"},
			{"arm-openbsd-eabi", "arm"}, {"powerpc64-openbsd", "ppc64"}, {"riscv64-openbsd", "riscv64"},
		},
		headers: ownHeaders,
		compile: withZig,
		shims: []shim{
			{"openbsd", []string{"getsockopt"}, family},
			sockets("getsockname"),
			unsupported,
		},
		errno: "__errno",
	},
	{
		names:   []string{"illumos", "solaris"},
		targets: []target{{"x86_64-linux-gnu", "amd64"}},
		headers: imitation,
		compile: imitating("__sun", "solaris"),
		shims: []shim{
			{"solaris", []string{"getpeerucred", "ucred_getpid", "ucred_geteuid", "ucred_getegid", "ucred_getgroups", "ucred_free"}, withFamily(memory...)},
			sockets("getsockname"),
			unsupported,
		},
		errno: "__errno_location",
	},
	{
		names:   []string{"aix"},
		targets: []target{{"powerpc64-linux-gnu", "ppc64"}},
		headers: imitation,
		compile: imitating("_AIX", "aix"),
		shims: []shim{
			{"aix", []string{"getpeereid", "getsockopt"}, withFamily(memory...)},
			sockets("getsockname"),
			unsupported,
		},
		errno: "__errno_location",
	},
}

func withZig(t toolchain, on target) []string {
	return []string{t.zig, "cc", "-target", on.triple}
}

// forAndroid takes the kernel's headers, as Bionic does, and musl's in place of
// Bionic's, which no registry has.
func forAndroid(t toolchain, on target) []string { return withMusl(t, on) }

func forDragonFly(t toolchain, on target) []string {
	return []string{t.zig, "clang", "-target", on.triple, "-nostdinc",
		"-isystem", "cpeercred/testdata/dragonfly", "-isystem", t.builtinHeaders()}
}

// imitating adds to musl's headers what another system has besides. Its compilers
// tell it by a macro.
func imitating(macro, name string) func(toolchain, target) []string {
	return func(t toolchain, on target) []string {
		return withMusl(t, on, "-U__linux__", "-D_DEFAULT_SOURCE", "-D"+macro, "-isystem", "cpeercred/testdata/"+name)
	}
}

// withMusl takes clang alone, and musl's headers after those that flags name.
func withMusl(t toolchain, on target, flags ...string) []string {
	names := map[string]struct{ musl, linux string }{
		"386":   {"x86", "x86"},
		"amd64": {"x86_64", "x86"},
		"arm":   {"arm", "arm"},
		"arm64": {"aarch64", "aarch64"},
		"ppc64": {"powerpc64", "powerpc"},
	}[on.arch]
	command := slices.Concat([]string{t.zig, "clang", "-target", on.triple, "-nostdinc"}, flags, []string{"-isystem", t.builtinHeaders()})
	for _, folder := range []string{names.musl + "-linux-musl", "generic-musl", names.linux + "-linux-any", "any-linux-any"} {
		command = append(command, "-isystem", t.headers(folder))
	}
	return command
}
