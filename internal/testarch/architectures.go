//go:build linux && (cgo || !android)

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// architecture is a processor, and who compiles and emulates for it.
type architecture struct {
	name        string   // as Go spells it
	cc          string   // a compiler, with what it must be told
	libc        string   // and whose, if not Debian's
	pkg         string   // the compiler's Debian package
	qemu        string   // the emulator of its programs
	environment []string // more of it, that cc needs
}

var architectures = []architecture{
	{name: "386", cc: "i686-linux-gnu-gcc", libc: "glibc", pkg: "gcc-i686-linux-gnu libc6-dev-i386-cross", qemu: "qemu-i386"},
	{name: "arm", cc: "arm-linux-gnueabihf-gcc", libc: "glibc", pkg: "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross", qemu: "qemu-arm"},
	{name: "arm64", cc: "aarch64-linux-gnu-gcc", libc: "glibc", pkg: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross", qemu: "qemu-aarch64"},
	// Debian 12 has no compiler for it. Zig's musl uses vectors, which its qemu has not.
	{name: "loong64", cc: "python3 -m ziglang cc -target loongarch64-linux-musl -mcpu=la64v1_0-lsx-lasx", libc: "musl by Zig", qemu: "qemu-loongarch64",
		environment: []string{"PYTHONPATH=" + zigDir}},
	{name: "mips64le", cc: "mips64el-linux-gnuabi64-gcc", libc: "glibc", pkg: "gcc-mips64el-linux-gnuabi64 libc6-dev-mips64el-cross", qemu: "qemu-mips64el"},
	{name: "mipsle", cc: "mipsel-linux-gnu-gcc", libc: "glibc", pkg: "gcc-mipsel-linux-gnu libc6-dev-mipsel-cross", qemu: "qemu-mipsel"},
	{name: "ppc64le", cc: "powerpc64le-linux-gnu-gcc", libc: "glibc", pkg: "gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross", qemu: "qemu-ppc64le"},
	{name: "riscv64", cc: "riscv64-linux-gnu-gcc", libc: "glibc", pkg: "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross", qemu: "qemu-riscv64"},
	{name: "s390x", cc: "s390x-linux-gnu-gcc", libc: "glibc", pkg: "gcc-s390x-linux-gnu libc6-dev-s390x-cross", qemu: "qemu-s390x"}, // big-endian
}

// zigDir is where the Makefile installs Zig.
var zigDir = os.Getenv("ZIG_DIR")

// emulated says that this machine's kernel does not run its programs itself.
func (a architecture) emulated() bool {
	return a.name != runtime.GOARCH && !(a.name == "386" && runtime.GOARCH == "amd64")
}

func (a architecture) level() string {
	if a.emulated() {
		return "emulated"
	}
	return "ran"
}

// compiler is cc without what it is told.
func (a architecture) compiler() string {
	name, _, _ := strings.Cut(a.cc, " ")
	return name
}

// runner tells what runs its programs: an emulator with its version, or a kernel.
func (a architecture) runner() (string, error) {
	if !a.emulated() {
		return kernel()
	}
	out, err := toolrun.Output(exec.Command(a.qemu, "--version"))
	if err != nil {
		return "", err
	}
	version, _, _ := strings.Cut(out, "\n")
	return strings.Replace(version, " version", "", 1), nil // qemu-arm version 7.2.22 (Debian ...)
}
