//go:build cgo || (!android && !ios)

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       record
		ok, fails  bool
	}{
		{"a record", "proven: linux/s390x cpeercred emulated by make test-arch: qemu-s390x 7.2, glibc",
			record{"linux", "s390x", "cpeercred", emulated, "test-arch", "qemu-s390x 7.2, glibc"}, true, false},
		{"another line", "ok  	example.com/peercred	0.1s", record{}, false, false},
		{"an unknown level", "proven: linux/arm native believed by make test: x", record{}, false, true},
		{"an unknown implementation", "proven: linux/arm both ran by make test: x", record{}, false, true},
		{"no detail", "proven: linux/arm native ran by make test: ", record{}, false, true},
		{"no processor", "proven: linux native ran by make test: x", record{}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok, err := parse(test.text)
			if ok != test.ok || (err != nil) != test.fails {
				t.Errorf("ok %v and error %v, want %v and an error: %v", ok, err, test.ok, test.fails)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if ok && got.String() != test.text {
				t.Errorf("it is written as %q", got)
			}
		})
	}
}

// records are lines without their common beginning.
func records(t *testing.T, lines ...string) []record {
	t.Helper()
	list, err := read(strings.NewReader("proven: " + strings.Join(lines, "\nproven: ")))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A log is of a success, whatever was proven before a target failed.
func TestRead(t *testing.T) {
	const proven = "proven: linux/arm native emulated by make test-arch: qemu-arm"
	for _, test := range []struct{ name, log, fails string }{
		{"a success", "== arm\n" + proven + "\nok", ""},
		{"what is not make's", proven + "\nmake: Entering directory\nmake[1]: 'a' is up to date (ignored)\nmake *** nothing", ""},
		{"make failed", proven + "\ntestarch: 1 of 9 architectures failed\nmake: *** [Makefile:235: soak] Error 1\n", "make: *** [Makefile:235: soak] Error 1"},
		{"make in make failed", "make[2]: *** [Makefile:69: test-cgo] Error 1\r\n" + proven, "make[2]: *** [Makefile:69: test-cgo] Error 1"},
		{"another name of make", proven + "\ngmake[1]: *** [Makefile:69: test-cgo] Error 1", "gmake[1]: *** [Makefile:69: test-cgo] Error 1"},
		{"make behind what is unfinished", proven + "\n--- FAIL: TestAmake: *** [Makefile:69: test-cgo] Error 1", "make: *** [Makefile:69: test-cgo] Error 1"},
		{"make -i", "make: [Makefile:69: test-cgo] Error 1 (ignored)\n" + proven, "Error 1 (ignored)"},
		{"make -i in another language", "make: [Makefile:69: test-cgo] Fehler 1 (ignoriert)\n" + proven, "Fehler 1"},
		{"make -i in make, behind what is unfinished", "okmake[1]: [Makefile:69: test-cgo] Terminated (ignored)\n" + proven, "Terminated (ignored)"},
		{"no record", "proven: linux", `not a record: "proven: linux"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(strings.NewReader(test.log))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || got != nil {
					t.Errorf("%v and error %v, want an error with %q", got, err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(records(t, strings.TrimPrefix(proven, "proven: ")), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	kept := records(t,
		"linux/amd64 native ran by make test: kernel 6.1",
		"linux/amd64 native ran by make test-kernel: kernel 6.1",
		"linux/mips native emulated by make test-arch: qemu-mips",
		"darwin/arm64 native ran by make test: Darwin 27")
	news := records(t,
		"linux/amd64 native ran by make test: kernel 6.18",
		"linux/arm native emulated by make test-arch: qemu-arm")
	want := records(t,
		"darwin/arm64 native ran by make test: Darwin 27",
		"linux/amd64 native ran by make test: kernel 6.18",
		"linux/amd64 native ran by make test-kernel: kernel 6.1",
		"linux/arm native emulated by make test-arch: qemu-arm",
		"linux/mips native emulated by make test-arch: qemu-mips")
	if diff := cmp.Diff(want, merge(kept, news)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(kept[1:2], replaced(kept, news)); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
}

// A target that ran as a whole has shown as much of each place as is kept; which is
// another machine's, so that details may differ.
func TestWhole(t *testing.T) {
	const last = "\nrun all of it, or take out of internal/proof/proven.txt first what it is to show no more"
	kept := records(t,
		"linux/amd64 cpeercred ran by make test-kernel: kernel 6.1",
		"linux/amd64 cpeercred ran by make test-kernel: kernel 7.2",
		"linux/amd64 native ran by make test-kernel: kernel 6.1",
		"linux/arm64 native ran by make test-kernel: kernel 6.1")
	for _, test := range []struct {
		name string
		news []string
		want string
	}{
		{"all", []string{
			"linux/amd64 cpeercred ran by make test-kernel: kernel 6.1",
			"linux/amd64 cpeercred ran by make test-kernel: kernel 7.2",
			"linux/amd64 native ran by make test-kernel: kernel 6.1",
			"linux/arm64 native ran by make test-kernel: kernel 6.1",
		}, ""},
		{"other releases, and one more", []string{
			"linux/amd64 cpeercred ran by make test-kernel: kernel 6.2",
			"linux/amd64 cpeercred ran by make test-kernel: kernel 7.3",
			"linux/amd64 native ran by make test-kernel: kernel 6.2",
			"linux/amd64 native ran by make test-kernel: kernel 7.3",
			"linux/arm64 native ran by make test-kernel: kernel 6.2",
		}, ""},
		{"as many, of which one proves less", []string{
			"linux/amd64 cpeercred ran by make test-kernel: kernel 6.1",
			"linux/amd64 cpeercred emulated by make test-kernel: kernel 7.2",
			"linux/amd64 native ran by make test-kernel: kernel 6.1",
			"linux/arm64 native ran by make test-kernel: kernel 6.1",
		}, "make test-kernel showed 1 of the 2 records that are kept of linux/amd64 cpeercred, without:\n  kernel 7.2" + last},
		{"one boot less", []string{
			"linux/amd64 cpeercred ran by make test-kernel: kernel 6.1",
			"linux/amd64 native ran by make test-kernel: kernel 6.1",
			"linux/arm64 native ran by make test-kernel: kernel 6.1",
		}, "make test-kernel showed 1 of the 2 records that are kept of linux/amd64 cpeercred, without:\n  kernel 7.2" + last},
		{"one processor, of another release", []string{
			"linux/amd64 cpeercred ran by make test-kernel: kernel 6.2",
			"linux/amd64 native ran by make test-kernel: kernel 6.2",
		}, "make test-kernel showed 1 of the 2 records that are kept of linux/amd64 cpeercred, without:\n  kernel 6.1\n  kernel 7.2\n" +
			"make test-kernel showed 0 of the 1 records that are kept of linux/arm64 native, without:\n  kernel 6.1" + last},
		{"another target", []string{
			"linux/amd64 cpeercred ran by make test-kernel: kernel 6.1",
			"linux/amd64 cpeercred ran by make test: kernel 7.2",
			"linux/amd64 native ran by make test-kernel: kernel 6.1",
			"linux/arm64 native ran by make test-kernel: kernel 6.1",
		}, "make test-kernel showed 1 of the 2 records that are kept of linux/amd64 cpeercred, without:\n  kernel 7.2" + last},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := whole(kept, records(t, test.news...)); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What ran in part is neither written nor taken for the whole, and what was written stays.
func TestRun(t *testing.T) {
	const kept = "" +
		"proven: linux/amd64 native emulated by make test-gvisor: gVisor 2022\n" +
		"proven: linux/amd64 native emulated by make test-gvisor: gVisor 2026\n" +
		"proven: linux/arm native emulated by make test-arch: qemu 7\n" +
		"proven: linux/mips native emulated by make test-arch: qemu 7\n"
	const old, fewer = "proven: linux/amd64 native emulated by make test-gvisor: gVisor 2022\n", "make test-gvisor showed 1 of the 2 records that are kept of linux/amd64 native"
	for _, test := range []struct {
		name, log, ran, partly string
		write                  bool
		want                   string // what is kept
		fails                  string
	}{
		{name: "a part, checked as a part", log: old, partly: "test-gvisor", want: kept},
		{name: "a part, checked as a whole", log: old, ran: "test-gvisor", want: kept, fails: fewer},
		{name: "a part, written as a whole", log: old, ran: "test-gvisor", write: true, want: kept, fails: fewer},
		{name: "a part, written", log: old, write: true, want: kept, fails: fewer},
		{name: "another place, written", log: "proven: linux/arm native emulated by make test-arch: qemu 8\n", write: true,
			want: strings.Replace(kept, "qemu 7", "qemu 8", 1)},
		{name: "another place, written as a whole", log: "proven: linux/arm native emulated by make test-arch: qemu 8\n", ran: "test-arch", write: true,
			want: kept, fails: "make test-arch showed 0 of the 1 records that are kept of linux/mips native"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.MkdirAll(filepath.Dir(provenFile), 0o700); err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{provenFile: kept, readmeFile: tableBegin + tableEnd, "log": test.log} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			said := ""
			if err := run(io.Discard, test.write, names(test.ran), names(test.partly), []string{"log"}); err != nil {
				said = err.Error()
			}
			if (said != "") != (test.fails != "") || !strings.Contains(said, test.fails) {
				t.Errorf("error %q, want %q", said, test.fails)
			}
			got, err := os.ReadFile(provenFile)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShown(t *testing.T) {
	news := records(t, "linux/amd64 native ran by make test: kernel 7.0")
	for _, test := range []struct {
		targets string
		fails   bool
	}{
		{"", false},
		{"test", false},
		{"test-arch", true},
		{"test,test-arch", true},
	} {
		t.Run(test.targets, func(t *testing.T) {
			if err := shown(news, names(test.targets)); (err != nil) != test.fails {
				t.Errorf("%v, want an error: %v", err, test.fails)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	kept := records(t,
		"linux/amd64 native ran by make test: kernel 6.18",
		"linux/arm native emulated by make test-arch: qemu-arm",
		"linux/s390x native emulated by make test-arch: qemu-s390x")
	for _, test := range []struct {
		name   string
		news   []string
		ran    string
		partly string
		fails  bool
	}{
		{"another kernel", []string{"linux/amd64 native ran by make test: kernel 7.0"}, "test", "", false},
		{"not shown again", []string{"linux/arm native emulated by make test-arch: qemu-arm"}, "test-arch", "", true},
		{"a part", []string{"linux/arm native emulated by make test-arch: qemu-arm"}, "", "test-arch", false},
		{"less than is kept", []string{"linux/amd64 native compiled by make test: kernel 6.18"}, "", "test", true},
		{"not kept", []string{"linux/amd64 cpeercred ran by make test: kernel 6.18"}, "", "test", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := check(&out, kept, records(t, test.news...), names(test.ran), names(test.partly))
			if (err != nil) != test.fails {
				t.Errorf("%v, want an error: %v; it printed\n%s", err, test.fails, &out)
			}
		})
	}
}

func TestTable(t *testing.T) {
	got := table(records(t,
		"linux/amd64 native ran by make test: kernel 6.18",
		"linux/amd64 native ran by make test-kernel: kernel 6.1",
		"linux/amd64 native ran by make test-kernel: kernel 6.18",
		"linux/amd64 native compiled by make cross: go1.26",
		"linux/arm64 native compiled by make cross: go1.26",
		"linux/mips native compiled by make cross: go1.26",
		"linux/s390x native emulated by make test-arch: qemu",
		"freebsd/amd64 cpeercred linked by make cross: Zig"))
	want := "" +
		"| System | Implementation | Ran on a real kernel | Ran under emulation | Linked | Compiled |\n" +
		"|---|---|---|---|---|---|\n" +
		"| Linux | native | amd64 (`test`, `test-kernel`) | s390x (`test-arch`) |  | arm64, mips (`cross`) |\n" +
		"| FreeBSD | cpeercred |  |  | amd64 (`cross`) |  |\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The README shows what is kept, of systems that the matrix has a title for.
func TestREADMEMatrix(t *testing.T) {
	kept, err := readFile("proven.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range kept {
		if !strings.Contains(table(kept), r.Architecture) || !known(r.System) {
			t.Errorf("the matrix leaves out: %s", r)
		}
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", readmeFile))
	if err != nil {
		t.Fatal(err)
	}
	_, got, _, err := splitREADME(string(readme))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("\n"+table(kept)+"\n", got); diff != "" {
		t.Errorf("run \"make proof\" (-want +README.md):\n%s", diff)
	}
}

func known(system string) bool {
	for _, s := range systems {
		if s.name == system {
			return true
		}
	}
	return false
}
