package scripts

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/storescript"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

var rewrite = flag.Bool("rewrite", false, "write what is said into the scripts")

// TestMemory plays the scripts on one store in this process.
func TestMemory(t *testing.T) {
	site := storescript.Record(storescript.Memory(t))
	if storescript.Play(t, site, storescript.Scripts(t, "*.txt"), *rewrite) {
		everyOpIsPerformed(t, site.Performed(), map[string]string{"CarryAcross": "across.txt is for a cluster", "KeepOrder": "s10-kept.txt is"})
	}
}

// TestCluster plays them on three processes, each script with mailboxes of its own. What most of them say was written down
// by the store in memory, and the cluster has to say the same. Two clusters play half of them each, beside each other: most of the
// time one waits for a node that starts, or for another to be chosen.
func TestCluster(t *testing.T) {
	files := storescript.Scripts(t, "*.txt")
	const clusters = 2
	var all [clusters]bool
	var performed [clusters][]string
	t.Run("beside", func(t *testing.T) {
		for n := range clusters {
			t.Run(fmt.Sprint(n+1), func(t *testing.T) {
				t.Parallel()
				var half []string
				for i := n; i < len(files); i += clusters {
					half = append(half, files[i])
				}
				site := storescript.Record(On(devtest.StartGroups(t, 0, 2), "cluster"))
				all[n] = storescript.Play(t, site, half, *rewrite)
				performed[n] = site.Performed()
			})
		}
	})
	if !slices.Contains(all[:], false) {
		everyOpIsPerformed(t, slices.Concat(performed[:]...), nil)
	}
}

// recoverable is how long what is deleted can be recovered where scripts wait for that to be over: long enough for a slow machine
// to delete all that they delete.
const recoverable = 6 * time.Second

// TestAgeOut plays those on three processes that keep nothing for long.
func TestAgeOut(t *testing.T) {
	c := devtest.StartOptions(t, dev.Options{Nodes: 3, Groups: 1, SoftDeleted: recoverable})
	storescript.Play(t, On(c, "aged"), storescript.Scripts(t, "*-ageout.txt"), *rewrite)
}

// ofNodes are the ops that nodes perform for each other, and the one of the site, each with what has them do it.
var ofNodes = map[string]string{"Outgoing": "s15-outgoing", "ReadOutgoing": "s15-outgoing", "FinishOutgoing": "s15-outgoing",
	"Crossing": "across", "ReadCrossing": "across", "TakeIn": "across", "FinishCrossing": "across", "CreateMailbox": "what Site.Create makes mailboxes with"}

var opRow = regexp.MustCompile(`(?m)^\d+ (\w+) write=`)

// everyOpIsPerformed holds the op table, as its golden file has it, against the ops that all scripts have performed.
func everyOpIsPerformed(t *testing.T, performed []string, except map[string]string) {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(testkit.Root(t), "exmdb", "testdata", "golden.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rows := opRow.FindAllStringSubmatch(string(table), -1)
	if len(rows) == 0 {
		t.Fatal("no op in the table")
	}
	for _, row := range rows {
		op := row[1]
		if ofNodes[op]+except[op] == "" && !slices.Contains(performed, op) {
			t.Errorf("no script performs %s", op)
		}
	}
}

// TestEveryCommandIsPlayed: each command of the language is in a script.
func TestEveryCommandIsPlayed(t *testing.T) {
	files, err := filepath.Glob("*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, name := range storescript.Commands() {
		if !regexp.MustCompile(`(?m)^(\w+ = )?` + name + `( |$)`).MatchString(all.String()) {
			t.Errorf("no script has %q", name)
		}
	}
}

var featureRow = regexp.MustCompile(`(?m)^\| (S\d+) \| .* \| (.*) \| (.*) \|$`)

// TestFeaturesAreAsWritten holds docs/features.md against the scripts: a row that is shown names those that show it.
func TestFeaturesAreAsWritten(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), "docs", "features.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := storescript.Rows("*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range featureRow.FindAllStringSubmatch(string(text), -1) {
		named := regexp.MustCompile(`s[0-9][-a-z0-9]*`).FindAllString(m[3], -1)
		var have []string
		for _, file := range rows[m[1]] {
			have = append(have, strings.TrimSuffix(file, ".txt"))
		}
		if slices.Sort(named); fmt.Sprint(named) != fmt.Sprint(have) {
			t.Errorf("%s names %v; of the scripts %v say that they show it", m[1], named, have)
		}
		delete(rows, m[1])
	}
	if len(rows) > 0 {
		t.Errorf("rows that are shown and not in the table: %v", rows)
	}
	scripts, err := filepath.Glob("*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range scripts {
		if name := strings.TrimSuffix(file, ".txt"); !regexp.MustCompile(`[ ` + "`" + `]` + name + `[ ,` + "`" + `]`).Match(text) {
			t.Errorf("docs/features.md does not name %s", file)
		}
	}
}

var fleetRow = regexp.MustCompile(`(?m)^\| ([CB]\d+) \| .* \| (.*) \| (.*) \|$`)

// TestFeaturesOfTheFleetAreTested: what is said to be shown by a test, or by those of a folder, has them.
func TestFeaturesOfTheFleetAreTested(t *testing.T) {
	root := testkit.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "features.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := fleetRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 20 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, m := range rows {
		if (m[3] == "") != (m[2] == "not built") {
			t.Errorf("%s is %q, shown by %q", m[1], m[2], m[3])
		}
		for _, shown := range strings.Split(m[3], ", ") {
			if err := hasTest(root, shown); err != nil && shown != "" {
				t.Errorf("%s: %q: %v", m[1], shown, err)
			}
		}
	}
}

// hasTest finds "folder", "folder TestName", or "folder part", where a file of tests, part_test.go or part, has one.
func hasTest(root, shown string) error {
	folder, part, _ := strings.Cut(shown, " ")
	pattern, want := "*_test.go", "func Test"
	if strings.HasPrefix(part, "Test") {
		want = "func " + part + "("
	} else if part != "" {
		pattern = strings.TrimSuffix(part, "_test.go") + "_test.go"
	}
	files, err := filepath.Glob(filepath.Join(root, folder, pattern))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), want) {
			return nil
		}
	}
	return fmt.Errorf("no %s in %d files", want, len(files))
}
