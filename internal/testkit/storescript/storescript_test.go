package storescript

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// TestArgs reads lines with words, keys, quotes and parentheses.
func TestArgs(t *testing.T) {
	for line, want := range map[string]string{
		`list Inbox as=bob at=n2`:                      `list [Inbox] map[as:bob at:n2]`,
		`deliver subject="a b" header="X: \"1\""`:      `deliver [] map[header:X: "1" subject:a b]`,
		`set m PidTagSubject=x "PidTagBody=a b"`:       `set [m PidTagSubject=x PidTagBody=a b] map[]`,
		`set m PidTagBody="a b" c`:                     `set [m PidTagBody=a b c] map[]`,
		`find Inbox for=(and (= A "(") (x)) sort=-A,B`: ``,
		`find Inbox for=(and (= A b) (x)) sort=-A,B`:   `find [Inbox] map[for:(and (= A b) (x)) sort:-A,B]`,
		`new ""`:       `new [] map[]`,
		`list "Inbox`:  ``,
		`flags X +\Y`:  `flags [X +\Y] map[]`,
		`  oof   on  `: `oof [on] map[]`,
	} {
		a, err := parseArgs(line)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(a.name, " ", a.words, " ", a.keys) != want {
			t.Errorf("%s: %+v, %v", line, a, err)
		}
	}
}

// TestRestrictions writes what was read in the wire form and reads it back, and refuses what is none.
func TestRestrictions(t *testing.T) {
	for _, text := range []string{`(and)`, `(or (= PidTagImportance 2) (not (exist PidTagSubject)))`, `(contains PidTagSubject "a b")`,
		`(bits PidTagMessageFlags 0x10)`, `(size>= PidTagSubject 9)`, `(same PidTagSubject PidTagNormalizedSubject)`,
		`(recipient (is PidTagDisplayName "x"))`, `(first 3 (comment (exist PidTagSubject)))`, `(< PidTagReplyTime 2027-01-15T08:00:00Z)`} {
		r, err := parseRestriction(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		wire := oxcdata.AppendRestriction(nil, r)
		if back, err := oxcdata.ParseRestriction(wire); err != nil || string(oxcdata.AppendRestriction(nil, back)) != string(wire) || mapi.CheckRestriction(r) != nil {
			t.Errorf("%s comes back as %v, %v", text, back, err)
		}
	}
	for _, text := range []string{`()`, `(and`, `and`, `(not)`, `(= PidTagNothing 2)`, `(= PidTagImportance x)`, `(like PidTagSubject x)`, `(exist PidTagSubject) x`,
		`(first x (and))`, `(first 1)`, `(= PidTagSubject x y)`, `(not (and) (and))`} {
		if r, err := parseRestriction(text); err == nil {
			t.Errorf("%s is %v", text, r)
		}
	}
}

const sample = `# rows: S1 S2
box alice

deliver subject=one
list Inbox
----
one: -

new Inbox

new Inbox/Below
new Inbox/Below
----
refused: folder exists
`

// TestAScriptIsWrittenAsItIsRead plays a script that says what it should, and writes down what one says that has nothing
// to hold it against.
func TestAScriptIsWrittenAsItIsRead(t *testing.T) {
	text := strings.Replace(sample, "new Inbox\n\n", "", 1)
	if got := newRun(t, Memory(t), false).play(text); got != text {
		t.Errorf("%s", got)
	}
	path := filepath.Join(t.TempDir(), "bare.txt")
	bare := strings.NewReplacer("----\none: -\n", "", "----\nrefused: folder exists\n", "").Replace(text)
	if err := os.WriteFile(path, []byte(bare), 0o600); err != nil {
		t.Fatal(err)
	}
	Play(t, Memory(t), []string{path}, true)
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("written as %s, %v", got, err)
	}
	rows, err := Rows(path)
	if err != nil || fmt.Sprint(rows) != "map[S1:[bare.txt] S2:[bare.txt]]" {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestMistakes: what is wrong with a script is told from what a mailbox says.
func TestMistakes(t *testing.T) {
	r := newRun(t, Memory(t), false)
	r.line("box alice")
	for _, line := range []string{"sing Inbox", "list", "list Inbox colour=red", "message m", "flags Inbox Seen", "set Inbox PidTagSubject", "count Inbox break=kill@9",
		"count Inbox break=kill@x", "table Inbox where=(x)", "search Inbox in=Inbox flags=Odd", "table Inbox kind=round", "entries nothing", "box bert kind=odd", "grant Inbox bert Sing", "rule Inbox x then=sing",
		"junk x", "save m n PidTagSubject=x", "seek Inbox part=x", "expunge Inbox uids=x"} {
		a, err := parseArgs(line)
		if err != nil {
			t.Fatal(err)
		}
		run, err := r.prepare(t.Context(), a)
		if err == nil {
			err = r.perform(run)
		}
		if !isMistake(err) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
