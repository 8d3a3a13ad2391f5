//go:build linux && (cgo || !android)

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// plant is a bug, and the system whose target is to find it: a check that is gone.
type plant struct {
	goos, file, right, wrong string
}

var plants = []plant{
	{"linux", "cpeercred.h", "errno != 0 ? errno : EPROTO", "errno"},
	{"linux", "linux.c", "len != sizeof(cred) || ", ""},
	{"linux", "linux.c", "{ .pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1 }", "{ 0 }"},
	{"linux", "linux.c", "cred.uid == (uid_t)-1 || ", ""},
	{"linux", "linux.c", "len % sizeof(*groups) != 0 || ", ""},
	{"linux", "linux.c", " || len / sizeof(*groups) > capacity", ""},
	{"linux", "linux.c", "memset(groups, 0xff", "memset(groups, 0"},
	{"linux", "linux.c", "if (len > capacity)", "if (0)"},
	{"linux", "linux.c", "memset(label, 0", "memset(label, 'x'"},
	{"linux", "linux.c", "len != sizeof(process) || ", ""},
	{"linux", "linux.c", "(void)close(process);", ""},
	{"linux", "linux.c", "(info.mask & mask) != mask", "0"},
	{"linux", "linux.c", "memset(&info, 0xff", "memset(&info, 0"},
	{"linux", "linux.c", "p.revents & POLLERR || ", ""},
	{"linux", "socket.c", "if (len != sizeof(v) || v == -1)", "if (0)"},
	{"linux", "socket.c", "pair[0] < 0 || pair[1] < 0 || ", ""},
	{"linux", "socket.c", "(void)close(fd);", ""},
	{"linux", "linux.c", "errno == ECONNREFUSED ? 0 : call_error()", "0"},
	{"linux", "linux.c", "return CPEERCRED_CONFUSED_ENDS;", "return 0;"},
	{"linux", "linux.c", "(void)close(deaf);", ""},
	{"darwin", "xucred.h", "len != sizeof(cred) || ", ""},
	{"darwin", "xucred.h", "memset(&cred, 0xff", "memset(&cred, 0"},
	{"darwin", "xucred.h", " || (size_t)cred.cr_ngroups > XUCRED_GROUPS", ""},
	{"darwin", "darwin.c", "euid != cred->cr_uid || ", ""},
	{"darwin", "darwin.c", "if (errno != ENOTCONN)", "if (0)"},
	{"darwin", "darwin.c", "len != sizeof(answer) || ", ""},
	{"darwin", "darwin.c", "cpeercred_check_unix_family(fd)", "0"},
	{"freebsd", "xucred.h", "cred.cr_version != XUCRED_VERSION ||", ""},
	{"freebsd", "xucred.h", "cpeercred_check_unix_family(fd)", "0"},
	{"freebsd", "freebsd.c", "if (cred.cr_pid < 0)", "if (0)"},
	{"freebsd", "xucred.h", "if (n > capacity)", "if (n > capacity + 1)"},
	{"dragonfly", "xucred.h", "cred.cr_ngroups < 1 || ", ""},
	{"openbsd", "openbsd.c", "cpeercred_check_unix_family(fd)", "0"},
	{"openbsd", "openbsd.c", "len != sizeof(cred) || ", ""},
	{"openbsd", "openbsd.c", "cred.pid < 1 ||", ""},
	{"netbsd", "netbsd.c", "return own && !peer", "return own"},
	{"netbsd", "netbsd.c", "address.sun_family != AF_LOCAL", "0"},
	{"netbsd", "netbsd.c", "cred.unp_euid == (uid_t)-1 || ", ""},
	{"solaris", "solaris.c", "euid == (uid_t)-1 || ", ""},
	{"solaris", "solaris.c", "ucred_free(cred);", ""},
	{"solaris", "solaris.c", "if (cred == NULL)", "if (0)"},
	{"solaris", "solaris.c", "if ((size_t)n > capacity)", "if ((size_t)n > capacity + 1)"},
	{"solaris", "solaris.c", "if (n < 0 || ", "if ("},
	{"aix", "aix.c", "len != sizeof(cred) || ", ""},
	{"aix", "aix.c", "cred.euid != euid || ", ""},
}

func (b plant) String() string {
	return fmt.Sprintf("%s: %s: %q for %q", b.goos, b.file, b.wrong, b.right)
}

// findPlanted plants each bug in a copy of the shims, and fuzzes that from nothing.
func findPlanted(ctx context.Context, p places, filter *regexp.Regexp) error {
	work, err := os.MkdirTemp("", "peercred-planted")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	errs := make([]error, len(plants))
	slots := make(chan struct{}, *jobs)
	var all sync.WaitGroup
	found := 0
	for i, b := range plants {
		if !filter.MatchString(b.String()) {
			continue
		}
		found++
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() == nil {
				errs[i] = b.find(ctx, p, filepath.Join(work, fmt.Sprint(i)))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errors.Join(errs...), ctx.Err()); err != nil {
		return err
	}
	fmt.Printf("all of %d planted bugs found\n", found)
	return nil
}

func (b plant) find(ctx context.Context, p places, dir string) error {
	if err := b.copyTo(p, dir); err != nil {
		return err
	}
	p.shims = filepath.Join(dir, "cpeercred")
	for _, s := range systems {
		if s.goos != b.goos {
			continue
		}
		program := filepath.Join(dir, "program")
		if err := s.build(ctx, p, program); err != nil {
			return fmt.Errorf("%v: %w", b, err)
		}
		start := time.Now()
		switch o := runFuzzer(ctx, program); {
		case o.err != nil:
			return fmt.Errorf("%v: %w", b, o.err)
		case o.found == finding{}:
			return fmt.Errorf("%v: not found in %d executions", b, o.executions)
		default:
			fmt.Printf("found in %.1fs, %d executions: %v\n", time.Since(start).Seconds(), o.executions, b)
		}
		return nil
	}
	return fmt.Errorf("%v: no such system", b)
}

// copyTo copies the shims, with the bug, to a module of their own.
func (b plant) copyTo(p places, dir string) error {
	to := filepath.Join(dir, "cpeercred")
	if err := os.CopyFS(to, os.DirFS(p.shims)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module planted\n"), 0o644); err != nil {
		return err
	}
	file := filepath.Join(to, b.file)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), b.right); n != 1 {
		return fmt.Errorf("%v: it is there %d times; correct the list in internal/fuzz/planted.go", b, n)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(text), b.right, b.wrong, 1)), 0o644)
}
