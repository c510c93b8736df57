// Command lint holds the tree against what docs/STYLE.md says and a tool can check: sizes, comments, waits in tests,
// holes. It reads sources only, never types, so it is quick; gofmt is among its rules, vet and staticcheck are not.
//
// Findings of failing rules make the exit code 1; the others are counted, and listed with -v.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	verbose := flag.Bool("v", false, "list warnings too")
	root := flag.String("root", ".", "top of the tree")
	flag.Parse()
	os.Exit(run(*root, *verbose, os.Stdout))
}

// run prints the findings and returns the exit code: 0 clean, 1 findings, 2 the tree cannot be read.
func run(root string, verbose bool, out io.Writer) int {
	files, err := load(root)
	if err != nil {
		fmt.Fprintln(out, "lint:", err)
		return 2
	}
	failed, counts := 0, map[string]int{}
	for _, f := range check(files) {
		if f.rule.warns {
			counts[f.rule.name]++
		} else {
			failed++
		}
		if !f.rule.warns || verbose {
			fmt.Fprintln(out, f)
		}
	}
	var notes []string
	for name, n := range counts {
		notes = append(notes, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(notes)
	if len(notes) > 0 && !verbose {
		fmt.Fprintln(out, "warnings (-v lists them):", strings.Join(notes, ", "))
	}
	fmt.Fprintln(out, measure(files))
	if failed > 0 {
		return 1
	}
	return 0
}
