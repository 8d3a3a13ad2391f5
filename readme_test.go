package peercred_test

import (
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"

	"example.com/peercred"
	"example.com/peercred/guard"
)

// The server in the README is the one that compiles here.
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

// The README shows what the server logs.
func TestREADMELogLine(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Skipf("needs the source beside the test: %v", err)
	}
	var text strings.Builder
	writer, flags := log.Writer(), log.Flags()
	defer func() { log.SetOutput(writer); log.SetFlags(flags) }()
	log.SetOutput(&text)
	log.SetFlags(0)
	root := peercred.PeerCredentials{PID: 4711}
	guard.LogDenied(slog.Default())(&guard.Denied{Credentials: &root, Rule: "the current user, uid 1000"})
	if want := "```\n" + text.String() + "```\n"; !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not show\n%s", want)
	}
}
