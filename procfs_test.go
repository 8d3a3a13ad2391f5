package peercred

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The tests of the parsers for files in /proc.

func TestParseCgroups(t *testing.T) {
	for _, test := range []struct {
		text string
		want []Cgroup
		ok   bool
	}{
		{"", []Cgroup{}, true},
		{"0::/user.slice/a b:c\n", []Cgroup{{Path: "/user.slice/a b:c"}}, true},
		{"4:cpu,cpuacct:/x (deleted)\n1:name=systemd:/\n", []Cgroup{
			{Hierarchy: 4, Controllers: []string{"cpu", "cpuacct"}, Path: "/x (deleted)"},
			{Hierarchy: 1, Controllers: []string{"name=systemd"}, Path: "/"},
		}, true},
		{"0:/\n", nil, false},
		{"x::/\n", nil, false},
		{"0::/\n\n", nil, false},
	} {
		got, err := parseCgroups(test.text)
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != test.ok {
			t.Errorf("%q: %v, want it accepted: %v (-want +got):\n%s", test.text, err, test.ok, diff)
		}
	}
}

func TestParseStart(t *testing.T) {
	fields := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 " // the 3rd to the 21st
	for _, test := range []struct {
		stat string
		want time.Duration
		ok   bool
	}{
		{"7 (name)" + fields + "250 0", 2500 * time.Millisecond, true},
		{"7 (a) S 1 1 1 (b)" + fields + "1 0", 10 * time.Millisecond, true}, // a name with brackets
		{"7 (a\n) 9" + strings.Repeat(" 9", 30) + ")" + fields + "3 0", 30 * time.Millisecond, true},
		{"7 (name)" + fields + "250", 2500 * time.Millisecond, true},        // nothing after it
		{"7 (name)" + fields + "922337203685 0", 922337203685 * tick, true}, // the longest
		// Linux reports these two for processes that started 1 s and 3.14159 s before the
		// boot of our time namespace.
		{"7 (name)" + fields + "1844674407270 0", -1009551616, true},
		{"7 (name)" + fields + "1844674407056 0", -3149551616, true},
		{"7 (name)" + fields + "1844674407370 0", -9551616, true}, // the greatest, a nanosecond before
		{"7 (name)" + fields, 0, false},
		{"7 (name)" + fields + "-1 0", 0, false},
		{"7 (name)" + fields + "1844674407371 0", 0, false}, // more than 64 bits of nanoseconds
		{"7 (name)" + fields + "x 0", 0, false},
		{"", 0, false},
	} {
		if got, err := parseStart(test.stat); got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %v, %v, want %v, %v", test.stat, got, err, test.want, test.ok)
		}
	}
}

func TestStartTime(t *testing.T) {
	const stat = "7 (name) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 250 0"
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if got, err := startTime(stat, 12_500*time.Millisecond, now); !got.Equal(now.Add(-10*time.Second)) || err != nil {
		t.Errorf("%q: %v, %v, want 10 s before %v", stat, got, err, now)
	}
	if got, err := startTime("7 (name) S", 12_500*time.Millisecond, now); !got.IsZero() || err == nil {
		t.Errorf("a stat without a start: %v, %v, want an error", got, err)
	}
}

