package native

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"testing"
)

// On the systems other than Linux each question about a peer checks the family first. The
// exception is peerPID, which is asked about a socket that has been checked.
func TestTrap01FamilyFirst(t *testing.T) {
	questions := []string{"getsockopt", "GetsockoptICMPv6Filter", "GetPeerUcred"}
	for _, system := range []string{"aix", "darwin", "dragonfly", "freebsd", "netbsd", "openbsd", "solaris"} {
		source, err := os.ReadFile(system + ".go")
		if err != nil {
			t.Skipf("needs the source beside the test: %v", err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), system+".go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Name.Name == "peerPID" {
				continue
			}
			for i, call := range callsIn(function) {
				if !slices.Contains(questions, call) {
					continue
				}
				if asked++; !slices.Contains(callsIn(function)[:i], "checkUnixFamily") {
					t.Errorf("%s.go: %s calls %s and has not checked the family", system, function.Name.Name, call)
				}
			}
		}
		if asked == 0 {
			t.Errorf("%s.go asks nothing by %q", system, questions)
		}
	}
}

// callsIn returns the names of what a function calls, in the order of the source.
func callsIn(function *ast.FuncDecl) (names []string) {
	ast.Inspect(function, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			switch called := call.Fun.(type) {
			case *ast.Ident:
				names = append(names, called.Name)
			case *ast.SelectorExpr:
				names = append(names, called.Sel.Name)
			}
		}
		return true
	})
	return names
}
