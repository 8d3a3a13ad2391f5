package main

import (
	"debug/elf"
	"debug/macho"
	"fmt"
	"strings"
)

// symbols are the names in an object, in C's spelling.
type symbols struct{ needs, has []string }

func readSymbols(path string) (s symbols, err error) {
	if file, err := elf.Open(path); err == nil {
		defer file.Close()
		all, err := file.Symbols()
		if err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
		for _, symbol := range all {
			if elf.ST_TYPE(symbol.Info) != elf.STT_FILE {
				s.add(symbol.Name, symbol.Section != elf.SHN_UNDEF)
			}
		}
		return s, nil
	}
	file, err := macho.Open(path)
	if err != nil {
		return s, fmt.Errorf("%s is neither ELF nor Mach-O: %w", path, err)
	}
	defer file.Close()
	if file.Symtab == nil {
		return s, fmt.Errorf("%s has no symbols", path)
	}
	for _, symbol := range file.Symtab.Syms {
		s.add(strings.TrimPrefix(symbol.Name, "_"), symbol.Sect != 0)
	}
	return s, nil
}

func (s *symbols) add(name string, defined bool) {
	if defined {
		s.has = append(s.has, name)
	} else {
		s.needs = append(s.needs, name)
	}
}
