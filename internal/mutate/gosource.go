//go:build linux && (cgo || !android)

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// goSource finds the conditions of a Go file: those of if, for and switch, the
// operands of && and ||, comparisons wherever they are, and the cases of a switch. It
// finds the statements that can be left out, and the constants: numbers, the operands
// of |, and absolute paths.
func goSource(path, text string) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	g := &goFinder{source: &source{path: path, text: text}, file: fset.File(file.Pos()), seen: map[ast.Expr]bool{}}
	for _, declaration := range file.Decls {
		g.function = "package"
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			g.function = functionName(d)
		case *ast.GenDecl:
			if d.Tok == token.CONST {
				ast.Inspect(declaration, g.constant) // conditions are decided by the compiler
				continue
			}
		}
		ast.Inspect(declaration, g.visit)
	}
	g.number()
	return g.source, nil
}

// functionName is Type.name for a method.
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}

type goFinder struct {
	*source
	file     *token.File
	function string
	seen     map[ast.Expr]bool
}

func (g *goFinder) at(p token.Pos) int { return g.file.Offset(p) }

func (g *goFinder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BlockStmt:
		g.statements(n.List)
	case *ast.CaseClause:
		g.statements(n.Body)
	case *ast.CommClause:
		g.statements(n.Body)
	case *ast.IfStmt:
		g.condition(n.Cond, always, never, inverted)
	case *ast.ForStmt:
		if n.Cond != nil {
			g.condition(n.Cond, never) // for ever is no test of anything
		}
	case *ast.SwitchStmt:
		for _, clause := range n.Body.List {
			clause := clause.(*ast.CaseClause)
			if n.Tag != nil {
				g.cases(clause)
				continue
			}
			for _, e := range clause.List {
				g.condition(e, always, never, inverted)
			}
		}
	case *ast.TypeSwitchStmt:
		for _, clause := range n.Body.List {
			g.cases(clause.(*ast.CaseClause))
		}
	case *ast.BinaryExpr:
		if isLogical(n.Op) || isComparison(n.Op) {
			g.condition(n, always, never, inverted)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			g.condition(n, always, never, inverted)
		}
	}
	return g.constant(n)
}

// statements removes those that the compiler does not miss.
func (g *goFinder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && isPanic(call) {
				continue // without which a return is missing
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
		default:
			continue
		}
		g.add(g.function, g.at(s.Pos()), g.at(s.End()), removed, "")
	}
}

func isPanic(call *ast.CallExpr) bool {
	name, ok := call.Fun.(*ast.Ident)
	return ok && name.Name == "panic"
}

// constant mutates a number, an operand of |, and a path.
func (g *goFinder) constant(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.ArrayType: // whose length the compiler checks
		ast.Inspect(n.Elt, g.visit)
		return false
	case *ast.BinaryExpr:
		if n.Op == token.OR {
			g.add(g.function, g.at(n.X.Pos()), g.at(n.Y.Pos()), cleared, "")
			g.add(g.function, g.at(n.X.End()), g.at(n.Y.End()), cleared, "")
		}
	case *ast.BasicLit:
		start, end := g.at(n.Pos()), g.at(n.End())
		text, err := strconv.Unquote(n.Value)
		switch {
		case n.Kind == token.INT:
			g.add(g.function, start, end, oneMore, "")
		case n.Kind == token.STRING && err == nil && strings.HasPrefix(text, "/"):
			g.add(g.function, start, end, another, strconv.Quote(text+"x"))
		}
	}
	return true
}

// condition mutates an expression that is true or false, as a whole and in its parts.
func (g *goFinder) condition(e ast.Expr, changes ...change) {
	if g.seen[e] {
		return
	}
	g.seen[e] = true
	start, end := g.at(e.Pos()), g.at(e.End())
	inner := e
	for {
		switch x := inner.(type) {
		case *ast.ParenExpr:
			inner = x.X
		case *ast.UnaryExpr:
			if x.Op == token.NOT {
				inner = x.X
			}
		}
		if g.seen[inner] {
			break
		}
		g.seen[inner] = true
	}
	binary, _ := inner.(*ast.BinaryExpr)
	for _, c := range changes {
		if c == inverted && binary != nil && isLogical(binary.Op) {
			continue // its operands are
		}
		g.add(g.function, start, end, c, "")
	}
	switch {
	case binary == nil:
	case isLogical(binary.Op):
		g.operands(binary.X, binary.Op)
		g.operands(binary.Y, binary.Op)
	default:
		if other, ok := goBoundaries[binary.Op]; ok {
			s, e, op := g.at(binary.Pos()), g.at(binary.End()), g.at(binary.OpPos)
			g.add(g.function, s, e, boundary, g.text[s:op]+other.String()+g.text[op+len(binary.Op.String()):e])
		}
	}
}

// operands drops an operand of && or ||, and inverts it. Of a && b && c there are three.
func (g *goFinder) operands(e ast.Expr, op token.Token) {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == op {
		g.seen[e] = true
		g.operands(b.X, op)
		g.operands(b.Y, op)
		return
	}
	without := always
	if op == token.LOR {
		without = never
	}
	g.condition(e, without, inverted)
}

// cases drops each of a clause's expressions, and with the last the clause.
func (g *goFinder) cases(clause *ast.CaseClause) {
	if len(clause.List) == 1 {
		g.add(g.function, g.at(clause.Pos()), g.at(clause.End()), dropped, "")
		return
	}
	for i, e := range clause.List {
		if i == 0 {
			g.add(g.function, g.at(e.Pos()), g.at(clause.List[1].Pos()), dropped, "")
		} else {
			g.add(g.function, g.at(clause.List[i-1].End()), g.at(e.End()), dropped, "")
		}
	}
}

var goBoundaries = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}

func isLogical(op token.Token) bool { return op == token.LAND || op == token.LOR }

func isComparison(op token.Token) bool {
	_, ordered := goBoundaries[op]
	return ordered || op == token.EQL || op == token.NEQ
}
