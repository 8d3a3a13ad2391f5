//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"slices"
	"strings"
)

// systems are in the order in which readers look for them. One that is not among them
// fails TestREADMEMatrix.
var systems = []struct{ name, title string }{
	{"linux", "Linux"}, {"android", "Android"},
	{"darwin", "macOS"}, {"ios", "iOS"},
	{"freebsd", "FreeBSD"}, {"netbsd", "NetBSD"}, {"openbsd", "OpenBSD"}, {"dragonfly", "DragonFly"},
	{"illumos", "illumos"}, {"solaris", "Solaris"}, {"aix", "AIX"},
	{"windows", "Windows"}, {"plan9", "Plan 9"}, {"js", "js"}, {"wasip1", "wasip1"},
}

// columns are the levels, the most first.
var columns = []level{ran, emulated, linked, compiled}

// table renders for each system and implementation which architectures came how
// far, and by which targets.
func table(records []record) string {
	var text strings.Builder
	text.WriteString("| System | Implementation | Ran on a real kernel | Ran under emulation | Linked | Compiled |\n|---|---|---|---|---|---|\n")
	for _, s := range systems {
		title := s.title
		for _, implementation := range []string{"cpeercred", "native"} {
			best := strongest(records, s.name, implementation)
			if len(best) == 0 {
				continue
			}
			fmt.Fprintf(&text, "| %s | %s |", title, implementation)
			for _, l := range columns {
				fmt.Fprintf(&text, " %s |", cell(best, l))
			}
			text.WriteString("\n")
			title = ""
		}
	}
	return text.String()
}

// strongest returns, by architecture, what was proven at its highest level.
func strongest(records []record, system, implementation string) map[string][]record {
	best := map[string][]record{}
	for _, r := range records {
		if r.System != system || r.Implementation != implementation {
			continue
		}
		so := best[r.Architecture]
		switch {
		case len(so) == 0 || r.Level > so[0].Level:
			best[r.Architecture] = []record{r}
		case r.Level == so[0].Level:
			best[r.Architecture] = append(so, r)
		}
	}
	return best
}

// cell names the architectures of one level, those of the same targets together.
func cell(best map[string][]record, l level) string {
	architectures := map[string][]string{} // by targets
	for architecture, so := range best {
		if so[0].Level == l {
			by := targetsOf(so)
			architectures[by] = append(architectures[by], architecture)
		}
	}
	var groups []string
	for by, names := range architectures {
		slices.Sort(names)
		groups = append(groups, strings.Join(names, ", ")+" ("+by+")")
	}
	slices.Sort(groups)
	return strings.Join(groups, "; ")
}

func targetsOf(records []record) string {
	var names []string
	for _, r := range records {
		names = append(names, r.Target)
	}
	slices.Sort(names)
	return "`" + strings.Join(slices.Compact(names), "`, `") + "`"
}
