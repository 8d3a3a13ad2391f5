package peercred

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the documents that name tests and targets.
var documents = []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "docs/deployment.md", "docs/systems.md", "docs/troubleshooting.md"}

var (
	testName    = regexp.MustCompile(`\bTest[A-Z0-9]\w*…?`)
	makeTargets = regexp.MustCompile("(?m)(?:`|^)make((?:\\s+[a-z][a-z-]*)+)")
	linkedPath  = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

// The tests, targets of make, and files that the documents name exist. A name that ends in
// "…" is the beginning of several.
func TestDocumentsPointToWhatIsThere(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	tests := testFunctions(t)
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testName.FindAllString(string(text), -1) {
			beginning, several := strings.CutSuffix(name, "…")
			if !slices.ContainsFunc(tests, func(test string) bool { return test == name || several && strings.HasPrefix(test, beginning) }) {
				t.Errorf("%s names %s, and there is no such test", document, name)
			}
		}
		for _, targets := range makeTargets.FindAllSubmatch(text, -1) {
			for target := range strings.FieldsSeq(string(targets[1])) {
				if !strings.Contains(string(makefile), "\n"+target+":") {
					t.Errorf("%s names make %s, which the Makefile does not have", document, target)
				}
			}
		}
		for _, path := range linkedPath.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), string(path[1]))); err != nil {
				t.Errorf("%s links to what is not there: %v", document, err)
			}
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testFunctions are the names of all tests of all modules.
func testFunctions(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
