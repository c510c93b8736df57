package main

import (
	"fmt"
	"slices"
	"strings"
)

// The bars of docs/STYLE.md 12.
const (
	maxFunction = 80
	p95Function = 45
	maxNesting  = 3
	maxParams   = 5
	maxFile     = 800
	maxPackage  = 4000
)

// rule is one row: what it looks at, and whether it fails or only warns.
type rule struct {
	name  string
	warns bool
	// file looks at one file; tree, if set instead, at all of them.
	file func(*file) []place
	tree func([]*file) []place
}

// place is where a rule is broken.
type place struct {
	path string
	line int
	text string
}

// finding is a place with its rule.
type finding struct {
	place
	rule *rule
}

func (f finding) String() string {
	level := ""
	if f.rule.warns {
		level = "warning: "
	}
	return fmt.Sprintf("%s:%d: %s%s (%s)", f.path, f.line, level, f.text, f.rule.name)
}

// rules is the list. A new one begins as a warning and fails once the tree keeps it.
var rules = []rule{
	{name: "gofmt", file: gofmt},
	{name: "function-length", file: functionLength},
	{name: "function-p95", tree: functionP95},
	{name: "nesting", file: nesting, warns: true},
	{name: "params", file: params, warns: true},
	{name: "file-length", file: fileLength},
	{name: "package-length", tree: packageLength, warns: true},
	{name: "package-comment", tree: packageComment},
	{name: "contract-doc", file: contractDoc},
	{name: "sleep-in-test", file: sleepInTest},
	{name: "todo", file: todo},
	{name: "context-todo", file: contextTODO},
	{name: "background", file: background, warns: true},
	{name: "print", file: printing},
	{name: "init", file: initFunc, warns: true},
	{name: "blank-import", file: blankImport, warns: true},
	{name: "package-name", file: packageName},
}

func check(files []*file) []finding {
	var found []finding
	for i := range rules {
		r := &rules[i]
		var places []place
		if r.tree != nil {
			places = r.tree(files)
		} else {
			for _, f := range files {
				places = append(places, r.file(f)...)
			}
		}
		for _, p := range places {
			found = append(found, finding{p, r})
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		if c := strings.Compare(a.path, b.path); c != 0 {
			return c
		}
		return a.line - b.line
	})
	return found
}
