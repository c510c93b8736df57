package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"maps"
	"slices"
)

func gofmt(f *file) []place {
	want, err := format.Source(f.src)
	if err != nil || bytes.Equal(want, f.src) {
		return nil
	}
	line := 1
	for i := range min(len(want), len(f.src)) {
		if want[i] != f.src[i] {
			break
		}
		if want[i] == '\n' {
			line++
		}
	}
	return []place{{f.path, line, "gofmt differs"}}
}

// function is a declared function and its length in lines, signature and braces included.
type function struct {
	file  *file
	decl  *ast.FuncDecl
	lines int
}

// functions are those the sizes hold for: tests and generated sources are exempt.
func functions(f *file) []function {
	if f.test || f.made {
		return nil
	}
	var list []function
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			list = append(list, function{f, fn, f.line(fn.End()) - f.line(fn.Pos()) + 1})
		}
	}
	return list
}

func (fn function) at(format string, args ...any) place {
	return place{fn.file.path, fn.file.line(fn.decl.Pos()), fn.decl.Name.Name + ": " + fmt.Sprintf(format, args...)}
}

func functionLength(f *file) []place {
	var places []place
	for _, fn := range functions(f) {
		if fn.lines > maxFunction {
			places = append(places, fn.at("%d lines, %d is the end", fn.lines, maxFunction))
		}
	}
	return places
}

func allFunctions(files []*file) []function {
	var all []function
	for _, f := range files {
		all = append(all, functions(f)...)
	}
	slices.SortFunc(all, func(a, b function) int { return cmp.Compare(a.lines, b.lines) })
	return all
}

// functionP95 names the longest functions when more than one in twenty is beyond the usual.
func functionP95(files []*file) []place {
	all := allFunctions(files)
	if len(all) == 0 {
		return nil
	}
	at := len(all) * 95 / 100
	if all[at].lines <= p95Function {
		return nil
	}
	var places []place
	for _, fn := range all[at:] {
		places = append(places, fn.at("%d lines; the 95th percentile of all functions is %d, want %d", fn.lines, all[at].lines, p95Function))
	}
	return places
}

func nesting(f *file) []place {
	var places []place
	for _, fn := range functions(f) {
		if d := depth(fn.decl.Body.List); d > maxNesting {
			places = append(places, fn.at("nested %d deep, %d is the bar", d, maxNesting))
		}
	}
	return places
}

// depth is how deep statements that hold statements stand in each other. A function literal starts from nought, an
// else-if chain counts once, a case counts with its switch.
func depth(list []ast.Stmt) int {
	deepest := 0
	for _, s := range list {
		deepest = max(deepest, depthOf(s))
	}
	return deepest
}

func depthOf(s ast.Stmt) int {
	switch s := s.(type) {
	case *ast.IfStmt:
		d := 1 + depth(s.Body.List)
		if other, ok := s.Else.(*ast.IfStmt); ok {
			return max(d, depthOf(other))
		}
		if other, ok := s.Else.(*ast.BlockStmt); ok {
			return max(d, 1+depth(other.List))
		}
		return d
	case *ast.ForStmt:
		return 1 + depth(s.Body.List)
	case *ast.RangeStmt:
		return 1 + depth(s.Body.List)
	case *ast.SwitchStmt:
		return 1 + depth(s.Body.List)
	case *ast.TypeSwitchStmt:
		return 1 + depth(s.Body.List)
	case *ast.SelectStmt:
		return 1 + depth(s.Body.List)
	case *ast.CaseClause:
		return depth(s.Body)
	case *ast.CommClause:
		return depth(s.Body)
	case *ast.LabeledStmt:
		return depthOf(s.Stmt)
	case *ast.BlockStmt:
		return depth(s.List)
	}
	return 0
}

func params(f *file) []place {
	var places []place
	for _, fn := range functions(f) {
		if n := fn.decl.Type.Params.NumFields(); n > maxParams {
			places = append(places, fn.at("%d parameters, %d is the bar", n, maxParams))
		}
	}
	return places
}

func fileLength(f *file) []place {
	if f.test || f.made || f.lines <= maxFile {
		return nil
	}
	return []place{{f.path, maxFile, fmt.Sprintf("%d lines, %d is the end", f.lines, maxFile)}}
}

func packageLength(files []*file) []place {
	lines := map[string]int{}
	for _, f := range files {
		if !f.test && !f.made {
			lines[f.pkg] += f.lines
		}
	}
	var places []place
	for _, pkg := range slices.Sorted(maps.Keys(lines)) {
		if n := lines[pkg]; n > maxPackage {
			places = append(places, place{pkg, 1, fmt.Sprintf("package of %d lines, think at %d", n, maxPackage)})
		}
	}
	return places
}

// measure is one line of figures about the tree.
func measure(files []*file) string {
	code, tests := 0, 0
	for _, f := range files {
		if f.test {
			tests += f.lines
		} else {
			code += f.lines
		}
	}
	all := allFunctions(files)
	if len(all) == 0 {
		return "no functions"
	}
	return fmt.Sprintf("%d files, %d lines of code, %d of tests; %d functions: median %d, 95th percentile %d, longest %d lines",
		len(files), code, tests, len(all), all[len(all)/2].lines, all[len(all)*95/100].lines, all[len(all)-1].lines)
}
