package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// figures of a target are what its newest run did.
type figures struct {
	Commit     string  `json:"commit"`
	Date       string  `json:"date"`
	Seconds    int     `json:"seconds"`
	CPU        int     `json:"CPU seconds"`
	Executions int     `json:"executions"`
	Fresh      int     `json:"new inputs"`
	Total      int     `json:"inputs"`
	Peak       float64 `json:"peak MB"`
}

func (f figures) String() string {
	return fmt.Sprintf("%d s, %d of a processor, %d executions, %d new inputs of %d, %.1f MB", f.Seconds, f.CPU, f.Executions, f.Fresh, f.Total, f.Peak)
}

func (s stretch) figures() figures {
	return figures{Seconds: int(s.elapsed.Seconds()), CPU: int(s.cpu.Seconds()), Executions: s.executions, Fresh: s.fresh, Total: s.total, Peak: math.Round(10*s.peak) / 10}
}

const head = `# What fuzzing has done

Made by ` + "`make fuzz`" + `, a target's row by its own newest run; fuzz.json beside this page says on which machine and at which commit.
A new input reaches code that none before did; all of those are kept in Go's cache, and the next run begins with them.
CPU seconds are what the workers had of the processors meanwhile: less than the seconds where the machine had other things to do.

No decoder may allocate more than 64 MB for one input, all in all, freed or not: each of those tests says so itself
(` + "`testkit.Bounded`" + `), and an input that takes more fails like one that panics or takes longer than ten seconds. A run that failed
is not in the table; its input is among the seeds. A target without figures has had no run for the record yet: its seeds run with
every ` + "`make test`" + `. ` + "`make fuzz FUZZ='^$'`" + ` runs none and writes the table.

The last column is against memory that is kept from one input to the next: what a worker came to hold of its own at the most,
its resident memory without the program's file and what it shares with the coordinator, read once a second. It may be 164 MB,
and garbage is collected as if there were no more (` + "`GOMEMLIMIT`" + `): up to 100 MB of it are the fuzzing engine's own, a slice as long as an
input may be, which is resident in some runs and not in others; coverage counters and seeds are in it too.

| package | target | seconds | CPU seconds | executions | new inputs | inputs | MB |
|---|---|---|---|---|---|---|---|
`

// record puts a target's figures in the place of its older ones and writes both files.
func (r *runner) record(t target, f figures) error {
	all, err := load(r.root)
	if err != nil {
		return err
	}
	m, unknown := testkit.Measure(r.root, "fuzz")
	if unknown != nil {
		fmt.Fprintln(r.out, unknown)
	}
	f.Commit, f.Date = m.Commit, m.Date
	all[t.String()] = f
	for name, f := range all {
		m.Results[name] = f
	}
	if _, err := m.Write(r.root); err != nil {
		return err
	}
	return r.write(all)
}

// write writes the page.
func (r *runner) write(all map[string]figures) error {
	list, err := targets(r.root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.root, "docs", "measurements", "fuzz.md"), []byte(page(list, all)), 0o644)
}

// load reads what was recorded of each target.
func load(root string) (map[string]figures, error) {
	var kept struct {
		Results map[string]figures `json:"results"`
	}
	b, err := os.ReadFile(filepath.Join(root, "docs", "measurements", "fuzz.json"))
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if kept.Results == nil {
		kept.Results = map[string]figures{}
	}
	return kept.Results, err
}

// page is the table of all targets that there are.
func page(list []target, all map[string]figures) string {
	var b strings.Builder
	b.WriteString(head)
	slices.SortFunc(list, func(x, y target) int { return strings.Compare(x.String(), y.String()) })
	for _, t := range list {
		f, run := all[t.String()]
		if !run {
			fmt.Fprintf(&b, "| %s | %s | – | – | – | – | – | – |\n", t.dir, t.name)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %.1f |\n", t.dir, t.name, f.Seconds, f.CPU, f.Executions, f.Fresh, f.Total, f.Peak)
	}
	return b.String()
}
