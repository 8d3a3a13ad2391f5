//go:build cgo || (!android && !ios)

// Command tagcheck tells whether HEAD may get a tag. It holds off mistakes, and nobody
// who can push a tag: the commit that is tagged brings the workflow, and this program.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// tagName is a version as Go has them, of the root or of grpcpeer. Its second group is
// the major one.
var tagName = regexp.MustCompile(`^(grpcpeer/)?v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func main() {
	log.SetFlags(0)
	log.SetPrefix("tag-check: ")
	if len(os.Args) != 2 || os.Args[1] == "" {
		log.Fatal("say which: make tag-check TAG=v1.0.0")
	}
	tag := os.Args[1]
	if err := check(".", tag); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("tag-check: HEAD may be tagged %s\n", tag)
}

// check returns why HEAD of the repository in dir may not get the tag.
func check(dir, tag string) error {
	parts := tagName.FindStringSubmatch(tag)
	if parts == nil {
		return fmt.Errorf("%q is neither vX.Y.Z nor grpcpeer/vX.Y.Z, with or without -PRERELEASE", tag)
	}
	folder, major := parts[1], parts[2]
	head, err := commitOf(dir, "HEAD")
	if err != nil {
		return err
	}
	if _, err := in(dir, "git", "merge-base", "--is-ancestor", head, "origin/main"); err != nil {
		return fmt.Errorf("HEAD is not on origin/main: %w", err)
	}
	if tagged, err := commitOf(dir, "refs/tags/"+tag); err == nil && tagged != head {
		return fmt.Errorf("%s is there already, and another commit's: %s", tag, tagged)
	}

	temporary, err := os.MkdirTemp("", "tagcheck")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	copied := filepath.Join(temporary, "head") // without what is not committed
	if _, err := in(dir, "git", "clone", "-q", ".", copied); err != nil {
		return err
	}
	module, err := in(filepath.Join(copied, folder), "go", "list", "-m")
	if err != nil {
		return err
	}
	if major != "0" && major != "1" && !strings.HasSuffix(module, "/v"+major) {
		return fmt.Errorf("of %s, whose path does not end in /v%s, Go takes no version v%[2]s", module, major)
	}
	if folder == "" {
		return nil
	}
	return checkRequired(copied, filepath.Join(temporary, "required"))
}

// checkRequired returns why grpcpeer, as the repository in dir has it, is of no use to
// those who import it. They get the root that its go.mod requires, which is put into
// the folder required, and not the one beside it.
func checkRequired(dir, required string) error {
	root, err := in(dir, "go", "list", "-m")
	if err != nil {
		return err
	}
	grpcpeer := filepath.Join(dir, "grpcpeer")
	version, err := in(grpcpeer, "go", "list", "-m", "-f", "{{.Version}}", root)
	if err != nil {
		return err
	}
	commit, err := commitOf(dir, "refs/tags/"+version)
	if err != nil {
		return fmt.Errorf("grpcpeer/go.mod requires %s %s, which is no tag: %w", root, version, err)
	}
	if _, err := in(dir, "git", "merge-base", "--is-ancestor", commit, "HEAD"); err != nil {
		return fmt.Errorf("grpcpeer/go.mod requires %s %s, which is not of HEAD or before it: %w", root, version, err)
	}
	_, cloned := in(dir, "git", "clone", "-q", "--no-checkout", ".", required)
	_, checkedOut := in(required, "git", "checkout", "-q", "--detach", commit)
	_, replaced := in(grpcpeer, "go", "mod", "edit", "-replace", root+"="+required)
	if err := errors.Join(cloned, checkedOut, replaced); err != nil {
		return err
	}
	// By -mod=mod, as what that root requires may be older than what go.sum knows.
	if _, err := in(grpcpeer, "go", "test", "-mod=mod", "./..."); err != nil {
		return fmt.Errorf("grpcpeer fails with the %s %s that it requires: %w", root, version, err)
	}
	return nil
}

func commitOf(dir, name string) (string, error) {
	return in(dir, "git", "rev-parse", "--verify", name+"^{commit}")
}

// in runs a command in a folder.
func in(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := toolrun.Output(cmd)
	return strings.TrimSpace(out), err
}
