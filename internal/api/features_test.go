//go:build cgo || (!android && !ios)

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFeaturesOf(t *testing.T) {
	for _, test := range []struct{ name, source, want string }{
		{"constant", `const A, b = 1, 2`, "const A untyped int"},
		{"typed constant", `type T int; const A T = 1`, "const A T; type T int"},
		{"variable", `var A, b []string`, "var A []string"},
		{"function", `func A(a, b int, more ...error) (c bool, err error) { return }; func b() {}`,
			"func A(int, int, ...error) (bool, error)"},
		{"function of a type parameter", `func A[T any, U ~int](T) (u U) { return }`, "func A[T any, U ~int](T) U"},
		{"type of a type parameter", `type A[T any] struct { B T }`, "type A[T any] struct; type A[T any] struct, B T"},
		{"alias", `type A = []int`, "type A = []int"},
		{"struct", "type A struct { B, c int; D }; type D struct{ e int }",
			"type A struct; type A struct, B int; type A struct, embedded D; type D struct"},
		{"methods", `type A int; func (A) B() {}; func (*A) C(int) error { return nil }; func (A) d() {}`,
			"type A int; method (A) B(); method (*A) C(int) error"},
		{"promoted", `type A struct { b; C }; type b struct{}; func (b) D() {}; type C struct{}; func (C) E() {}`,
			"type A struct; type A struct, embedded C; method (A) D(); type C struct; method (C) E()"},
		{"interface", `type A interface { B(int) string; error; d() }`,
			"type A interface, B(int) string; type A interface, Error() string; type A interface { B, Error, unexported methods }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for feature := range strings.SplitSeq(test.want, "; ") {
				want = append(want, "pkg x/y, "+feature)
			}
			if diff := cmp.Diff(want, featuresOf(checked(t, test.source))); diff != "" {
				t.Errorf("features (-want +got):\n%s", diff)
			}
		})
	}
}

func checked(t *testing.T, source string) *types.Package {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "y.go", "package y\n"+source, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := new(types.Config).Check("x/y", files, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func TestDifference(t *testing.T) {
	for _, test := range []struct {
		name     string
		old, new []string
		want     string
	}{
		{"none", []string{"a", "b"}, []string{"a", "b"}, ""},
		{"more", []string{"b"}, []string{"a", "b"}, "+a\n"},
		{"less", []string{"a", "b"}, []string{"a"}, "-b\n"},
		{"other", []string{"a", "b"}, []string{"a", "c"}, "-b\n+c\n"},
		{"no golden file", []string{""}, []string{"a"}, "-\n+a\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, difference(test.old, test.new)); diff != "" {
				t.Errorf("difference (-want +got):\n%s", diff)
			}
		})
	}
}
