package peercred

import (
	"errors"
	"flag"
	"fmt"
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/systems.md (make systems)")

const (
	tableBegin = "<!-- The table is written by \"make systems\" from systems.go. -->\n"
	tableEnd   = "<!-- End of the table. -->\n"
)

// row is a row of the table: systems with the same facts.
type row struct {
	title   string
	systems []string
}

var rows = []row{
	{"Linux, Android", []string{"linux", "android"}},
	{"macOS, iOS", []string{"darwin", "ios"}},
	{"FreeBSD", []string{"freebsd"}},
	{"DragonFly", []string{"dragonfly"}},
	{"OpenBSD", []string{"openbsd"}},
	{"NetBSD", []string{"netbsd"}},
	{"illumos, Solaris", []string{"illumos", "solaris"}},
	{"AIX", []string{"aix"}},
	{"Windows, Plan 9, js, wasip1", []string{"windows", "plan9", "js", "wasip1"}},
}

// systemsTable renders the facts of supportOn.
func systemsTable() string {
	var table strings.Builder
	table.WriteString("| System | uid, gid by | pid | Groups | Security label | Process handle | Audit token | Loopback uid | A client sees the server as of | Answers after the peer's exit |\n|---|---|---|---|---|---|---|---|---|---|\n")
	var notes []string
	for _, r := range rows {
		c, native := supportOn(r.systems[0], "cpeercred"), supportOn(r.systems[0], "native")
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.title, orDash(calls(c.UID, native.UID)),
			cell(c.PID, native.PID), cell(c.Groups, native.Groups), cell(c.SecurityLabel, native.SecurityLabel),
			cell(c.Process, native.Process), cell(c.AuditToken, native.AuditToken), cell(c.LoopbackUID, native.LoopbackUID),
			orDash(moment(c.UID)), survivors(c))
		notes = append(notes, notesOf(r.title, c, native)...)
	}
	return table.String() + "\n" + strings.Join(notes, "") + "\n"
}

func calls(c, native Fact) string {
	if c.Call == native.Call {
		return c.Call
	}
	return native.Call + ", with cgo " + c.Call
}

func cell(c, native Fact) string {
	switch {
	case !c.Available:
		return "–"
	case !native.Available:
		return "with cgo"
	case c.Limit > 0:
		return fmt.Sprintf("%d at most", c.Limit)
	}
	return "yes"
}

func moment(f Fact) string {
	switch {
	case !f.Available:
		return ""
	case f.Client == "":
		return "unavailable"
	}
	return string(f.Client)
}

func survivors(i Info) string {
	var names []string
	for name, f := range i.Facts() {
		if f.SurvivesExit {
			names = append(names, name)
		}
	}
	return orDash(strings.Join(names, ", "))
}

// notesOf returns the notes without those of another fact of the same system.
func notesOf(title string, c, native Info) (notes []string) {
	said := map[string]bool{}
	for _, i := range []struct {
		info   Info
		suffix string
	}{{c, ""}, {native, " without cgo"}} {
		for name, f := range i.info.Facts() {
			if f.Note != "" && !said[f.Note] {
				said[f.Note] = true
				notes = append(notes, fmt.Sprintf("- %s, %s%s: %s\n", title, name, i.suffix, f.Note))
			}
		}
	}
	return notes
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// The table in docs/systems.md is the one from systems.go.
func TestSystemsDocument(t *testing.T) {
	readme, err := os.ReadFile("docs/systems.md")
	if err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	before, rest, begins := strings.Cut(string(readme), tableBegin)
	got, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("docs/systems.md has no place for the table, between %q and %q", tableBegin, tableEnd)
	}
	want := "\n" + systemsTable()
	if *update {
		if err := os.WriteFile("docs/systems.md", []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run \"make systems\" (-want +docs/systems.md):\n%s", diff)
	}
}

// The systems of a row have the same facts, and each system of Go is in a row.
func TestRowsAreComplete(t *testing.T) {
	for _, r := range rows {
		for _, implementation := range []string{"cpeercred", "native"} {
			first := supportOn(r.systems[0], implementation)
			for _, system := range r.systems[1:] {
				other := supportOn(system, implementation)
				other.System = first.System
				if diff := cmp.Diff(first, other); diff != "" {
					t.Errorf("%s and %s (-first +other):\n%s", r.systems[0], system, diff)
				}
			}
		}
	}
	if !slices.ContainsFunc(rows, func(r row) bool { return slices.Contains(r.systems, runtime.GOOS) }) {
		t.Errorf("%s is in no row", runtime.GOOS)
	}
}

