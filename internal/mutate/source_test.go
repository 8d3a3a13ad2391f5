//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mutantsOf(s *source) (got []string) {
	for _, m := range s.mutants {
		got = append(got, fmt.Sprintf("%s %q %d %s", m.Function, m.Condition, m.Nth, m.Change))
	}
	return got
}

const goExample = `package p

const small = 1 < 2

func (t *T[X]) f(a, b int, ok bool) bool {
	if a < 1 || ok && !(b == 2) {
		return b != 3
	}
	for a > 1 {
	}
	switch a {
	case 1, 2:
	case 3:
		return false
	}
	switch x := any(a).(type) {
	case int:
		_ = x
	}
	switch {
	case ok:
	}
	return g(func() bool { return ok }) == ok
}
`

func TestGoSource(t *testing.T) {
	s, err := goSource("p.go", goExample)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`T.f "a < 1 || ok && !(b == 2)" 0 true`,
		`T.f "a < 1 || ok && !(b == 2)" 0 false`,
		`T.f "a < 1" 0 false`,
		`T.f "a < 1" 0 inverted`,
		`T.f "a < 1" 0 boundary`,
		`T.f "ok && !(b == 2)" 0 false`,
		`T.f "ok" 0 true`,
		`T.f "ok" 0 inverted`,
		`T.f "!(b == 2)" 0 true`,
		`T.f "!(b == 2)" 0 inverted`,
		`T.f "b != 3" 0 true`,
		`T.f "b != 3" 0 false`,
		`T.f "b != 3" 0 inverted`,
		`T.f "a > 1" 0 false`,
		`T.f "a > 1" 0 boundary`,
		`T.f "1" 0 dropped`,
		`T.f "2" 0 dropped`,
		`T.f "case 3" 0 dropped`,
		`T.f "case int" 0 dropped`,
		`T.f "ok" 1 true`,
		`T.f "ok" 1 false`,
		`T.f "ok" 1 inverted`,
		`T.f "g(func() bool { return ok }) == ok" 0 true`,
		`T.f "g(func() bool { return ok }) == ok" 0 false`,
		`T.f "g(func() bool { return ok }) == ok" 0 inverted`,
	}
	if diff := cmp.Diff(want, mutantsOf(s)); diff != "" {
		t.Errorf("mutants (-want +got):\n%s", diff)
	}
}

const cExample = `
#define LESS(a, b) ((a) < (b)) \
	&& 1
/* if (comment) */
_Static_assert(1 < 2, "a < b");

static int
f(int fd, struct p *cred)
{
	struct q c = { .pid = -1, .uid = 0 };
	size_t i;

	if ((error = get(fd, cred->x)) != 0 ||
	    !(len > 4))
		return error;
	for (i = 0; i < n; i++)
		if (c.list[i])
			return EPROTO;
	switch (error = get(fd, a == b)) {
	case 0:
		break;
	case EINVAL: /* why */
		return errno == ENODATA ? ENOTCONN : errno;
	default:
		return own && !peer ? 0 : EOPNOTSUPP;
	}
	while ((n = poll(&p, 1, 0)) == -1)
		;
	*exited = p.revents != 0;
	return 0;
}
`

func TestCSource(t *testing.T) {
	s, err := cSource("f.c", cExample)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`f "(error = get(fd, cred->x)) != 0 || !(len > 4)" 0 true`,
		`f "(error = get(fd, cred->x)) != 0 || !(len > 4)" 0 false`,
		`f "(error = get(fd, cred->x)) != 0" 0 false`,
		`f "(error = get(fd, cred->x)) != 0" 0 inverted`,
		`f "!(len > 4)" 0 false`,
		`f "!(len > 4)" 0 inverted`,
		`f "len > 4" 0 boundary`,
		`f "i < n" 0 false`,
		`f "i < n" 0 boundary`,
		`f "c.list[i]" 0 true`,
		`f "c.list[i]" 0 false`,
		`f "c.list[i]" 0 inverted`,
		`f "a == b" 0 true`,
		`f "a == b" 0 false`,
		`f "a == b" 0 inverted`,
		`f "case 0" 0 dropped`,
		`f "case EINVAL" 0 dropped`,
		`f "errno == ENODATA" 0 true`,
		`f "errno == ENODATA" 0 false`,
		`f "errno == ENODATA" 0 inverted`,
		`f "own && !peer" 0 true`,
		`f "own && !peer" 0 false`,
		`f "own" 0 true`,
		`f "own" 0 inverted`,
		`f "!peer" 0 true`,
		`f "!peer" 0 inverted`,
		`f "(n = poll(&p, 1, 0)) == -1" 0 false`,
		`f "p.revents != 0" 0 true`,
		`f "p.revents != 0" 0 false`,
		`f "p.revents != 0" 0 inverted`,
	}
	if diff := cmp.Diff(want, mutantsOf(s)); diff != "" {
		t.Errorf("mutants (-want +got):\n%s", diff)
	}
}

// Each mutant alone, and all in one file.
func TestRender(t *testing.T) {
	const text = "package p\n\nfunc f(a int, ok bool) int {\n\tif ok && a < 1 {\n\t\treturn 1\n\t}\n\tswitch a {\n\tcase 1, 2:\n\t\treturn 2\n\t}\n\treturn 3\n}\n"
	s, err := goSource("p.go", text)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(text string) (lines []string) {
		for line := range strings.Lines(text) {
			if !strings.Contains(s.text, line) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return lines
	}
	var got []string
	for _, m := range s.mutants {
		got = append(got, changed(s.render(only(m, "true")))...)
	}
	got = append(got, changed(s.render(func(m *mutant) string {
		if m.isSwitched() {
			return "m" + string(m.Change[0])
		}
		return ""
	}))...)
	want := []string{
		`if ((ok && a < 1) || true) {`,
		`if ((ok && a < 1) && !true) {`,
		`if ((ok) || true) && a < 1 {`,
		`if (true != !!(ok)) && a < 1 {`,
		`if ok && ((a < 1) || true) {`,
		`if ok && (true != !!(a < 1)) {`,
		`if ok && (true && (a <= 1) || !true && (a < 1)) {`,
		`case 2:`,
		`case 1:`,
		`if (((((mi != !!(((ok) || mt))) && (mi != !!((((mb && (a <= 1) || !mb && (a < 1))) || mt)))) || mt)) && !mf) {`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines that differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("-\tif ok && a < 1 {\n+\tif ok && a <= 1 {\n", s.mutants[6].diff(s)); diff != "" {
		t.Errorf("diff of a boundary (-want +got):\n%s", diff)
	}
}