func TestParseCmdline(t *testing.T) {
	for text, want := range map[string][]string{
		"":                 {},
		"ls\x00-l\x00":     {"ls", "-l"},
		"ls\x00\x00":       {"ls", ""},
		"\x00":             {""},
		"a title":          {"a title"},
		"a title\x00ls -l": {"a title", "ls -l"},
	} {
		if diff := cmp.Diff(want, parseCmdline(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// If /proc hides the process, or begins to hide it during read, the error of read is not
// about the process.
func TestInspectOfAHiddenProcess(t *testing.T) {
	said := fmt.Errorf("said by the reader: %w", os.ErrNotExist)
	shown := func(t *testing.T) string {
		procfs := t.TempDir()
		if err := os.WriteFile(procfs+"/stat", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return procfs
	}
	for _, test := range []struct {
		name      string
		procfs    func(t *testing.T) string
		read      func(procfs string) error
		wantCalls int
		want      error // nil for "unavailable"
	}{
		{"shown", shown, func(string) error { return said }, 1, said},
		{"hidden", (*testing.T).TempDir, func(string) error { return nil }, 0, nil},
		{"hidden meanwhile", shown, func(procfs string) error { return errors.Join(os.Remove(procfs+"/stat"), said) }, 1, nil},
		{"another error", func(t *testing.T) string { return shown(t) + "/stat" }, func(string) error { return nil }, 0, syscall.ENOTDIR},
	} {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skipf("needs the errors of Linux, where /proc is; this is %s", runtime.GOOS)
			}
			calls := 0
			err := inspect(test.procfs(t), func(procfs string) error { calls++; return test.read(procfs) })
			if calls != test.wantCalls {
				t.Errorf("the reader was called %d times, want %d", calls, test.wantCalls)
			}
			var unavailable *ErrPeerCredentialsUnavailable
			switch told := errors.As(err, &unavailable); {
			case test.want == nil && (!told || errors.Is(err, os.ErrNotExist)):
				t.Errorf("%v, want *ErrPeerCredentialsUnavailable", err)
			case test.want != nil && (told || !errors.Is(err, test.want)):
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// What was read stays valid, even if /proc hides the process afterwards.
func TestInspectBeforeAProcessIsHidden(t *testing.T) {
	procfs := t.TempDir()
	if err := os.WriteFile(procfs+"/stat", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := inspect(procfs, func(procfs string) error { return os.Remove(procfs + "/stat") }); err != nil {
		t.Errorf("%v, want no error", err)
	}
}

// A process without arguments still has a program. A process that is ending or executing
// another program has none.
func TestReadCmdline(t *testing.T) {
	const absent = "no such file"
	for _, test := range []struct {
		name, cmdline, exe, want string
		err                      error
	}{
		{"arguments", "ls\x00", "/bin/ls", "ls\x00", nil},
		{"arguments, and no program any more", "ls\x00", absent, "ls\x00", nil},
		{"no arguments", "", "/bin/ls", "", nil},
		{"no program", "", absent, "", os.ErrNotExist},
		{"a program that may not be seen", "", "", "", nil},
		{"nothing to read", absent, "/bin/ls", "", os.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if test.cmdline != absent {
				if err := os.WriteFile(dir+"/cmdline", []byte(test.cmdline), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			switch test.exe {
			case absent:
			case "": // what is no link cannot be read
				err = os.WriteFile(dir+"/exe", nil, 0o600)
			default:
				err = os.Symlink(test.exe, dir+"/exe")
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readCmdline(dir); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%q, %v, want %q, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestParseStatusIDs(t *testing.T) {
	status := "Name:\tUid:\\n\nUid:\t1\t2\t3\t4294967294\nGid:\t5\t6\t7\t8\n"
	for _, test := range []struct {
		text string
		want [8]uint32
		ok   bool
	}{
		{status, [8]uint32{1, 2, 3, 4294967294, 5, 6, 7, 8}, true},
		{strings.Replace(status, "\t4294967294", "", 1), [8]uint32{}, false},
		{strings.Replace(status, "4294967294", "4294967296", 1), [8]uint32{}, false},
		{strings.Replace(status, "Gid", "Sid", 1), [8]uint32{}, false},
		{"", [8]uint32{}, false},
	} {
		got, err := parseStatusIDs(test.text)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %v, %v, want %v, %v", test.text, got, err, test.want, test.ok)
		}
	}
}

func TestParseFdinfoPID(t *testing.T) {
	for _, test := range []struct {
		text string
		want int32
		ok   bool
	}{
		{"pos:\t0\nflags:\t02000002\nPid:\t4711\nNSpid:\t4711\t1\n", 4711, true},
		{"Pid:\t0\n", 0, true},
		{"Pid:\t-1\nNSpid:\t-1\n", -1, true},
		{"Pid:\t-2\n", 0, false},
		{"Pid:\t\n", 0, false},
		{"Pid:\t4294967297\n", 0, false},
		{"pos:\t0\nNSpid:\t1\n", 0, false}, // a descriptor of something else
		{"", 0, false},
	} {
		if got, err := parseFdinfoPID(test.text); got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %d, %v, want %d, %v", test.text, got, err, test.want, test.ok)
		}
	}
}

func TestReadAtMost(t *testing.T) {
	name := t.TempDir() + "/f"
	if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readAtMost(name, 5); got != "12345" || err != nil {
		t.Errorf("%q, %v, want all of it", got, err)
	}
	if got, err := readAtMost(name, 4); got != "" || err == nil {
		t.Errorf("%q, %v, want an error", got, err)
	}
}

// FuzzProc checks that the parsers read the kernel's values correctly beside any name of the
// process and any paths of its control groups. It also checks that any other text gives
// either values or an error, never both.
func FuzzProc(f *testing.F) {
	f.Add("name", uint32(1000), uint64(123456))
	f.Add(") R 1 2 (", uint32(0), uint64(0))
	f.Add("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0", uint32(4294967294), uint64(1<<63))
	f.Add("12:cpu:/a\n0::/", uint32(1), uint64(1))
	f.Add("Pid:\t-1\n", uint32(1), uint64(1))
	f.Fuzz(func(t *testing.T, text string, id uint32, ticks uint64) {
		// The kernel puts the name between brackets as it is, and escapes it in status.
		ticks %= uint64(1<<63-1) / uint64(tick)
		stat := fmt.Sprintf("4711 (%s) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %d 20\n", text, ticks)
		if got, err := parseStart(stat); got != time.Duration(ticks)*tick || err != nil {
			t.Errorf("%q: started %v, %v, want %v", stat, got, err, time.Duration(ticks)*tick)
		}
		escaped := strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(text)
		status := fmt.Sprintf("Name:\t%s\nPid:\t4711\nUid:\t%d\t1\t2\t3\nGid:\t4\t5\t6\t%[2]d\n", escaped, id)
		if got, err := parseStatusIDs(status); got != [8]uint32{id, 1, 2, 3, 4, 5, 6, id} || err != nil {
			t.Errorf("%q: %v, %v", status, got, err)
		}
		path := "/" + strings.ReplaceAll(text, "\n", `\n`)
		if got, err := parseCgroups("3:cpu,cpuacct:/\n0::" + path + "\n"); err != nil || len(got) != 2 || got[1].Path != path || got[1].Hierarchy != 0 {
			t.Errorf("%q: %v, %v", path, got, err)
		}

		if got, err := parseStart(text); err != nil && got != 0 {
			t.Errorf("%q: started %v, %v", text, got, err)
		}
		if got, err := parseStatusIDs(text); err != nil && got != [8]uint32{} {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if got, err := parseFdinfoPID(text); got < -1 || (err != nil && got != 0) {
			t.Errorf("%q: pid %v, %v", text, got, err)
		}
		if got, err := parseCgroups(text); (got == nil) == (err == nil) || len(got) > strings.Count(text, "\n")+1 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	})
}
