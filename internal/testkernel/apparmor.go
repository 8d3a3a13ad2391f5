//go:build linux && (cgo || !android)

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"example.com/peercred/internal/toolrun"
)

// Each profile confines one executable, which the tests make themselves.
const (
	confinedExecutable = "/tmp/peercred-confined"
	confinedLabel      = "peercred-confined (enforce)"

	confinedServer = "/tmp/peercred-server"
	confinedClient = "/tmp/peercred-client"
	confinedSocket = "/tmp/peercred-socket/s" // the only file of that server and that client
)

// profiles is what the kernel gets. The first allows everything: it changes nothing
// but the label. A Go program maps its own executable, and writes a panic to the console.
const profiles = `
profile peercred-confined ` + confinedExecutable + ` { file, network, unix, capability, signal, ptrace, }

profile peercred-server ` + confinedServer + ` {
  ` + confinedServer + ` mr,
  /dev/console rw,
  network unix, unix, signal,
  ` + confinedSocket + ` rw,
}

profile peercred-client ` + confinedClient + ` {
  ` + confinedClient + ` mr,
  /dev/console rw,
  network unix, unix, signal,
  ` + confinedSocket + ` rw,
}
`

// compileProfiles compiles them for the features of k, not for those of the kernel
// that runs here.
func (k kernel) compileProfiles(ctx context.Context) ([]byte, error) {
	root, err := fetchParser(ctx)
	if err != nil {
		return nil, err
	}
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*/ld-linux*.so.*"))
	if err != nil || len(loaders) != 1 {
		return nil, fmt.Errorf("%s has the dynamic linkers %q, %v, want one", root, loaders, err)
	}
	parser := exec.CommandContext(ctx, loaders[0], "--library-path", filepath.Dir(loaders[0]), filepath.Join(root, "usr/sbin/apparmor_parser"),
		"--config-file="+os.DevNull, "--stdout", "--skip-kernel-load", "--skip-cache",
		"--features-file="+filepath.Join(root, "etc/apparmor.d/abi", k.appArmor))
	parser.Stdin = strings.NewReader(profiles)
	compiled, err := toolrun.Output(parser)
	return []byte(compiled), err
}

// parserPackages are AppArmor's parser and the libraries that it takes.
var parserPackages = []string{"apparmor", "libapparmor1", "libc6", "libgcc-s1", "libstdc++6", "libzstd1"}

// fetchParser returns the directory in which the newest parser is unpacked, since the
// one that is installed here may know less than the newest kernel. It is kept under
// its version.
func fetchParser(ctx context.Context) (root string, err error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	a, err := newest.archive(ctx, cache, runtime.GOARCH)
	if err != nil {
		return "", err
	}
	out, err := a.apt(ctx, "apt-cache", "show", "--no-all-versions", parserPackages[0])
	if err != nil {
		return "", err
	}
	version := packageVersion.FindStringSubmatch(out)
	if version == nil {
		return "", fmt.Errorf("%s has no version:\n%s", parserPackages[0], out)
	}
	root = filepath.Join(cache, "apparmor-"+runtime.GOARCH+"_"+version[1])
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	fmt.Printf("downloading AppArmor %s to %s\n", version[1], root)
	part, err := os.MkdirTemp(cache, "download") // where a rename is atomic
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	unpacked := filepath.Join(part, "root")
	for _, name := range parserPackages {
		dir := filepath.Join(part, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		file, err := a.download(ctx, name, dir)
		if err != nil {
			return "", err
		}
		if _, err := toolrun.Output(exec.CommandContext(ctx, "dpkg-deb", "--extract", file, unpacked)); err != nil {
			return "", err
		}
	}
	return root, os.Rename(unpacked, root)
}

func loadProfiles(compiled []byte) error {
	return loadPolicy(compiled, "/sys/kernel/security/apparmor/.load")
}

// loadPolicy gives the guest's kernel the policy of its security module. The file
// takes one write, and knows neither O_TRUNC nor O_CREATE.
func loadPolicy(compiled []byte, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(compiled)
	return err
}
