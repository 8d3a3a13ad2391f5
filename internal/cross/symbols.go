//go:build linux && (cgo || !android)

package main

import (
	"cmp"
	"debug/elf"
	"debug/macho"
	"fmt"
	"slices"
	"strings"
)

// undefined are the names that an object refers to and does not define, as C spells
// them.
func undefined(object string) ([]string, error) {
	var names []string
	if file, err := elf.Open(object); err == nil {
		defer file.Close()
		symbols, err := file.Symbols()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
		for _, s := range symbols {
			if s.Section == elf.SHN_UNDEF && s.Name != "" && !slices.Contains(linkerNames, s.Name) {
				names = append(names, inC(s.Name))
			}
		}
		return names, nil
	}
	file, err := macho.Open(object)
	if err != nil {
		return nil, fmt.Errorf("%s is neither ELF nor Mach-O: %w", object, err)
	}
	defer file.Close()
	symbols, err := file.ImportedSymbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", object, err)
	}
	for _, s := range symbols {
		names = append(names, strings.TrimPrefix(s, "_"))
	}
	return names, nil
}

// linkerNames are what an object needs to be linked and unwound, and no calls.
var linkerNames = []string{"_GLOBAL_OFFSET_TABLE_", "_gp_disp", ".TOC.", "__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1"}

// spellings are what headers and compilers make of C's names: NetBSD renames what
// changed, and compilers for ARM know the alignment.
var spellings = map[string]string{
	"__socket30":      "socket",
	"__aeabi_memset":  "memset",
	"__aeabi_memset4": "memset",
	"__aeabi_memset8": "memset",
	"__aeabi_memclr":  "memset",
	"__aeabi_memclr4": "memset",
	"__aeabi_memclr8": "memset",
	"__aeabi_memcpy":  "memcpy",
	"__aeabi_memcpy4": "memcpy",
	"__aeabi_memcpy8": "memcpy",
}

func inC(symbol string) string { return cmp.Or(spellings[symbol], symbol) }