// The data says that a fact is available on a system if that system's own file in each
// implementation answers it.
func TestSystemsAreWhatIsCompiled(t *testing.T) {
	if _, err := os.Stat("native"); err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	for _, r := range rows {
		for _, system := range r.systems {
			for _, implementation := range []string{"cpeercred", "native"} {
				info := supportOn(system, implementation)
				source := sourceOf(t, implementation, system)
				for _, test := range []struct {
					method, function string
					fact             Fact
				}{
					{"credentials", "cpeercred_credentials", info.UID},
					{"groups", "cpeercred_groups", info.Groups},
					{"securityLabel", "cpeercred_security_label", info.SecurityLabel},
					{"openProcess", "cpeercred_open_process", info.Process},
					{"auditToken", "cpeercred_audit_token", info.AuditToken},
					{"loopbackPeerUID", "cpeercred_loopback_peer_uid", info.LoopbackUID},
				} {
					defined := regexp.MustCompile(`(?m)^(func \(\w* ?system\) ` + test.method + `|` + test.function + `)\(`).MatchString(source)
					if refuses := implementation == "native" && test.method == "groups" && test.fact.Reason != untold("groups"); refuses {
						defined = test.fact.Available // by a method that says why
					}
					if defined != test.fact.Available {
						t.Errorf("%s on %s: the data says of %s that it is available: %v, and the source defines it: %v", implementation, system, test.method, test.fact.Available, defined)
					}
				}
			}
		}
	}
}

