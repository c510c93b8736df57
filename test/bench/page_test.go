package bench

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// page writes what was measured as a page to be read, docs/measurements/<name>.md.
func page(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(testkit.Root(t), "docs", "measurements", name+".md"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// table has a column for each of what was measured and a row for each figure in any of them, which are float64.
func table(columns []string, of []map[string]any) string {
	rows := map[string]bool{}
	for _, m := range of {
		for what := range m {
			rows[what] = true
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, what := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "| %s |", what)
		for _, m := range of {
			if v, ok := m[what]; ok {
				fmt.Fprintf(&b, " %.2f |", v)
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
