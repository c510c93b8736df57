package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
)

// file is one parsed source.
type file struct {
	path  string // from the top, with slashes
	pkg   string // its folder
	src   []byte
	lines int
	fset  *token.FileSet
	ast   *ast.File
	test  bool // _test.go
	made  bool // generated: exempt from sizes
}

func (f *file) line(pos token.Pos) int { return f.fset.Position(pos).Line }

// imports reports whether the file imports path.
func (f *file) imports(path string) bool {
	for _, spec := range f.ast.Imports {
		if strings.Trim(spec.Path.Value, `"`) == path {
			return true
		}
	}
	return false
}

// load parses every Go source below root but those of testdata, hidden folders and the temporary package that keeps
// go.mod complete.
func load(root string) ([]*file, error) {
	var files []*file
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(name, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		f, err := parse(tree, name)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func skipped(name, base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" ||
		name == "data" || name == "bin" || name == "internal/deps"
}

func parse(tree fs.FS, name string) (*file, error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &file{
		path: name, pkg: path.Dir(name), src: src, lines: strings.Count(string(src), "\n"), fset: fset, ast: parsed,
		test: strings.HasSuffix(name, "_test.go"), made: ast.IsGenerated(parsed),
	}, nil
}
