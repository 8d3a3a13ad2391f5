//go:build linux

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// goSource finds the mutants of a Go file.
//
// Conditions are those of if, for and switch, the operands of && and ||, all comparisons,
// and the cases of a switch. Statements are those that the code compiles without.
// Constants are numbers, the operands of |, and absolute paths.
func goSource(path, text string) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	g := &goFinder{source: &source{path: path, text: text}, file: fset.File(file.Pos()), seen: map[ast.Expr]bool{}}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			g.function = d.Name.Name
			if d.Recv != nil { // remove the * and the type parameters
				t := d.Recv.List[0].Type
				name, _, _ := strings.Cut(text[g.at(t.Pos()):g.at(t.End())], "[")
				g.function = strings.TrimPrefix(name, "*") + "." + d.Name.Name
			}
			ast.Inspect(d, g.visit)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok {
					g.function = value.Names[0].Name
				}
				if d.Tok == token.CONST {
					ast.Inspect(spec, g.constant) // the compiler evaluates its conditions
				} else {
					ast.Inspect(spec, g.visit)
				}
			}
		}
	}
	return g.sort(), nil
}

type goFinder struct {
	*source
	file *token.File
	seen map[ast.Expr]bool // the conditions that already have mutants
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
			g.condition(n.Cond, never) // an endless loop tests nothing
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
		if 0 < n.Op.Precedence() && n.Op.Precedence() <= token.EQL.Precedence() { // ||, &&, or a comparison
			g.condition(n, always, never, inverted)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			g.condition(n, always, never, inverted)
		}
	}
	return g.constant(n)
}

// statements removes one statement each.
func (g *goFinder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if strings.HasPrefix(g.text[g.at(s.Pos()):], "panic(") {
				continue // without it a return is missing
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
		default:
			continue
		}
		g.add(g.at(s.Pos()), g.at(s.End()), removed, "")
	}
}

// constant changes a number, an operand of |, or a path.
func (g *goFinder) constant(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec, *ast.FuncType: // type parameters have operands of | too
		return false
	case *ast.ArrayType: // the compiler checks its length
		ast.Inspect(n.Elt, g.visit)
		return false
	case *ast.BinaryExpr:
		if n.Op == token.OR {
			g.add(g.at(n.X.Pos()), g.at(n.Y.Pos()), cleared, "")
			g.add(g.at(n.X.End()), g.at(n.Y.End()), cleared, "")
		}
	case *ast.BasicLit:
		start, end := g.at(n.Pos()), g.at(n.End())
		if n.Kind == token.INT {
			g.addNumber(start, end)
		} else if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && strings.HasPrefix(text, "/") {
			g.add(start, end, another, strconv.Quote(text+"x"))
		}
	}
	return true
}

// condition changes an expression that is true or false, as a whole and in its parts.
func (g *goFinder) condition(e ast.Expr, changes ...change) {
	if g.seen[e] {
		return
	}
	g.seen[e] = true
	inner := e
	for {
		if x, ok := inner.(*ast.ParenExpr); ok {
			inner = x.X
		} else if x, ok := inner.(*ast.UnaryExpr); ok && x.Op == token.NOT {
			inner = x.X
		} else {
			break
		}
		g.seen[inner] = true
	}
	binary, _ := inner.(*ast.BinaryExpr)
	logical := binary != nil && (binary.Op == token.LAND || binary.Op == token.LOR)
	for _, c := range changes {
		if c != inverted || !logical { // its operands are inverted
			g.add(g.at(e.Pos()), g.at(e.End()), c, "")
		}
	}
	if logical {
		g.operands(binary.X, binary.Op)
		g.operands(binary.Y, binary.Op)
	} else if binary != nil && goBoundaries[binary.Op] != 0 {
		start, end, op := g.at(binary.Pos()), g.at(binary.End()), g.at(binary.OpPos)
		g.add(start, end, boundary, g.text[start:op]+goBoundaries[binary.Op].String()+g.text[op+len(binary.Op.String()):end])
	}
}

// operands makes mutants that drop or invert an operand of && or ||. a && b && c has three operands.
func (g *goFinder) operands(e ast.Expr, op token.Token) {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == op {
		g.seen[e] = true
		g.operands(b.X, op)
		g.operands(b.Y, op)
	} else if op == token.LOR {
		g.condition(e, never, inverted)
	} else {
		g.condition(e, always, inverted)
	}
}

// cases makes mutants that drop one of a clause's expressions. A clause with one expression
// is dropped as a whole.
func (g *goFinder) cases(clause *ast.CaseClause) {
	if len(clause.List) == 1 {
		g.add(g.at(clause.Pos()), g.at(clause.End()), dropped, "")
		return
	}
	for i, e := range clause.List {
		if i == 0 {
			g.add(g.at(e.Pos()), g.at(clause.List[1].Pos()), dropped, "")
		} else {
			g.add(g.at(clause.List[i-1].End()), g.at(e.End()), dropped, "")
		}
	}
}

var goBoundaries = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}
