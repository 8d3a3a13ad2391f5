//go:build linux

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// In these files each line ends with its mutants: "want NAME => CHANGES; ...". NAME is
// without the package, and without the function if that is f.

const goExample = `package p
import "fmt"
const small = 1 < 2 // want small: 1 => one more; small: 2 => one more
const mode, first = 0o600 | 1<<iota, "const" // want mode: 0o600 => cleared, one more; mode: 1<<iota => cleared; mode: 1 => one more
func widen[T int8 | int16](n T) int { return int(n) }
var paths = [2]string{"/etc/passwd", "no path"} // want paths: "/etc/passwd" => another path
func (t *T[X]) f(a, b int, ok bool) bool {
	if a < c || ok && !(b == c) { // want a < c || ok && !(b == c) => true, false; a < c => false, inverted, boundary; ok && !(b == c) => false; ok => true, inverted; !(b == c) => true, inverted
		return b != c // want b != c => true, false, inverted
	}
	for a > c { // want a > c => false, boundary
	}
	switch a {
	case c, d: // want c => dropped; d => dropped
	case 3: // want case 3 => dropped; 3 => one more
		x += 1 // want x += 1 => removed; 1 => one more
		break // want break => removed
	}
	switch x := any(a).(type) {
	case int: // want case int => dropped
		_ = x // want _ = x => removed
	}
	switch {
	case ok: // want ok #2 => true, false, inverted
	}
	defer g(1) // want defer g(1) => removed; 1 #2 => one more
	go func() { c <- 7 }() // want go func() { c <- 7 }() => removed; c <- 7 => removed; 7 => one more
	y := os.O_RDWR | os.O_CREATE | 4 // want os.O_RDWR | os.O_CREATE => cleared; os.O_RDWR => cleared; os.O_CREATE => cleared; 4 => cleared; 4 #2 => one more
	for {
		select {
		case <-c:
			x, err = g() // want x, err = g() => removed
		}
		continue // want continue => removed
	}
	panic("it cannot be")
	return g(func() bool { return ok }) == ok // want g(func() bool { return ok }) == ok => true, false, inverted
}
`

const cExample = `
#define LESS(a, b) ((a) < (b)) \
	&& 1
/* if (comment) */
_Static_assert(1 < 2, "a < b");
static int
f(int fd, struct p *cred)
{
	struct q c = { .pid = -1, .fd = fd }; // want 1 => one more
	int pair[2] = { a, b }, flags;
	uint32_t *told = p.x;
	if ((error = get(fd, cred->x)) != 0 || // want (error = get(fd, cred->x)) != 0 || !(len > c) => true, false; (error = get(fd, cred->x)) != 0 => false, inverted; 0 => one more
	    !(len > c)) // want !(len > c) => false, inverted; len > c => boundary
		return error;
	for (i = a; i < n; i++) // want i < n => false, boundary
		if (c.list[i]) // want c.list[i] => true, false, inverted
			*exited = g(fd, O_RDWR | O_CLOEXEC); // want *exited = g(fd, O_RDWR | O_CLOEXEC) => removed; O_RDWR => cleared; O_CLOEXEC => cleared
		else
			(void)close(fd); // want (void)close(fd) => removed
	switch (error = get(fd, a == b)) { // want a == b => true, false, inverted
	case 0: // want case 0 => dropped
		break; // want break => removed
	case EINVAL: /* why */ // want case EINVAL => dropped
		return errno == ENODATA ? ENOTCONN : errno; // want errno == ENODATA => true, false, inverted
	default:
		return own && !peer ? a : b; // want own && !peer => true, false; own => true, inverted; !peer => true, inverted
	}
	while ((n = poll(&p, 1, 0)) == -1) // want (n = poll(&p, 1, 0)) == -1 => false; 1 #2 => one more; 0 #2 => one more; 1 #3 => one more
		;
	fds[0] = pair[0]; // want fds[0] = pair[0] => removed; 0 #3 => one more; 0 #4 => one more
	*exited = p.revents != c; // want *exited = p.revents != c => removed; p.revents != c => true, false, inverted
	return call_error();
}
int g(void) { return 5; } // want g: 5 => one more
`

func TestSources(t *testing.T) {
	for path, text := range map[string]string{"p.go": goExample, "f.c": cExample} {
		type line struct {
			Code    string
			Mutants map[string]bool
		}
		code := regexp.MustCompile(` // want .*`).ReplaceAllString(text, "")
		var got, want []line
		for text := range strings.Lines(text) {
			text, groups, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " // want ")
			got, want = append(got, line{text, map[string]bool{}}), append(want, line{text, map[string]bool{}})
			for group := range strings.SplitSeq(groups, "; ") {
				expression, changes, _ := strings.Cut(group, " => ")
				for change := range strings.SplitSeq(changes, ", ") {
					want[len(want)-1].Mutants[expression+" => "+change] = true
				}
			}
			delete(want[len(want)-1].Mutants, " => ")
		}
		find := cSource
		if path == "p.go" {
			find = goSource
		}
		s, err := find(path, code)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range number("p", []*source{s}) {
			name := regexp.MustCompile(`^p ((T\.)?f: )?`).ReplaceAllString(m.String(), "")
			got[strings.Count(code[:m.start], "\n")].Mutants[name] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// The mutants that are compiled alone, and all others in one program.
func TestRender(t *testing.T) {
	inGo, err := goSource("p.go", "package p\n\nfunc f() {\n\tif ok && a < b {\n\t\tg(1|c, \"/proc\")\n\t}\n\tswitch a {\n\tcase d, e:\n\t}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	inC, err := cSource("f.c", "int\nf(void)\n{\n\tif (ok)\n\t\tg(a);\n\telse\n\t\th();\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range []*source{inGo, inC} {
		texts := []string{""}
		for _, m := range number("p", []*source{s}) {
			if m.change == never || !m.isSwitched() {
				texts = append(texts, m.alone())
			}
		}
		texts[0] = s.together() // with the numbers
		for _, text := range texts {
			for line := range strings.Lines(text) {
				if !strings.Contains(s.text, line) {
					got = append(got, strings.TrimSpace(strings.ReplaceAll(line, "peercred_is_mutant", "m")))
				}
			}
		}
	}
	want := []string{
		`if (((((((m(4) != !!(ok))) || m(3)) && (((m(6) != !!((m(7) && (a <= b) || !m(7) && (a < b))))) || m(5))) && !m(2))) || m(1)) {`,
		`{ if (!m(8)) { g(1|c, "/proc") } }`,
		`if ((ok && a < b) && !true) {`,
		`g(c, "/proc")`,
		`g((1 + 1)|c, "/proc")`,
		`g(1, "/proc")`,
		`g(1|c, "/procx")`,
		`case e:`,
		`case d:`,
		`if ((((((m(3) != !!(ok))) && !m(2))) || m(1)))`,
		`{ if (!m(4)) { g(a); } }`,
		`{ if (!m(5)) { h(); } }`,
		`if (((ok) && !1))`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines that differ (-want +got):\n%s", diff)
	}
}
