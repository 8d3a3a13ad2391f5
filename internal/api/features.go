//go:build cgo || (!android && !ios)

package main

import (
	"fmt"
	"go/types"
	"strings"
)

// featuresOf lists what pkg exports, a line each. Neither the names of parameters
// nor the values of constants are in it: the former bind nobody, the latter tell
// what the system answers.
func featuresOf(pkg *types.Package) []string {
	w := &writer{pkg: pkg}
	for _, name := range pkg.Scope().Names() {
		if object := pkg.Scope().Lookup(name); object.Exported() {
			w.object(object)
		}
	}
	return w.lines
}

type writer struct {
	pkg   *types.Package
	lines []string
}

func (w *writer) line(format string, arguments ...any) {
	w.lines = append(w.lines, "pkg "+w.pkg.Path()+", "+fmt.Sprintf(format, arguments...))
}

func (w *writer) object(object types.Object) {
	switch object := object.(type) {
	case *types.Const:
		w.line("const %s %s", object.Name(), w.text(object.Type()))
	case *types.Var:
		w.line("var %s %s", object.Name(), w.text(object.Type()))
	case *types.Func:
		w.line("func %s%s", object.Name(), w.signature(object.Signature()))
	case *types.TypeName:
		w.named(object)
	}
}

func (w *writer) named(object *types.TypeName) {
	name := object.Name()
	switch t := object.Type().(type) {
	case *types.Alias:
		w.line("type %s = %s", name+w.typeParameters(t.TypeParams()), w.text(t.Rhs()))
		return
	case *types.Named:
		name += w.typeParameters(t.TypeParams())
	}
	switch under := object.Type().Underlying().(type) {
	case *types.Struct:
		w.line("type %s struct", name)
		w.fields(name, under)
	case *types.Interface:
		w.interfaceMethods(name, under)
		return // its methods are listed
	default:
		w.line("type %s %s", name, w.text(under))
	}
	w.methods(object.Type())
}

func (w *writer) fields(name string, of *types.Struct) {
	for field := range of.Fields() {
		switch {
		case !field.Exported():
		case field.Embedded():
			w.line("type %s struct, embedded %s", name, w.text(field.Type()))
		default:
			w.line("type %s struct, %s %s", name, field.Name(), w.text(field.Type()))
		}
	}
}

func (w *writer) interfaceMethods(name string, of *types.Interface) {
	var names []string
	for method := range of.Methods() {
		if !method.Exported() {
			names = append(names, "unexported methods")
			continue
		}
		names = append(names, method.Name())
		w.line("type %s interface, %s%s", name, method.Name(), w.signature(method.Signature()))
	}
	w.line("type %s interface { %s }", name, strings.Join(names, ", "))
}

// methods lists those that callers can see nowhere else: a type's own, and what is
// promoted from a field that is not exported itself.
func (w *writer) methods(of types.Type) {
	for selection := range types.NewMethodSet(types.NewPointer(of)).Methods() {
		method := selection.Obj().(*types.Func)
		if !method.Exported() || promotedFromExported(of, selection) {
			continue
		}
		receiver := of
		if types.NewMethodSet(of).Lookup(method.Pkg(), method.Name()) == nil {
			receiver = types.NewPointer(of)
		}
		w.line("method (%s) %s%s", w.text(receiver), method.Name(), w.signature(method.Signature()))
	}
}

func promotedFromExported(of types.Type, selection *types.Selection) bool {
	if len(selection.Index()) == 1 {
		return false
	}
	structure, ok := of.Underlying().(*types.Struct)
	return ok && structure.Field(selection.Index()[0]).Exported()
}

// text writes a type, with the names of packages as code would have them.
func (w *writer) text(t types.Type) string {
	return types.TypeString(t, func(pkg *types.Package) string {
		if pkg == w.pkg {
			return ""
		}
		return pkg.Name()
	})
}

// signature writes parameters and results without their names.
func (w *writer) signature(of *types.Signature) string {
	nameless := func(tuple *types.Tuple) *types.Tuple {
		var variables []*types.Var
		for v := range tuple.Variables() {
			variables = append(variables, types.NewParam(0, nil, "", v.Type()))
		}
		return types.NewTuple(variables...)
	}
	bare := types.NewSignatureType(nil, nil, nil, nameless(of.Params()), nameless(of.Results()), of.Variadic())
	return w.typeParameters(of.TypeParams()) + strings.TrimPrefix(w.text(bare), "func")
}

func (w *writer) typeParameters(of *types.TypeParamList) string {
	if of.Len() == 0 {
		return ""
	}
	var texts []string
	for parameter := range of.TypeParams() {
		texts = append(texts, parameter.Obj().Name()+" "+w.text(parameter.Constraint()))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
