// Package storescript plays scripts of store operations and holds what they say against what was expected.
//
// A script is plain text. Blocks of commands are set apart by empty lines; below "----" stands what they say:
//
//	# why this is tried
//	deliver subject=hello at=n2
//	list Inbox as=bob at=n3
//	----
//	1 hello
//
// A command is a name, words and key=value pairs; in double quotes they may have spaces. Of any command at=NODE says which
// node is asked (n1, n2, n3; else each in turn), as=USER who asks (else the mailbox's owner), box=NAME in which mailbox (else
// the one made last), break=FAULT@N that the fault hits the mailbox's owner while the N-th call of the command is under
// way; middle=FAULT@N the same, and that the command is a long operation in the middle of which it does: steps were answered
// before, and others are asked for afterwards. "var = command" keeps the message or folder that the command made. A block that
// begins with "eventually" is played until it says what is expected. Lines "# only: SITE" and "# rows: S1 S2" say where a script
// can be played and which rows of the features it shows.
//
// The package knows the ops of exmdb and the language; where mailboxes are is its Site's to know. What is said has no
// number that differs from run to run.
package storescript

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Site is where scripts are played.
type Site interface {
	// Name is what "# only:" says.
	Name() string
	// Caller performs ops through a node; "" leaves the choice to the site.
	Caller(node string) exmdb.Caller
	// Create makes a mailbox.
	Create(ctx context.Context, req *exmdb.CreateMailboxRequest) (mapi.MailboxID, error)
	// Open finds the mailbox of somebody in the directory, and his GUID.
	Open(ctx context.Context, address string) (mapi.MailboxID, mapi.GUID, error)
	// Enter puts somebody with a mailbox into the directory, unless he is there.
	Enter(ctx context.Context, address, kind, booking string) error
	// IMAP lists the folders of somebody in the directory as IMAP names them.
	IMAP(ctx context.Context, node, address string) ([]string, error)
	// Do does to nodes what the command says: kill, restart, freeze, thaw, cut, clear, die-at=STEP, freeze-at=STEP. "owner" is the
	// node that owns the mailbox.
	Do(ctx context.Context, what, node string, box mapi.MailboxID) error
	// Doomed waits until a node has come to the step at which it dies or freezes, and lets the others live.
	Doomed(ctx context.Context) error
	// Whole waits until all nodes serve and all replicas have caught up; Same compares the replicas.
	Whole(ctx context.Context) error
	Same(ctx context.Context) error
	// Group is the group that a mailbox lies in.
	Group(box mapi.MailboxID) uint64
	// Entries is how many entries the log of the mailbox's group has got so far from its leader.
	Entries(ctx context.Context, box mapi.MailboxID) (uint64, error)
	// Orders are how many orders of tables each node keeps of a mailbox.
	Orders(ctx context.Context, box mapi.MailboxID) (map[string]int, error)
}

// patience is for what has to come, on a slow machine too.
const patience = 2 * time.Minute

// Scripts are the files of the scripts that a pattern finds; that there is none fails the test.
func Scripts(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts at %s: %v", pattern, err)
	}
	return files
}

// Play plays scripts, and reports whether all of them that are for the site have been played to their ends. With rewrite, what
// they say is written into them: by the store in memory, or by the only site that they are for.
func Play(t *testing.T, site Site, files []string, rewrite bool) (all bool) {
	t.Helper()
	begun := 0 // of those that -run leaves out none is
	for _, file := range files {
		play := func(t *testing.T) { begun++; playFile(t, site, file, rewrite) }
		if !t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), play) {
			heal(t, site)
		}
	}
	return begun == len(files) && !t.Failed()
}

// heal undoes the faults of a script that failed in the middle, so that they do not fail the next ones.
func heal(t *testing.T, site Site) {
	t.Helper()
	for _, what := range []string{"thaw", "restart", "clear"} {
		if err := site.Do(t.Context(), what, "all", mapi.MailboxID{}); err != nil {
			t.Fatalf("%s all after a script that failed: %v", what, err)
		}
	}
}

func playFile(t *testing.T, site Site, file string, rewrite bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	only := header(string(text), "only")
	if len(only) > 0 && only[0] != site.Name() {
		t.Skipf("only for %s", only[0])
	}
	rewrite = rewrite && (len(only) > 0 || site.Name() == "memory")
	began := time.Now()
	got := newRun(t, site, rewrite).play(string(text))
	t.Logf("%s: %v", filepath.Base(file), time.Since(began).Round(time.Millisecond))
	if rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// header is the words of the line "# key: words" of a script.
func header(text, key string) []string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# "+key+":"); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// Rows are the rows of the features that the scripts at a pattern say they show, each with its scripts.
func Rows(pattern string) (map[string][]string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	rows := make(map[string][]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, row := range header(string(text), "rows") {
			rows[row] = append(rows[row], filepath.Base(file))
		}
	}
	return rows, nil
}

// block is commands with what they are expected to say. Lines is all of it but that, as it is written.
type block struct {
	lines, commands, want []string
	eventually            bool
}

func parse(text string) []block {
	var blocks []block
	for _, part := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		var b block
		lines := strings.Split(part, "\n")
		for i, line := range lines {
			if line == "----" {
				b.want = lines[i+1:]
				break
			}
			b.lines = append(b.lines, line)
			switch {
			case line == "eventually":
				b.eventually = true
			case line != "" && !strings.HasPrefix(line, "#"):
				b.commands = append(b.commands, line)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// play plays a script and returns it with what was said.
func (r *run) play(text string) string {
	var parts []string
	for _, b := range parse(text) {
		said := r.block(&b)
		if want := strings.Join(b.want, "\n"); !r.rewrite && said != want {
			r.t.Fatalf("%s\n---- want\n%s\n---- got\n%s", strings.Join(b.lines, "\n"), want, said)
		}
		part := strings.Join(b.lines, "\n")
		if said != "" {
			part += "\n----\n" + said
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// settle is how long a block that says "eventually" is played when what it says is written down.
const settle = 5 * time.Second

// block plays the commands of a block, again and again where that is asked for.
func (r *run) block(b *block) string {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := patience
	if r.rewrite {
		limit = settle
	}
	for deadline := time.Now().Add(limit); ; <-tick.C {
		r.out.Reset()
		for _, line := range b.commands {
			r.line(line)
		}
		said := strings.TrimRight(r.out.String(), "\n")
		if !b.eventually || !r.rewrite && said == strings.Join(b.want, "\n") || time.Now().After(deadline) {
			return said
		}
	}
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(&r.out, format+"\n", args...) }
