//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mutantsOf(s *source, kinds ...string) (got []string) {
	for _, m := range s.mutants {
		if slices.Contains(kinds, m.Change.kind()) {
			got = append(got, fmt.Sprintf("%s %q %d %s", m.Function, m.Condition, m.Nth, m.Change))
		}
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
	if diff := cmp.Diff(want, mutantsOf(s, conditions)); diff != "" {
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
	if diff := cmp.Diff(want, mutantsOf(s, conditions)); diff != "" {
		t.Errorf("mutants (-want +got):\n%s", diff)
	}
}

const goStatements = `package p

import "os"

const mode, iota1 = 0o600 | 1<<iota, "const"

var paths = [2]string{"/etc/passwd", "no path"}

func f(c chan int) (x int, err error) {
	defer g(1)
	go func() { c <- 7 }()
	y := []byte{2}
	if x = len(y); x > 1 {
		x++
		return -1, err
	}
	for {
		switch x |= os.O_RDWR | os.O_CREATE | 0x10; x {
		case 3:
			x += 1
			break
		}
		select {
		case <-c:
			x, err = g(4)
		}
		continue
	}
	panic("it cannot be")
}
`

func TestGoStatementsAndConstants(t *testing.T) {
	s, err := goSource("p.go", goStatements)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`f "defer g(1)" 0 removed`,
		`f "go func() { c <- 7 }()" 0 removed`,
		`f "c <- 7" 0 removed`,
		`f "x++" 0 removed`,
		`f "x += 1" 0 removed`,
		`f "break" 0 removed`,
		`f "x, err = g(4)" 0 removed`,
		`f "continue" 0 removed`,
	}
	if diff := cmp.Diff(want, mutantsOf(s, statements)); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	want = []string{
		`package "0o600" 0 cleared`,
		`package "0o600" 0 one more`,
		`package "1<<iota" 0 cleared`,
		`package "1" 0 one more`,
		`package "\"/etc/passwd\"" 0 another path`,
		`f "1" 0 one more`,
		`f "7" 0 one more`,
		`f "2" 0 one more`,
		`f "1" 1 one more`,
		`f "1" 2 one more`,
		`f "os.O_RDWR | os.O_CREATE" 0 cleared`,
		`f "os.O_RDWR" 0 cleared`,
		`f "os.O_CREATE" 0 cleared`,
		`f "0x10" 0 cleared`,
		`f "0x10" 1 one more`,
		`f "3" 0 one more`,
		`f "1" 3 one more`,
		`f "4" 0 one more`,
	}
	if diff := cmp.Diff(want, mutantsOf(s, constants)); diff != "" {
		t.Errorf("constants (-want +got):\n%s", diff)
	}
}

const cStatements = `
static int
f(int fd, int *exited)
{
	int pair[2] = { -1, 3 }, flags;
	struct pollfd p = { .fd = fd };
	uint32_t *told = p.x;

	for (i = 0; i < 8; i++)
		if (told[5] == 1)
			*exited = g(fd, O_RDWR | O_CLOEXEC);
		else
			(void)close(fd);
	switch (fd) {
	case 7:
		break;
	}
	fds[0] = pair[0];
	return call_error();
}
`

func TestCStatementsAndConstants(t *testing.T) {
	s, err := cSource("f.c", cStatements)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`f "*exited = g(fd, O_RDWR | O_CLOEXEC);" 0 removed`,
		`f "(void)close(fd);" 0 removed`,
		`f "break;" 0 removed`,
		`f "fds[0] = pair[0];" 0 removed`,
	}
	if diff := cmp.Diff(want, mutantsOf(s, statements)); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	want = []string{
		`f "1" 0 one more`,
		`f "3" 0 one more`,
		`f "0" 0 one more`,
		`f "8" 0 one more`,
		`f "5" 0 one more`,
		`f "1" 1 one more`,
		`f "O_RDWR" 0 cleared`,
		`f "O_CLOEXEC" 0 cleared`,
		`f "0" 1 one more`,
		`f "0" 2 one more`,
	}
	if diff := cmp.Diff(want, mutantsOf(s, constants)); diff != "" {
		t.Errorf("constants (-want +got):\n%s", diff)
	}
}

// What takes the place of a statement and of a constant is a statement and a constant.
func TestRenderStatementsAndConstants(t *testing.T) {
	const (
		goText = "package p\n\nfunc f() int {\n\tg(1, 2|3)\n\treturn h(\"/proc\")\n}\n"
		cText  = "int\nf(void)\n{\n\tif (ok)\n\t\tg(1, 2 | a);\n\telse\n\t\th();\n}\n"
	)
	inGo, err := goSource("p.go", goText)
	if err != nil {
		t.Fatal(err)
	}
	inC, err := cSource("f.c", cText)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range []*source{inGo, inC} {
		for _, m := range s.mutants {
			if m.Change.kind() == conditions {
				continue
			}
			for line := range strings.Lines(s.render(alone(m))) {
				if !strings.Contains(s.text, line) {
					got = append(got, strings.TrimSpace(line))
				}
			}
		}
	}
	want := []string{
		`{ if (!true) { g(1, 2|3) } }`,
		`g((1 + 1), 2|3)`,
		`g(1, 3)`,
		`g(1, (2 + 1)|3)`,
		`g(1, 2)`,
		`g(1, 2|(3 + 1))`,
		`return h("/procx")`,
		`{ if (!1) { g(1, 2 | a); } }`,
		`g((1 + 1), 2 | a);`,
		`g(1, a);`,
		`g(1, (2 + 1) | a);`,
		`g(1, 2);`,
		`{ if (!1) { h(); } }`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines that differ (-want +got):\n%s", diff)
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
		if m.Change.kind() == conditions {
			got = append(got, changed(s.render(only(m, "true")))...)
		}
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
