package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// target is a fuzz test.
type target struct {
	// dir is its package's folder, below the top of the tree.
	dir, name string
}

func (t target) String() string { return t.dir + " " + t.name }

var declared = regexp.MustCompile(`(?m)^func (Fuzz[A-Z0-9_]\w*)\(`)

// targets are the fuzz tests below root, by folder; what go does not look into is left out.
func targets(root string) ([]target, error) {
	var list []target
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name := e.Name()
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range declared.FindAllSubmatch(text, -1) {
			list = append(list, target{filepath.ToSlash(dir), string(m[1])})
		}
		return err
	})
	return list, err
}
