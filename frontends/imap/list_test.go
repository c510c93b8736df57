package imap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestUIDList holds a list of runs against a plain list of numbers.
func TestUIDList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var model []mapi.UID
		var l uidList
		next := mapi.UID(1)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "add") || len(model) == 0 {
				next += mapi.UID(rapid.IntRange(0, 3).Draw(t, "gap"))
				last := next + mapi.UID(rapid.IntRange(0, 5).Draw(t, "more"))
				l.add(exmdb.UIDRange{First: next, Last: last})
				for ; next <= last; next++ {
					model = append(model, next)
				}
				continue
			}
			var gone []exmdb.UIDRange
			for range rapid.IntRange(1, 4).Draw(t, "ranges") {
				first := mapi.UID(rapid.Uint32Range(1, uint32(next)).Draw(t, "first"))
				gone = append(gone, exmdb.UIDRange{First: first, Last: first + mapi.UID(rapid.IntRange(0, 6).Draw(t, "len"))})
			}
			gone = mergeUIDs(gone)
			model = slices.DeleteFunc(model, func(u mapi.UID) bool { return in(gone, u) })
			l.remove(gone)
		}
		if int(l.count()) != len(model) {
			t.Fatalf("%d instead of %d", l.count(), len(model))
		}
		for i, u := range model {
			if l.uid(uint32(i+1)) != u || l.seq(u) != uint32(i+1) {
				t.Fatalf("number %d is UID %d (%d), not %d", i+1, l.uid(uint32(i+1)), l.seq(u), u)
			}
		}
		for u := mapi.UID(0); u < next+2; u++ {
			if (l.seq(u) != 0) != slices.Contains(model, u) {
				t.Fatalf("UID %d: number %d", u, l.seq(u))
			}
		}
	})
}

func TestUIDListHighestUID(t *testing.T) {
	l := newUIDList([]exmdb.UIDRange{{First: 5, Last: maxUID}})
	l.remove([]exmdb.UIDRange{{First: maxUID, Last: maxUID}})
	if l.highest() != maxUID-1 {
		t.Errorf("highest is %d", l.highest())
	}
	l.remove([]exmdb.UIDRange{{First: 7, Last: maxUID}})
	if l.count() != 2 {
		t.Errorf("%d left", l.count())
	}
}

// TestMatch holds patterns against regular expressions.
func TestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab/%*]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab/]{0,8}`).Draw(t, "name")
		expr := "^" + strings.NewReplacer("*", "(?:.*)", "%", "[^/]*").Replace(pattern) + "$"
		if got, want := match(pattern, name), regexp.MustCompile(expr).MatchString(name); got != want {
			t.Fatalf("%q on %q: %v", pattern, name, got)
		}
	})
}

func TestSlashInAName(t *testing.T) {
	tree := newTree(&exmdb.ListFoldersResponse{IPM: fakeIPM, Folders: []exmdb.Folder{
		{FID: 1<<48 | 500, Parent: fakeIPM, Name: "a/b", IMAP: true},
		{FID: 1<<48 | 501, Parent: 1<<48 | 500, Name: "c", IMAP: true},
		{FID: 1<<48 | 502, Parent: 1<<48 | 77, Name: "outside", IMAP: true},
	}}, false)
	if n := tree.find("a∕b/c"); n == nil || len(tree.nodes) != 2 {
		t.Errorf("%d folders, found %v", len(tree.nodes), n)
	}
	if mapiName("a∕b") != "a/b" {
		t.Error("the slash does not come back")
	}
}

// TestSearchFoldersAreHidden: also where IMAP shows all folders.
func TestSearchFoldersAreHidden(t *testing.T) {
	tree := newTree(&exmdb.ListFoldersResponse{IPM: fakeIPM, Folders: []exmdb.Folder{
		{FID: 1<<48 | 500, Parent: fakeIPM, Name: "calendar"}, {FID: 1<<48 | 501, Parent: 1<<48 | 500, Name: "found", Search: true},
	}}, true)
	if n, err := tree.shownNode("calendar"); err != nil || n.children {
		t.Errorf("the folder above: %+v, %v", n, err)
	}
	if n, err := tree.shownNode("calendar/found"); err == nil {
		t.Errorf("%+v can be selected", n)
	}
}

// TestEveryKindHasWords: no kind that a mailbox can refuse with shows as an internal error.
func TestEveryKindHasWords(t *testing.T) {
	notHere := []cluster.Kind{exmdb.KindMailboxExists, exmdb.KindExists, exmdb.KindInUse, exmdb.KindBadAddress}
	for k := exmdb.KindNoMailbox; k <= exmdb.KindBadAddress; k++ {
		r := statusOf(fmt.Errorf("wrapped: %w", &cluster.Error{Kind: k, Text: "secret"}))
		if strings.Contains(r.text+r.code, "secret") {
			t.Errorf("kind %d shows its text", k)
		}
		if _, ok := kinds()[k]; !ok && !slices.Contains(notHere, k) {
			t.Errorf("kind %d has no words", k)
		}
	}
}

func TestContained(t *testing.T) {
	err := contained(func() error { var rows []int; _ = rows[len(t.Name())]; return nil })
	if r := statusOf(err); r.code != "SERVERBUG" || r.text != "Internal error" {
		t.Errorf("a bug answers %+v", r)
	}
}

func TestConfig(t *testing.T) {
	if err := (Config{}).Defaults().Validate(); err == nil {
		t.Error("a server where nobody can sign in is accepted")
	}
	for _, c := range []Config{{MaxLine: 100}, {MaxMessage: 1 << 40}, {MaxConnections: -1}} {
		c.AllowPlaintext = true
		if err := c.Defaults().Validate(); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if err := (Config{AllowPlaintext: true}).Defaults().Validate(); err != nil {
		t.Error(err)
	}
}
