// Package arch holds the house rules of imports: which package may see which, and why. It knows import paths and
// nothing of what the packages do. Its tests read the tree; a rule that is broken is printed with its reason, and every
// rule is itself tested by breaking it. To change one is a design decision with a document in docs/design.
package arch

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the prefix of the tree's own import paths; in a Graph they stand without it.
const Module = "github.com/flotilla-mail/flotilla"

// Graph is what each package imports outside its tests: own packages by their folder ("cluster/group"), others by
// import path.
type Graph map[string][]string

// Break is one import, or one package, against a rule.
type Break struct {
	Rule, Package, Import, Reason string
}

func (b Break) String() string {
	if b.Import == "" {
		return fmt.Sprintf("%s (%s): %s", b.Package, b.Rule, b.Reason)
	}
	return fmt.Sprintf("%s imports %s (%s): %s", b.Package, b.Import, b.Rule, b.Reason)
}

// Check holds the graph against every rule.
func Check(g Graph) []Break {
	var broken []Break
	for _, pkg := range sortedKeys(g) {
		if exempt.match(pkg) {
			continue
		}
		if _, ok := layerOf(pkg); !ok {
			broken = append(broken, Break{"house", pkg, "", "it has no layer; DESIGN 2 says where things live, layers in this package says how high"})
		}
		for _, imp := range g[pkg] {
			broken = append(broken, checkImport(pkg, imp)...)
		}
	}
	return broken
}

func checkImport(pkg, imp string) []Break {
	var broken []Break
	from, known := layerOf(pkg)
	if to, ok := layerOf(imp); ok && known && to > from {
		broken = append(broken, Break{"layers", pkg, imp,
			fmt.Sprintf("%s must not see %s, which stands above", layers[from].name, layers[to].name)})
	}
	for _, r := range never {
		if r.who.match(pkg) && !r.except.match(pkg) && r.what.match(imp) && !r.but.match(imp) && !sibling(r, pkg, imp) {
			broken = append(broken, Break{r.name, pkg, imp, r.reason})
		}
	}
	return broken
}

// sibling reports whether a rule about other folders does not apply because the import stays inside the folder.
func sibling(r rule, pkg, imp string) bool {
	return r.insideAllowed && folder(pkg) == folder(imp)
}

// folder is the first two elements of a path: "frontends/imap".
func folder(path string) string {
	parts := strings.SplitN(path, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// paths is a list of patterns: a path itself, or with "/..." it and all below, or with "/*" only what is below.
type paths []string

func (p paths) match(path string) bool {
	return slices.ContainsFunc(p, func(pattern string) bool {
		if base, ok := strings.CutSuffix(pattern, "/..."); ok {
			return base == "" || path == base || strings.HasPrefix(path, base+"/")
		}
		if base, ok := strings.CutSuffix(pattern, "/*"); ok {
			return strings.HasPrefix(path, base+"/")
		}
		return path == pattern
	})
}

// layerOf is the index of the layer that names the package most closely.
func layerOf(path string) (index int, ok bool) {
	longest := -1
	for i, l := range layers {
		for _, pattern := range l.packages {
			if n := len(strings.TrimRight(pattern, ".*/")); n > longest && (paths{pattern}).match(path) {
				index, longest = i, n
			}
		}
	}
	return index, longest >= 0
}

func sortedKeys(g Graph) []string {
	keys := make([]string, 0, len(g))
	for k := range g {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
