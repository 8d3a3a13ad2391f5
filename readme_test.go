package peercred_test

import (
	"os"
	"strings"
	"testing"
)

// The server in the README is the example that compiles here.
func TestREADMEServerIsTheExample(t *testing.T) {
	example, err := os.ReadFile("example_server_test.go")
	if err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(example), "func Example_server() {\n")
	if !ok {
		t.Fatal("example_server_test.go has no Example_server")
	}
	want := "```go\nfunc main() {\n" + body + "```\n"
	if !strings.Contains(string(readme), want) {
		t.Errorf("README.md has another server than\n%s", want)
	}
}
