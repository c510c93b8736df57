package main

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// tree is a folder with two fuzz tests, what go does not look into, and a go in PATH that says what the script prints.
func tree(t *testing.T, script string) *runner {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"a/x_test.go":          "package a\n\nfunc FuzzOne(f *testing.F) {}\n\nfunc FuzzTwo(f *testing.F) {}\n\nfunc Fuzzy(t *testing.T) {}\n",
		"a/x.go":               "package a\n\nfunc FuzzNot(f *testing.F) {}\n",
		"a/testdata/y_test.go": "package y\n\nfunc FuzzNot(f *testing.F) {}\n",
		"_b/y_test.go":         "package y\n\nfunc FuzzNot(f *testing.F) {}\n",
		"bin/go":               "#!/bin/sh\n" + script,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "docs", "measurements"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(root, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	return &runner{root: root, tags: "x", time: 10 * time.Second, parallel: 2, memory: 164, out: t.Output()}
}

const said = `cat <<'TEXT'
fuzz: elapsed: 0s, gathering baseline coverage: 0/2 completed
fuzz: elapsed: 1s, gathering baseline coverage: 2/2 completed, now fuzzing with 1 workers
fuzz: elapsed: 3s, execs: 2660 (886/sec), new interesting: 1 (total: 3)
fuzz: elapsed: 6s, minimizing
fuzz: elapsed: 10s, execs: 15702 (0/sec), new interesting: 3 (total: 5)
PASS
TEXT
`

func TestFiguresAreKept(t *testing.T) {
	r := tree(t, said)
	page := func(want string) {
		t.Helper()
		table, err := os.ReadFile(filepath.Join(r.root, "docs", "measurements", "fuzz.md"))
		if err != nil || !strings.HasSuffix(string(table), want) {
			t.Errorf("%v in\n%s", err, table)
		}
	}
	if err := r.run(t.Context(), "^$"); err != nil {
		t.Fatal(err)
	}
	page("| a | FuzzOne | – | – | – | – | – | – |\n| a | FuzzTwo | – | – | – | – | – | – |\n")
	if err := r.run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	r.tags = "y"
	before, err := load(r.root)
	if err != nil {
		t.Fatal(err)
	}
	writeGo(t, r, strings.ReplaceAll(said, "15702", "20000"))
	if err := r.run(t.Context(), "One"); err != nil {
		t.Fatal(err)
	}
	after, err := load(r.root)
	if err != nil {
		t.Fatal(err)
	}
	one, two := after["a FuzzOne"], after["a FuzzTwo"]
	if one.Executions != 20000 || one.Seconds != 10 || one.Fresh != 3 || one.Total != 5 {
		t.Errorf("%+v", one)
	}
	if two != before["a FuzzTwo"] || two.Executions != 15702 || len(after) != 2 {
		t.Errorf("%+v was %+v, of %d", two, before["a FuzzTwo"], len(after))
	}
	page("| a | FuzzOne | 10 | 0 | 20000 | 3 | 5 | 0.0 |\n| a | FuzzTwo | 10 | 0 | 15702 | 3 | 5 | 0.0 |\n")
}

func writeGo(t *testing.T, r *runner, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.root, "bin", "go"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestFailureSaysHowToMeetItAgain(t *testing.T) {
	r := tree(t, said+"echo '    Failing input written to testdata/fuzz/FuzzOne/582528ddfad69eb5'\nexit 1\n")
	r.parallel = 1
	err := r.run(t.Context(), "One")
	if err == nil || !strings.Contains(err.Error(), "a FuzzOne: ") || !strings.Contains(err.Error(), "again: go test -tags x -run '^FuzzOne$/^582528ddfad69eb5$' ./a") {
		t.Errorf("%v", err)
	}
	if kept, err := load(r.root); err != nil || len(kept) > 0 {
		t.Errorf("%v, %v", kept, err)
	}
}

// TestPause: a target that pauses is told to end, waits, runs for what is left of its time, and what it did is one.
func TestPause(t *testing.T) {
	r := tree(t, `echo "$@" >>"$0.asked"
if [ ! -e "$0.hold" ]; then
	trap 'echo "fuzz: elapsed: 4s, execs: 100 (0/sec), new interesting: 1 (total: 3)"; (sleep 1; rm "$0.hold") >/dev/null 2>&1 & exit 1' INT
	touch "$0.hold"
	while :; do sleep 0.1; done
fi
`)
	r.hold = filepath.Join(r.root, "bin", "go.hold")
	ended := make(chan error, 1)
	go func() { ended <- r.run(t.Context(), "One") }()
	testkit.Eventually(t, time.Minute, func(context.Context) error { _, err := os.Stat(r.hold); return err })
	writeGo(t, r, `echo "$@" >>"$0.asked"
[ ! -e "$0.hold" ] || touch "$0.early"
echo "fuzz: elapsed: 6s, execs: 200 (0/sec), new interesting: 2 (total: 5)"
`)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	kept, err := load(r.root)
	if f := kept["a FuzzOne"]; err != nil || f.Seconds != 10 || f.Executions != 300 || f.Fresh != 3 || f.Total != 5 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := os.Stat(filepath.Join(r.root, "bin", "go.early")); err == nil {
		t.Error("goes on while it is held")
	}
	asked, err := os.ReadFile(filepath.Join(r.root, "bin", "go.asked"))
	if err != nil || !strings.Contains(string(asked), "-fuzztime 10s") || !strings.Contains(string(asked), "-fuzztime 6s") {
		t.Errorf("%s, %v", asked, err)
	}
}

// TestUsage: the workers of the group count, each with what it came to hold; no other process does.
func TestUsage(t *testing.T) {
	const status = "Name:\tx.test\nVmHWM:\t  104448 kB\nRssAnon:\t   20480 kB\nRssFile:\t    2048 kB\nRssShmem:\t       0 kB\n"
	process := func(pgrp, args, status string) (stat, cmdline, state *fstest.MapFile) {
		file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
		return file("7 (x) 9 9) S 1 " + pgrp + " 0 0 0 0 0 0 0 0 150 50 0"), file(args), file(status)
	}
	proc := fstest.MapFS{}
	add := func(pid, pgrp, args, status string) {
		proc[pid+"/stat"], proc[pid+"/cmdline"], proc[pid+"/status"] = process(pgrp, args, status)
	}
	add("7", "5", "x.test\x00-test.fuzzworker\x00", status)
	add("8", "5", "x.test\x00-test.fuzzworker\x00", "RssAnon:\t 1024 kB\n")
	add("9", "5", "x.test\x00", strings.ReplaceAll(status, "104448", "999999"))
	add("10", "6", "x.test\x00-test.fuzzworker\x00", strings.ReplaceAll(status, "104448", "999999"))
	u := usage{cpu: map[string]time.Duration{}}
	u.read(proc, 5)
	if want := map[string]time.Duration{"7": 2 * time.Second, "8": 2 * time.Second}; u.peak != 100 || !reflect.DeepEqual(u.cpu, want) {
		t.Errorf("%v MB, %v", u.peak, u.cpu)
	}
}
