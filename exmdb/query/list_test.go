package query

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestListsAgainstSlices merges batches into a list and into a slice.
func TestListsAgainstSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &list{reversed: rapid.Bool().Draw(t, "reversed")}
		var want []entry
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			gone := make(map[uint64]bool)
			for _, id := range rapid.SliceOfN(rapid.Uint64Range(1, 3000), 0, 40).Draw(t, "gone") {
				gone[id] = true
			}
			var added []entry
			n, step := rapid.IntRange(0, 1500).Draw(t, "added"), rapid.Uint64Range(1, 7).Draw(t, "step")
			for i := range uint64(n) {
				id := 1 + i*step%3000
				if slices.ContainsFunc(added, func(e entry) bool { return e.id == id }) {
					continue
				}
				gone[id] = true // what is merged again replaces what was there
				added = append(added, entry{key: fmt.Appendf(nil, "key %d", id*7%50), id: id, unread: id%3 == 0})
				if id%5 == 0 {
					added = append(added, entry{key: []byte("zz"), id: id, instance: 1})
				}
			}
			less := func(a, b entry) int { return l.compare(&a, &b) }
			slices.SortFunc(added, less)
			want = append(slices.DeleteFunc(want, func(e entry) bool { return gone[e.id] }), added...)
			slices.SortFunc(want, less)
			before := l.len()
			merged := merged(t, l, added, gone)
			if l.len() != before {
				t.Fatal("the list of before has changed")
			}
			l = merged
			checkList(t, l, want)
		}
	})
}

func merged(t failer, l *list, added []entry, gone map[uint64]bool) *list {
	more, err := l.merge(added, gone)
	if err != nil {
		t.Fatal(err)
	}
	return more
}

type failer interface{ Fatal(...any) }

func entryAt(t failer, l *list, i int) entry {
	e, err := l.entry(i)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func checkList(t *rapid.T, l *list, want []entry) {
	if l.len() != len(want) {
		t.Fatalf("%d entries, want %d", l.len(), len(want))
	}
	equal := func(a, b *entry) bool { return l.compare(a, b) == 0 && a.unread == b.unread }
	at := 0
	err := l.walk(0, false, func(i int, e *entry) bool {
		if i != at || !equal(e, &want[i]) {
			t.Fatalf("entry %d is %+v, want %+v", i, e, want[i])
		}
		at++
		return true
	})
	err = errors.Join(err, l.walk(l.len(), true, func(i int, e *entry) bool {
		at--
		return i == at && equal(e, &want[i])
	}))
	if err != nil {
		t.Fatal(err)
	}
	if at != 0 {
		t.Fatalf("backward the walk ends at %d", at)
	}
	small := 0
	for _, c := range l.chunks {
		if c.n > chunkEntries || c.n == 0 {
			t.Fatalf("chunk of %d", c.n)
		}
		if c.n < chunkEntries/4 {
			small++
		}
	}
	if small > 1+len(l.chunks)/2 {
		t.Fatalf("%d of %d chunks are small", small, len(l.chunks))
	}
	for i := 0; i < len(want); i += 1 + len(want)/20 {
		e := entryAt(t, l, i)
		if at, err := l.search(&want[i]); err != nil || at != i || !equal(&e, &want[i]) {
			t.Fatalf("entry %d is found at %d, %v", i, at, err)
		}
	}
}

// TestMergeSharesChunks: one more entry writes one chunk, however long the list is.
func TestMergeSharesChunks(t *testing.T) {
	var all []entry
	for i := range uint64(50_000) {
		all = append(all, entry{key: fmt.Appendf(nil, "%08d", 2*i), id: i + 1})
	}
	l := merged(t, new(list), all, nil)
	more := merged(t, l, []entry{{key: []byte("00050001"), id: 60_000}}, map[uint64]bool{7: true})
	old := make(map[*chunk]bool)
	for _, c := range l.chunks {
		old[c] = true
	}
	fresh := 0
	for _, c := range more.chunks {
		if !old[c] {
			fresh++
		}
	}
	if more.len() != l.len() || fresh > 3 {
		t.Fatalf("%d of %d chunks were written", fresh, len(more.chunks))
	}
	if perEntry := l.size() / l.len(); perEntry > 24 {
		t.Fatalf("%d bytes an entry", perEntry)
	}
}

// TestRunsAreMerged: many sorted runs become one list, in steps.
func TestRunsAreMerged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reversed := rapid.Bool().Draw(t, "reversed")
		var lists []*list
		var want []entry
		id := uint64(0)
		for range rapid.IntRange(0, 9).Draw(t, "runs") {
			l := &list{reversed: reversed}
			var run []entry
			for range rapid.IntRange(0, 700).Draw(t, "entries") {
				id++
				run = append(run, entry{key: fmt.Appendf(nil, "%d", id*31%97), id: id})
			}
			slices.SortFunc(run, func(a, b entry) int { return l.compare(&a, &b) })
			lists = append(lists, merged(t, l, run, nil))
			want = append(want, run...)
		}
		m := newMerger(reversed, lists)
		step := rapid.IntRange(1, 900).Draw(t, "step")
		for left := step; !m.advance(func() bool { left--; return left > 0 }); left = step {
			if m.size() <= 0 {
				t.Fatal("entries that are on their way have no size")
			}
		}
		got := m.out.finish()
		slices.SortFunc(want, func(a, b entry) int { return got.compare(&a, &b) })
		checkList(t, got, want)
	})
}