// sourceOf returns the text of what is compiled for the system and not for others, with the
// headers that it includes.
func sourceOf(t *testing.T, implementation, system string) string {
	t.Helper()
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = system, "amd64", implementation == "cpeercred"
	pkg, err := ctx.ImportDir(implementation, 0)
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range append(pkg.GoFiles, pkg.CFiles...) {
		if name == "unsupported.c" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(implementation, name))
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
		for _, header := range regexp.MustCompile(`#include "(\w+\.h)"`).FindAllSubmatch(text, -1) {
			text, err := os.ReadFile(filepath.Join(implementation, string(header[1])))
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	return source.String()
}

// The data says that a fact is available if the linked implementation answers it. Otherwise
// the data has the reason that the implementation gives.
func TestSupportIsWhatIsLinked(t *testing.T) {
	info := supportOn(runtime.GOOS, Implementation)
	for _, test := range []struct {
		fact   Fact
		ask    func() error
		failed string
	}{
		{info.UID, func() error { _, err := askCredentials(-1); return err }, "peer credentials"},
		{info.Groups, func() error { _, err := askGroups(-1); return err }, "failed to get the peer's groups:"},
		{info.SecurityLabel, func() error { _, err := askSecurityLabel(-1); return err }, "failed to get the peer's security label:"},
		{info.Process, func() error { _, err := askProcess(-1); return err }, "failed to open the peer's process:"},
		{info.AuditToken, func() error { _, err := askAuditToken(-1); return err }, "failed to get the peer's audit token:"},
		{info.LoopbackUID, func() error { _, err := askLoopbackUID(-1); return err }, "failed to get the loopback peer's uid:"},
	} {
		err := test.ask()
		if unsupported := errors.Is(err, errors.ErrUnsupported); err == nil || unsupported == test.fact.Available {
			t.Errorf("the data says that it is available: %v, and asking about no descriptor says %v", test.fact.Available, err)
		}
		want := test.failed + " unavailable on " + runtime.GOOS + ": " + test.fact.Reason
		if !test.fact.Available && (err == nil || err.Error() != want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Support agrees with the answers about a socketpair, and all fields of a fact that is not
// available are zero.
func TestSupport(t *testing.T) {
	info := Support()
	if info.System != runtime.GOOS || info.Implementation != Implementation {
		t.Errorf("Support is of %s and %s", info.System, info.Implementation)
	}
	for name, f := range info.Facts() {
		if f.Available == (f.Reason != "") {
			t.Errorf("%s: available %v, and the reason why not is %q", name, f.Available, f.Reason)
		}
		if bare := (Fact{Reason: f.Reason}); !f.Available && f != bare {
			t.Errorf("%s is not available, and yet: %+v", name, f)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	err := onSocketpair(func(fd int) {
		_, credentialsErr := askCredentials(fd)
		_, groupsErr := askGroups(fd)
		_, labelErr := askSecurityLabel(fd)
		process, processErr := askProcess(fd)
		discard(process)
		for _, test := range []struct {
			name string
			fact Fact
			err  error
		}{
			{"uid", info.UID, credentialsErr}, {"pid", info.PID, credentialsErr}, {"gid", info.GID, credentialsErr},
			{"groups", info.Groups, groupsErr}, {"security label", info.SecurityLabel, labelErr}, {"process", info.Process, processErr},
		} {
			if test.fact.Available != (test.err == nil) {
				t.Errorf("%s: %+v, but asking says %v", test.name, test.fact, test.err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A probe changes only the facts that it shows.
func TestSettle(t *testing.T) {
	known := Fact{Available: true, Call: "a call"}
	unknown := Fact{Reason: "no call"}
	shown := known
	shown.Pair = AtSocketpair
	for _, test := range []struct {
		name   string
		system string
		fact   Fact
		err    error
		want   Fact
	}{
		{"answered", "linux", known, nil, known},
		{"refused", "linux", known, unavailable(failedGroups, "too old"), Fact{Reason: "too old"}},
		{"another error", "freebsd", known, os.ErrClosed, known},
		{"another error, where every socketpair answers", "linux", shown, os.ErrClosed, Fact{Reason: os.ErrClosed.Error()}},
		{"another error, on the other such system", "android", shown, os.ErrClosed, Fact{Reason: os.ErrClosed.Error()}},
		{"another error, where newer kernels answer", "openbsd", shown, os.ErrClosed, known},
		{"answered, where newer kernels answer", "openbsd", shown, nil, shown},
		{"not there", "linux", unknown, unavailable(failedGroups, "too old"), unknown},
	} {
		got := test.fact
		got.settle(test.err, everyPairAnswers(test.system))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestFactsEndEarly(t *testing.T) {
	var names []string
	for name := range Support().Facts() {
		names = append(names, name)
		if len(names) == 2 {
			break // which panics if it is not heeded
		}
	}
	if len(names) != 2 {
		t.Errorf("%q, want two names", names)
	}
}

// Documented properties of facts that are not in the table.
func TestDocumentedFacts(t *testing.T) {
	linux := supportOn("linux", "native")
	if got := linux.SecurityLabel.Client; got != AtConnect {
		t.Errorf("Linux: a client sees the security label as of %q, want %q", got, AtConnect)
	}
	for system, want := range map[string]Moment{"linux": AtSocketpair, "openbsd": AtSocketpair, "freebsd": ""} {
		if got := supportOn(system, "native").UID.Pair; got != want {
			t.Errorf("%s: an end of a socketpair sees the uid as of %q, want %q", system, got, want)
		}
	}
	const reason = "DragonFly does not report the pid"
	if got := supportOn("dragonfly", "native").PID; got.Available || got.Reason != reason {
		t.Errorf("DragonFly: the pid is %+v, want that it is unavailable: %q", got, reason)
	}
}

// If a system has no call for a fact, the reason is that of the implementations.
func TestUntoldFacts(t *testing.T) {
	for fact, want := range map[string]string{
		"uid":            "the system does not report the uid and gid of a socket's peer",
		"gid":            "the system does not report the uid and gid of a socket's peer",
		"pid":            "the system does not report the uid and gid of a socket's peer",
		"process":        "the system has no handle on the process of a socket's peer",
		"security label": "the system does not report the security label of a socket's peer",
		"loopback uid":   "the system does not report the uid of a loopback TCP peer",
	} {
		if got := untold(fact); got != want {
			t.Errorf("%s: %q, want %q", fact, got, want)
		}
	}
	// A reason of its own is not replaced.
	if got := supportOn("illumos", "native").Groups.Reason; got == untold("groups") || got == "" {
		t.Errorf("illumos without cgo: groups have the reason %q", got)
	}
}

func TestErrPeerProcessGone(t *testing.T) {
	for _, test := range []struct {
		err  *ErrPeerProcessGone
		want string
	}{
		{&ErrPeerProcessGone{}, "the peer's process is gone"},
		{&ErrPeerProcessGone{PID: 4711}, "the peer's process is gone (it was pid 4711)"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
		if !errors.Is(test.err, os.ErrProcessDone) || errors.Is(test.err, os.ErrClosed) {
			t.Errorf("%v is os.ErrProcessDone: %v, os.ErrClosed: %v", test.err, errors.Is(test.err, os.ErrProcessDone), errors.Is(test.err, os.ErrClosed))
		}
	}
}
