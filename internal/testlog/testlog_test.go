package testlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A verdict, and the reason for a skip, is what go test prints where it prints it.
func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, output string
		failures     []string
		skipped      []Skip
		complaints   []string
	}{
		{
			name: "each level is indented by four",
			output: `
=== RUN   TestA
=== RUN   TestA/b
=== RUN   TestA/b/c
--- FAIL: TestA (0.00s)
    --- FAIL: TestA/b (0.00s)
        --- FAIL: TestA/b/c (0.00s)
`,
			failures: []string{"TestA", "TestA/b", "TestA/b/c"},
		},
		{
			name: "a name with a slash of its own",
			output: `
=== RUN   TestHTTP
=== RUN   TestHTTP/HTTP/1.1
--- FAIL: TestHTTP (0.00s)
    --- FAIL: TestHTTP/HTTP/1.1 (0.00s)
`,
			failures: []string{"TestHTTP", "TestHTTP/HTTP/1.1"},
		},
		{
			name: "a verdict in a message",
			output: `
=== RUN   TestA
    a_test.go:1: another binary says:
        --- PASS: TestA (0.00s)
--- FAIL: TestA (0.00s)
`,
			failures: []string{"TestA"},
		},
		{
			name: "a subtest's verdict in a message",
			output: `
=== RUN   TestA
=== RUN   TestA/b
    a_test.go:1: another binary says:
        --- PASS: TestA (0.00s)
            --- PASS: TestA/b (0.00s)
--- FAIL: TestA (0.00s)
    --- FAIL: TestA/b (0.00s)
`,
			failures: []string{"TestA", "TestA/b"},
		},
		{
			name: "a verdict that is not in its place",
			output: `
=== RUN   TestA
=== RUN   TestA/b
--- PASS: TestA (0.00s)
--- PASS: TestA/b (0.00s)
`,
			complaints: []string{"started 2 tests, of which 1 ended"},
		},
		{
			name: "two verdicts",
			output: `
=== RUN   TestA
--- PASS: TestA (0.00s)
--- FAIL: TestA (0.00s)
--- PASS: TestA (0.00s)
`,
			failures:   []string{"TestA"},
			complaints: []string{"started 1 tests, of which 3 ended"},
		},
		{
			name: "a message in a message",
			output: `
=== RUN   TestA
    a_test.go:1: needs a kernel, which says:
        a_test.go:2: needs nothing
--- SKIP: TestA (0.00s)
`,
			skipped:    []Skip{{"TestA", "needs a kernel, which says:\na_test.go:2: needs nothing"}},
			complaints: []string{"skipped TestA, for no reason that is expected: needs a kernel, which says:\na_test.go:2: needs nothing"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log Log
			for line := range strings.Lines(test.output) {
				log.Read(strings.TrimSuffix(line, "\n"))
			}
			if diff := cmp.Diff(test.failures, log.Failures()); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.skipped, log.Skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.complaints, log.Unaccounted([]string{"needs nothing"})); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}
