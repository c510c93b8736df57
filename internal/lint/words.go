package main

import (
	"fmt"
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// contracts are the packages whose every exported name is documented (STYLE 2).
var contracts = []string{
	"cluster", "cluster/space", "exmdb", "placement", "internal/mapi", "internal/directory", "internal/auth", "internal/mailflow",
	"internal/wire", "internal/clock",
}

// selfEvident methods say by their name what they do, everywhere in Go.
var selfEvident = []string{"String", "Error", "Unwrap", "Is", "Write", "Read", "Close", "AppendWire", "UnmarshalWire"}

// vague names say nothing of a package (STYLE 1).
var vague = []string{"util", "utils", "common", "helper", "helpers", "base", "types", "manager", "misc"}

func packageName(f *file) []place {
	if slices.Contains(vague, f.ast.Name.Name) {
		return []place{{f.path, f.line(f.ast.Name.Pos()), "package name " + f.ast.Name.Name + " says nothing"}}
	}
	return nil
}

// packageComment wants one file of each package to begin with the package's sentence.
func packageComment(files []*file) []place {
	first := map[string]*file{}
	said := map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		if first[f.pkg] == nil {
			first[f.pkg] = f
		}
		want := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			want = "Command "
		}
		if f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), want) {
			said[f.pkg] = true
		}
	}
	var places []place
	for _, pkg := range slices.Sorted(maps.Keys(first)) {
		if f := first[pkg]; !said[pkg] {
			places = append(places, place{f.path, 1, fmt.Sprintf("no file of %s says what package %s knows", pkg, f.ast.Name.Name)})
		}
	}
	return places
}

func contractDoc(f *file) []place {
	if f.test || f.made || !slices.Contains(contracts, f.pkg) {
		return nil
	}
	var places []place
	missing := func(name *ast.Ident) {
		places = append(places, place{f.path, f.line(name.Pos()), name.Name + " of a contract is not documented"})
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && receiverExported(d) && !slices.Contains(selfEvident, d.Name.Name) {
				missing(d.Name)
			}
		case *ast.GenDecl:
			undocumented(d, missing)
		}
	}
	return places
}

// undocumented calls missing for the exported names of a declaration that have no comment above, beside, or over
// their group, and that no comment of a neighbour in the group names.
func undocumented(d *ast.GenDecl, missing func(*ast.Ident)) {
	if d.Doc != nil {
		return
	}
	words := groupWords(d)
	for _, s := range d.Specs {
		var names []*ast.Ident
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Comment == nil {
				names = []*ast.Ident{s.Name}
			}
		case *ast.ValueSpec:
			if s.Doc == nil && s.Comment == nil {
				names = s.Names
			}
		}
		for _, name := range names {
			if name.IsExported() && !slices.Contains(words, name.Name) {
				missing(name)
			}
		}
	}
}

// groupWords are the words of all comments inside a declaration of constants or variables.
func groupWords(d *ast.GenDecl) []string {
	var words []string
	for _, s := range d.Specs {
		if v, ok := s.(*ast.ValueSpec); ok {
			words = append(words, strings.FieldsFunc(v.Doc.Text()+" "+v.Comment.Text(), notInName)...)
		}
	}
	return words
}

func notInName(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// uses are the places where f selects one of names from the package imported as pkg.
func uses(f *file, pkg string, names ...string) []place {
	var places []place
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == pkg && slices.Contains(names, sel.Sel.Name) {
			places = append(places, place{f.path, f.line(sel.Pos()), pkg + "." + sel.Sel.Name})
		}
		return true
	})
	return places
}

func because(places []place, why string) []place {
	for i := range places {
		places[i].text += ": " + why
	}
	return places
}

// sleepInTest: inside a synctest bubble a sleep takes no time and waits for exactly what it says, so files that use
// it are left alone.
func sleepInTest(f *file) []place {
	if !f.test || f.imports("testing/synctest") {
		return nil
	}
	return because(uses(f, "time", "Sleep"), "wait for the condition, or use synctest")
}

func contextTODO(f *file) []place {
	return because(uses(f, "context", "TODO"), "pass the caller's context")
}

func background(f *file) []place {
	if f.test || f.ast.Name.Name == "main" || below(f.pkg, "internal/node", "internal/testkit", "test", "cmd") {
		return nil
	}
	return because(uses(f, "context", "Background"), "it lives in main, node and tests")
}

func printing(f *file) []place {
	if f.test || below(f.pkg, "cmd", "internal/lint", "test") {
		return nil
	}
	return because(uses(f, "fmt", "Println", "Printf", "Print"), "only cmd writes to standard output")
}

func below(pkg string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") })
}

func initFunc(f *file) []place {
	var places []place
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			places = append(places, place{f.path, f.line(fn.Pos()), "init: a value that is built where it is used needs none"})
		}
	}
	return places
}

func blankImport(f *file) []place {
	var places []place
	for _, spec := range f.ast.Imports {
		if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` && !f.test {
			places = append(places, place{f.path, f.line(spec.Pos()), "import of " + spec.Path.Value + " for its side effect"})
		}
	}
	return places
}

var (
	hole   = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	issued = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\(#[0-9]+\)`)
)

func todo(f *file) []place {
	var places []place
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			if hole.MatchString(c.Text) && !issued.MatchString(c.Text) && f.pkg != "internal/lint" {
				places = append(places, place{f.path, f.line(c.Pos()), "a hole without the number of its issue"})
			}
		}
	}
	return places
}
