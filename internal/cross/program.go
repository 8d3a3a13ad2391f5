//go:build linux && (cgo || !android)

package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// abi is how a program for a system is told.
type abi struct {
	interpreter string
	libc        string // the library it needs, or how its name begins
	calls       []string
}

var abis = map[string]abi{
	"freebsd": {"/libexec/ld-elf.so.1", "libc.so.7", []string{"getsockopt"}},
	"netbsd":  {"/libexec/ld.elf_so", "libc.so.12", []string{"getsockopt"}},
	"openbsd": {"/usr/libexec/ld.so", "libc.so", []string{"getsockopt"}},
	"darwin":  {"/usr/lib/dyld", "/usr/lib/libSystem.B.dylib", []string{"getsockopt", "getpeereid"}},
}

// entry is the shim's function, by which a program is known to have it.
const entry = "cpeercred_credentials"

// checkAll looks at the programs in a folder.
func (p port) checkAll(programs string) error {
	files, err := os.ReadDir(programs)
	if err != nil {
		return err
	}
	want := 2 // the command, and peercred's tests
	if _, hasShim := abis[p.system]; hasShim {
		want++ // cpeercred's
	}
	if len(files) != want {
		return fmt.Errorf("%d programs were linked, want %d", len(files), want)
	}
	for _, file := range files {
		if err := p.check(filepath.Join(programs, file.Name())); err != nil {
			return fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return nil
}

func (p port) check(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	for key, want := range map[string]string{"GOOS": p.system, "GOARCH": p.arch, "CGO_ENABLED": "1"} {
		found := false
		for _, s := range info.Settings {
			found = found || s.Key == key && s.Value == want
		}
		if !found {
			return fmt.Errorf("it was not built with %s=%s", key, want)
		}
	}
	want, ok := abis[p.system]
	if !ok { // no shim, so nothing to look for
		return nil
	}
	told, defined, err := linkage(path)
	if err != nil {
		return err
	}
	return errors.Join(want.compare(told), checkEntry(defined))
}

func checkEntry(defined []string) error {
	if !slices.Contains(defined, entry) {
		return fmt.Errorf("it has no %s", entry)
	}
	return nil
}

// compare tells how told, of a program, is not what a program of this system has.
func (want abi) compare(told imports) error {
	var wrong []error
	if told.interpreter != want.interpreter {
		wrong = append(wrong, fmt.Errorf("its interpreter is %q, want %q", told.interpreter, want.interpreter))
	}
	if !slices.ContainsFunc(told.libraries, func(name string) bool { return strings.HasPrefix(name, want.libc) }) {
		wrong = append(wrong, fmt.Errorf("it needs the libraries %q, want %s among them", told.libraries, want.libc))
	}
	for _, call := range want.calls {
		if !slices.Contains(told.calls, call) {
			wrong = append(wrong, fmt.Errorf("it does not import %s", call))
		}
	}
	return errors.Join(wrong...)
}

// imports are what a program takes from its system.
type imports struct {
	interpreter string
	libraries   []string
	calls       []string
}

// linkage reads a program's imports, and the names that it defines itself.
func linkage(path string) (told imports, defined []string, err error) {
	if file, err := elf.Open(path); err == nil {
		defer file.Close()
		return elfLinkage(file)
	}
	file, err := macho.Open(path)
	if err != nil {
		return told, nil, fmt.Errorf("it is neither ELF nor Mach-O: %w", err)
	}
	defer file.Close()
	return machoLinkage(file)
}

func elfLinkage(file *elf.File) (told imports, defined []string, err error) {
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			text := make([]byte, segment.Filesz)
			if _, err := segment.ReadAt(text, 0); err != nil {
				return told, nil, err
			}
			told.interpreter = string(bytes.TrimRight(text, "\x00"))
		}
	}
	if told.libraries, err = file.ImportedLibraries(); err != nil {
		return told, nil, err
	}
	imported, err := file.ImportedSymbols()
	if err != nil {
		return told, nil, err
	}
	for _, s := range imported {
		told.calls = append(told.calls, s.Name)
	}
	symbols, err := file.Symbols()
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			defined = append(defined, s.Name)
		}
	}
	return told, defined, err
}

func machoLinkage(file *macho.File) (told imports, defined []string, err error) {
	const loadDylinker = 0xe // LC_LOAD_DYLINKER: command, size, offset of the name
	for _, load := range file.Loads {
		raw := load.Raw()
		if file.ByteOrder.Uint32(raw) == loadDylinker {
			name := raw[file.ByteOrder.Uint32(raw[8:]):]
			told.interpreter = string(bytes.TrimRight(name, "\x00"))
		}
	}
	if told.libraries, err = file.ImportedLibraries(); err != nil {
		return told, nil, err
	}
	imported, err := file.ImportedSymbols()
	if err != nil {
		return told, nil, err
	}
	for _, s := range imported {
		told.calls = append(told.calls, strings.TrimPrefix(s, "_"))
	}
	if file.Symtab == nil {
		return told, nil, errors.New("it has no symbols")
	}
	for _, s := range file.Symtab.Syms {
		if s.Sect != 0 {
			defined = append(defined, strings.TrimPrefix(s.Name, "_"))
		}
	}
	return told, defined, nil
}
