package arch

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Load reads the imports of the tree at root from its sources, whatever their build tags, tests left out.
func Load(root string) (Graph, error) {
	g := Graph{}
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(d.Name()):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		return g.addFile(filepath.Join(root, name), path.Dir(name))
	})
	return g, err
}

// skipped folders hold no packages of the module.
func skipped(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "data" || name == "bin"
}

func (g Graph) addFile(file, pkg string) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return fmt.Errorf("read imports: %w", err)
	}
	g[pkg] = append(g[pkg], []string{}...)
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("read imports of %s: %w", file, err)
		}
		imp = strings.TrimPrefix(imp, Module+"/")
		if !slices.Contains(g[pkg], imp) {
			g[pkg] = append(g[pkg], imp)
		}
	}
	return nil
}

// topLevel is all that may stand at the top; names that begin with a dot may as well.
var topLevel = []string{
	"cluster", "exmdb", "frontends", "placement", "cmd", "deploy", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
	"internal", "docs", "test",
	"bin", "data", // made by make build and make run, not tracked
}

// CheckTop holds the names at the top of the tree against the list.
func CheckTop(names []string) []Break {
	var broken []Break
	for _, name := range names {
		if !strings.HasPrefix(name, ".") && !slices.Contains(topLevel, name) {
			broken = append(broken, Break{"top level", name, "", "the top holds " + strings.Join(topLevel[:len(topLevel)-2], ", ") + " and dotfiles"})
		}
	}
	return broken
}
