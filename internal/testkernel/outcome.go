//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"slices"
	"strings"

	"example.com/peercred/internal/staticbuild"
	"example.com/peercred/internal/testlog"
)

// outcome is what one boot told.
type outcome struct {
	boot    boot
	release string       // of the kernel that was started
	skips   []string     // the reasons for them that are expected
	needed  []string     // the tests that must pass
	tell    func(string) // takes a line of progress
	kernel  string
	modules string
	results []*result
	current *result // whose lines are read
	ended   bool
}

// newOutcome is to be that of runs in b, with a kernel of the given release.
func newOutcome(b boot, release string, runs []run, tell func(string)) *outcome {
	o := &outcome{boot: b, release: release, skips: b.skips(), needed: b.needed(), tell: tell}
	for _, r := range runs {
		o.results = append(o.results, &result{run: r})
	}
	return o
}

// read takes the machine's next line.
func (o *outcome) read(line string) {
	var i, code int
	switch {
	case told(line, startLine, &i) && o.has(i):
		o.current = o.results[i]
		o.current.begin()
	case told(line, exitLine, &i, &code) && o.has(i):
		o.results[i].exit(code)
		o.tell(o.results[i].progress())
		o.current = nil
	case told(line, endLine):
		o.ended = true
	case o.current != nil:
		o.current.Read(line)
	case told(line, kernelLine, &o.kernel, &o.modules):
		o.tell(strings.TrimPrefix(line, mark))
	}
}

func told(line, format string, values ...any) bool {
	n, err := fmt.Sscanf(line, format, values...)
	return err == nil && n == len(values)
}

func (o *outcome) has(i int) bool { return 0 <= i && i < len(o.results) }

// total is what all binaries of a setting told.
func (o *outcome) total(s staticbuild.Setting) (t testlog.Counts) {
	for _, r := range o.results {
		if r.Setting == s.String() {
			t.Add(r.Counts)
		}
	}
	return t
}

// complaints are what is wrong with the boot, if anything.
func (o *outcome) complaints() (list []string) {
	if o.kernel != o.release {
		list = append(list, fmt.Sprintf("the machine tells kernel %q, want %q", o.kernel, o.release))
	}
	for _, c := range o.boot.wrongModules(o.modules) {
		list = append(list, "security module "+c)
	}
	for _, r := range o.results {
		for _, c := range r.complaints(o.skips) {
			list = append(list, r.Setting+" "+r.Package+" "+c)
		}
		if o.boot.tests == "" && r.Passed == 0 {
			list = append(list, r.Setting+" "+r.Package+" passed no test")
		}
	}
	for _, s := range staticbuild.Settings {
		if o.total(s).Passed == 0 {
			list = append(list, s.String()+" passed no test")
		}
		for _, test := range o.missing(s) {
			list = append(list, fmt.Sprintf("%s did not pass %s, which the boot is for", s, test))
		}
		for _, reason := range o.unused(s) {
			list = append(list, fmt.Sprintf("%s skipped nothing for the reason that is expected: %s", s, reason))
		}
	}
	if !o.ended {
		list = append(list, "the machine did not come to the end of its plan")
	}
	return list
}

// unused are the reasons for which all tests together are to skip something, and
// did not.
func (o *outcome) unused(s staticbuild.Setting) []string {
	if o.boot.tests != "" {
		return nil
	}
	skipped := o.total(s).Skipped
	return slices.DeleteFunc(slices.Clone(o.skips), func(reason string) bool {
		return slices.ContainsFunc(skipped, func(s testlog.Skip) bool { return strings.HasPrefix(s.Reason, reason) })
	})
}

// missing are the tests that the boot is for, and that did not pass.
func (o *outcome) missing(s staticbuild.Setting) []string {
	return slices.DeleteFunc(slices.Clone(o.needed), func(test string) bool {
		return slices.ContainsFunc(o.results, func(r *result) bool {
			return r.Setting == s.String() && r.Tests[test] != nil && r.Tests[test].Verdict == "PASS"
		})
	})
}

// summary tells what was counted, and what was skipped why.
func (o *outcome) summary() {
	for _, s := range staticbuild.Settings {
		t := o.total(s)
		o.tell(fmt.Sprintf("%s on %s: %s", s, o.kernel, t))
		for _, reason := range o.skips {
			n := 0
			for _, s := range t.Skipped {
				if strings.HasPrefix(s.Reason, reason) {
					n++
				}
			}
			if n > 0 {
				o.tell(fmt.Sprintf("  skipped %d: %s", n, strings.TrimRight(reason, ", :")))
			}
		}
	}
}
