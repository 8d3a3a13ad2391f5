//go:build !android

package native

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// compilerVariable has a C compiler for the processor of the test, with its flags, if cc is
// for another processor.
const compilerVariable = "PEERCRED_TEST_CC"

// processor is what C compilers call ours.
func processor() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

func needCompilerForUs(t *testing.T, cc string) {
	t.Helper()
	machine, err := exec.Command(cc, "-dumpmachine").Output()
	if want := processor(); err != nil || !strings.HasPrefix(string(machine), want+"-") {
		t.Skipf("needs a C compiler for %s, in %s: %s is for %q, %v", want, compilerVariable, cc, machine, err)
	}
}

// The numbers that x/sys gives are those of this system's C headers.
func TestConstants(t *testing.T) {
	cc := strings.Fields(os.Getenv(compilerVariable))
	chosen := len(cc) > 0
	if !chosen {
		cc = []string{"cc"}
	}
	if _, err := exec.LookPath(cc[0]); err != nil {
		t.Skipf("needs a C compiler to ask the headers: %v", err)
	}
	if !chosen {
		needCompilerForUs(t, cc[0])
	}
	program := filepath.Join(t.TempDir(), "numbers")
	source := program + ".c"
	err := os.WriteFile(source, []byte(`#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#ifndef SO_PEERPIDFD /* older headers */
#define SO_PEERPIDFD 77
#endif
int main(void) {
	struct ucred u;
	printf("SO_PEERGROUPS %d SO_PEERSEC %d SO_PEERPIDFD %d ", SO_PEERGROUPS, SO_PEERSEC, SO_PEERPIDFD);
	printf("SOL_SOCKET %d SO_PEERCRED %d SO_ACCEPTCONN %d SO_DOMAIN %d SO_TYPE %d getsockopt %d ",
	    SOL_SOCKET, SO_PEERCRED, SO_ACCEPTCONN, SO_DOMAIN, SO_TYPE, SYS_getsockopt);
	printf("ucred %zu pid %zu uid %zu gid %zu\n", sizeof u,
	    offsetof(struct ucred, pid), offsetof(struct ucred, uid), offsetof(struct ucred, gid));
}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc[0], append(cc[1:], "-o", program, source)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	headers, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var u linuxUcred
	ours := fmt.Sprintf("SO_PEERGROUPS %d SO_PEERSEC %d SO_PEERPIDFD %d SOL_SOCKET %d SO_PEERCRED %d SO_ACCEPTCONN %d SO_DOMAIN %d SO_TYPE %d getsockopt %d ucred %d pid %d uid %d gid %d\n",
		unix.SO_PEERGROUPS, unix.SO_PEERSEC, unix.SO_PEERPIDFD,
		unix.SOL_SOCKET, unix.SO_PEERCRED, unix.SO_ACCEPTCONN, unix.SO_DOMAIN, unix.SO_TYPE, unix.SYS_GETSOCKOPT,
		unsafe.Sizeof(u), unsafe.Offsetof(u.pid), unsafe.Offsetof(u.uid), unsafe.Offsetof(u.gid))
	if diff := cmp.Diff(string(headers), ours); diff != "" {
		t.Errorf("(-headers +x/sys):\n%s", diff)
	}
}
