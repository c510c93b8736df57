package fulltext

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

const inbox, archive = mapi.FID(0x0D0001), mapi.FID(0x1E0001)

var box = Mailbox{Space: cluster.SpaceID{1}, Past: mapi.GUID{1}}

func openIn(t testing.TB, fs lsm.FS) *Index {
	t.Helper()
	ix, err := Open(Options{Dir: "index", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func newIndex(t testing.TB) *Index {
	t.Helper()
	ix := openIn(t, lsm.MemFS())
	t.Cleanup(func() { _ = ix.Close() }) // some tests close it themselves
	if err := ix.Adopt(box); err != nil {
		t.Fatal(err)
	}
	return ix
}

// add indexes messages with a text each, as one batch.
func add(t testing.TB, ix *Index, f mapi.FID, synced mapi.Stamp, texts map[mapi.UID]string) {
	t.Helper()
	b, err := ix.Begin(box, f)
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range sorted(texts) {
		b.Message(uid)
		b.Text(Body, texts[uid])
	}
	if err := b.Commit(synced); err != nil {
		t.Fatal(err)
	}
}

func sorted(texts map[mapi.UID]string) []mapi.UID {
	var uids []mapi.UID
	for uid := range texts {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return uids
}

func find(t testing.TB, ix *Index, f mapi.FID, q *Query) []mapi.UID {
	t.Helper()
	found, err := ix.Find(box, f, q)
	if err != nil || found == nil {
		t.Fatalf("found %v, %v", found, err)
	}
	return list(found.UIDs)
}

func list(s *Set) []mapi.UID {
	uids := []mapi.UID{}
	s.Each(func(uid mapi.UID) bool { uids = append(uids, uid); return true })
	return uids
}

// TestFold: whatever one of the comparisons that use the index takes for equal is folded alike, for all runes.
func TestFold(t *testing.T) {
	folded := func(s string) string {
		var out []rune
		for _, r := range s {
			out = appendFolded(out, r)
		}
		return string(out)
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if 0xD800 <= r && r < 0xE000 || r == iotaBelow {
			continue
		}
		alike := []string{string(unicode.ToLower(unicode.ToUpper(r))), norm.NFD.String(string(r)), mapi.Fold(norm.NFD.String(string(r)))}
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			alike = append(alike, string(o))
		}
		own := folded(string(r))
		for _, same := range alike {
			if got := folded(same); got != own && !strings.ContainsRune(same, iotaBelow) {
				t.Errorf("%U %q is folded to %q, and as %q to %q", r, r, own, same, got)
			}
		}
	}
}

// TestSplit: how a text is cut into writes does not matter.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := someText().Draw(t, "text")
		whole, parts := termsOf(text), []string{}
		s := newSplitter(func(term []byte) { parts = append(parts, string(term)) })
		if _, err := io.Copy(s, iotest.OneByteReader(strings.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		s.end()
		if !slices.Equal(whole, parts) {
			t.Fatalf("%q is %q, byte by byte %q", text, whole, parts)
		}
	})
}

func termsOf(text string) []string {
	terms := []string{}
	s := newSplitter(func(term []byte) { terms = append(terms, string(term)) })
	_, _ = s.Write([]byte(text))
	s.end()
	return terms
}

func TestTerms(t *testing.T) {
	long := strings.Repeat("abcdefgh", 8)
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil}, {" ,.;", nil},
		{"Hello, World-42", []string{"hello", "world", "42"}},
		{"GRÜSSE Grüße naïve", []string{"grusse", "gruße", "naive"}},
		{"日本語です。", []string{"日本", "本語", "語て", "てす", "す"}},
		{"A本B", []string{"a", "本", "b"}},
		{long[:32], []string{long[:32]}},
		{long[:33], []string{long[:32], long[24:33]}},
		{long, []string{long[:32], long[24:56], long[48:64]}},
		{"\xffa\xfe", []string{"a"}},
	} {
		if got := termsOf(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q is %q, want %q", c.text, got, c.want)
		}
	}
}

// someRunes are those that fold in odd ways, with some that begin, end and join words.
var someRunes = []rune("abABeEéÉ\u0301sSſßẞiIİıkK\u212aσςΣåÅ日本語かがカーﾊ한글\u0345ιᾳ０1 .-\t\n@_\u00ad\u200dǆǅ")

func someText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		n := rapid.IntRange(0, 6).Draw(t, "words")
		var b strings.Builder
		for range n {
			b.WriteString(string(rapid.SliceOfN(rapid.SampledFrom(someRunes), 1, 8).Draw(t, "runes")))
			if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
				b.WriteString(strings.Repeat("xyzab", rapid.IntRange(5, 20).Draw(t, "times")))
			}
			b.WriteString(rapid.SampledFrom([]string{"", " ", ", "}).Draw(t, "between"))
		}
		return b.String()
	})
}

// levels are all that a client may compare by.
func levels() []mapi.FuzzyLevel {
	var out []mapi.FuzzyLevel
	for _, low := range []mapi.FuzzyLevel{mapi.FuzzyFullString, mapi.FuzzySubstring, mapi.FuzzyPrefix, mapi.FuzzyPrefixOnAnyWord, mapi.FuzzyPhrase} {
		for _, high := range []mapi.FuzzyLevel{0, mapi.FuzzyIgnoreCase, mapi.FuzzyIgnoreNonSpace, mapi.FuzzyIgnoreCase | mapi.FuzzyIgnoreNonSpace, mapi.FuzzyLoose} {
			out = append(out, low|high)
		}
	}
	return out
}

// matches tells by the comparisons themselves whether text has needle.
func matches(text, needle string) string {
	m := mime.NewMatcher(needle)
	_, _ = io.WriteString(m, text)
	if m.Found() {
		return "SEARCH"
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagBody, mapi.String(text))
	for _, level := range levels() {
		r := &mapi.ContentRestriction{Fuzzy: level, Tag: mapi.PidTagBody, Value: mapi.Prop{Tag: mapi.PidTagBody, Value: mapi.String(needle)}}
		if r.Match(&bag) {
			return fmt.Sprintf("level %#x", uint32(level))
		}
	}
	return ""
}

// TestNothingIsMissed holds the index against the comparisons themselves: what they find it finds, however messages came
// into it.
func TestNothingIsMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := lsm.MemFS()
		ix, err := Open(Options{Dir: "index", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ix.Close() }()
		if err := ix.Adopt(box); err != nil {
			t.Fatal(err)
		}
		texts := make(map[mapi.UID]string)
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			b, err := ix.Begin(box, inbox)
			if err != nil {
				t.Fatal(err)
			}
			uid := mapi.UID(len(texts))
			for range rapid.IntRange(1, 4).Draw(t, "messages") {
				uid++
				texts[uid] = someText().Draw(t, "text")
				b.Message(uid)
				if err := b.Copy(Body, strings.NewReader(texts[uid]), 1<<20); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Commit(mapi.Stamp(uid)); err != nil {
				t.Fatal(err)
			}
			if _, err := ix.Merge(context.Background(), box, inbox, func() {}); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			needle := someText().Draw(t, "needle")
			if rapid.Bool().Draw(t, "of a text") {
				needle = part(t, texts[mapi.UID(rapid.IntRange(1, len(texts)).Draw(t, "of"))])
			}
			q := Contains(In(Body), needle)
			if q == nil {
				continue
			}
			found, err := ix.Find(box, inbox, q)
			if err != nil || found == nil {
				t.Fatalf("found %v, %v", found, err)
			}
			for uid, text := range texts {
				if how := matches(text, needle); how != "" && !found.UIDs.Has(uid) {
					t.Fatalf("%q has %q by %s and is not found", text, needle, how)
				}
			}
		}
	})
}

// part is a run of the runes of a text, in another case perhaps.
func part(t *rapid.T, text string) string {
	runes := []rune(text)
	if len(runes) == 0 {
		return ""
	}
	from := rapid.IntRange(0, len(runes)-1).Draw(t, "from")
	out := string(runes[from:rapid.IntRange(from, len(runes)).Draw(t, "to")])
	switch rapid.IntRange(0, 2).Draw(t, "case") {
	case 1:
		return strings.ToUpper(out)
	case 2:
		return norm.NFD.String(out)
	}
	return out
}

// TestWordsAreExact: of words, and of the beginnings of words, the index finds exactly what a plain list of the words of
// each message says, over merges, several folders and a restart.
func TestWordsAreExact(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	vocabulary := []string{"alpha", "alphabet", "beta", "Gamma", "delta", "epsilon", "zeta", "été", "日本", "x"}
	fs := lsm.MemFS()
	ix := openIn(t, fs)
	if err := ix.Adopt(box); err != nil {
		t.Fatal(err)
	}
	texts := map[mapi.FID]map[mapi.UID]string{inbox: {}, archive: {}}
	for round := range 40 {
		for f, known := range texts {
			more := make(map[mapi.UID]string)
			for range rng.IntN(50) {
				var words []string
				for range rng.IntN(4) {
					words = append(words, vocabulary[rng.IntN(len(vocabulary))])
				}
				uid := mapi.UID(len(known) + 1)
				known[uid] = strings.Join(words, " ")
				more[uid] = known[uid]
			}
			add(t, ix, f, mapi.Stamp(len(known)), more)
			for again := true; again; {
				var err error
				if again, err = ix.Merge(context.Background(), box, f, func() {}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if round == 20 {
			if err := ix.Close(); err != nil {
				t.Fatal(err)
			}
			ix = openIn(t, fs)
		}
	}
	defer ix.Close()
	for f, known := range texts {
		for _, w := range append(vocabulary, "alp", "none", "é", "日") {
			compare(t, ix, f, known, w)
		}
	}
}

func compare(t *testing.T, ix *Index, f mapi.FID, known map[mapi.UID]string, w string) {
	t.Helper()
	words, prefixes := []mapi.UID{}, []mapi.UID{}
	for _, uid := range sorted(known) {
		all := strings.Fields(strings.ToLower(known[uid]))
		if slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(norm.NFD.String(s), norm.NFD.String(strings.ToLower(w))) }) {
			prefixes = append(prefixes, uid)
		}
		if slices.Contains(all, strings.ToLower(w)) {
			words = append(words, uid)
		}
	}
	if got := find(t, ix, f, Prefix(In(Body), w)); w != "é" && !slices.Equal(got, prefixes) {
		t.Errorf("beginning with %q in %#x: %d messages, want %d", w, f, len(got), len(prefixes))
	}
	if w == "é" || w == "日" {
		return // marks do not count, and neighbours stand in pairs
	}
	if got := find(t, ix, f, Words(In(Body), w)); !slices.Equal(got, words) {
		t.Errorf("word %q in %#x: %d messages, want %d", w, f, len(got), len(words))
	}
}

func TestQueries(t *testing.T) {
	ix := newIndex(t)
	b, err := ix.Begin(box, inbox)
	if err != nil {
		t.Fatal(err)
	}
	b.Message(3)
	b.Text(Subject, "Quarterly report")
	b.Text(From, "Ann Miller <ann@example.test>")
	b.Message(5)
	b.Text(Subject, "Re: lunch")
	b.Text(Body, "the quarterly numbers, as promised")
	b.Message(70_000)
	b.Partial(Body)
	if err := b.Commit(9); err != nil {
		t.Fatal(err)
	}
	quarterly := Contains(In(Subject, Body), "quarter")
	for i, c := range []struct {
		q    *Query
		want []mapi.UID
	}{
		{quarterly, []mapi.UID{3, 5, 70_000}},
		{Contains(In(Subject), "QUARTERLY REP"), []mapi.UID{3}},
		{Contains(In(Subject), "report quarterly"), []mapi.UID{3}}, // the order is for who looks at the message
		{Contains(In(Subject), "rly"), []mapi.UID{3}},
		{Contains(In(From), "ann@example.test>"), []mapi.UID{3}},
		{All(quarterly, Contains(In(From), "mill")), []mapi.UID{3}},
		{All(quarterly, nil), []mapi.UID{3, 5, 70_000}},
		{Any(Contains(In(From), "mill"), Contains(In(Subject), "lunch")), []mapi.UID{3, 5}},
		{Words(In(Subject), "quarter"), []mapi.UID{}},
		{Words(In(Header), "quarterly"), []mapi.UID{}},
	} {
		if got := find(t, ix, inbox, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%d: found %v, want %v", i, got, c.want)
		}
	}
	for i, q := range []*Query{Contains(In(Body), ""), Contains(In(Body), "., -"), Contains(In(Body), "\xff"), Any(quarterly, nil), Any(), All(nil), All()} {
		if found, err := ix.Find(box, inbox, q); q != nil || found != nil || err != nil {
			t.Errorf("%d: what cannot be narrowed is %v, found %v, %v", i, q, found, err)
		}
	}
}

// TestPasts: what was indexed of another past of a mailbox, or of a folder that is not indexed, is not found.
func TestPasts(t *testing.T) {
	ix := newIndex(t)
	add(t, ix, inbox, 4, map[mapi.UID]string{1: "word"})
	q := Words(In(Body), "word")
	restored := Mailbox{box.Space, mapi.GUID{2}}
	for _, c := range []struct {
		m Mailbox
		f mapi.FID
	}{{restored, inbox}, {box, archive}, {Mailbox{cluster.SpaceID{2}, box.Past}, inbox}} {
		if found, err := ix.Find(c.m, c.f, q); found != nil || err != nil {
			t.Errorf("%v: found %v, %v", c, found, err)
		}
	}
	if err := ix.Adopt(box); err != nil {
		t.Fatal(err)
	}
	if got := find(t, ix, inbox, q); len(got) != 1 {
		t.Fatalf("adopted again: %v", got)
	}
	if err := ix.Adopt(restored); err != nil {
		t.Fatal(err)
	}
	if found, err := ix.Find(restored, inbox, q); found != nil || err != nil {
		t.Fatalf("after another past: found %v, %v", found, err)
	}
	if spaces, err := ix.Spaces(); err != nil || !slices.Equal(spaces, []cluster.SpaceID{box.Space}) {
		t.Fatalf("spaces %v, %v", spaces, err)
	}
	if err := ix.Drop(box.Space); err != nil {
		t.Fatal(err)
	}
	if spaces, err := ix.Spaces(); err != nil || len(spaces) != 0 {
		t.Fatalf("spaces %v, %v", spaces, err)
	}
}

// TestMergeBegunAnew: a merge that ends in the middle costs nothing of what is found, and the next one removes what it
// left.
func TestMergeBegunAnew(t *testing.T) {
	ix := newIndex(t)
	for i := range mergeWidth {
		add(t, ix, inbox, mapi.Stamp(i+1), map[mapi.UID]string{mapi.UID(i + 1): fmt.Sprint("word w", i)})
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ix.Merge(ended, box, inbox, func() {}); !errors.Is(err, context.Canceled) {
		t.Fatalf("ended merge: %v", err)
	}
	q := Words(In(Body), "word")
	if got := find(t, ix, inbox, q); len(got) != mergeWidth {
		t.Fatalf("found %v", got)
	}
	for _, want := range []bool{true, false} {
		if more, err := ix.Merge(context.Background(), box, inbox, func() {}); more != want || err != nil {
			t.Fatalf("merged %v, %v; want %v", more, err, want)
		}
	}
	if got := find(t, ix, inbox, q); len(got) != mergeWidth {
		t.Fatalf("found %v", got)
	}
	if runs, err := runsOf(ix.db, box.Space, inbox); err != nil || len(runs) != 1 || runs[0].count != mergeWidth {
		t.Fatalf("runs %v, %v", runs, err)
	}
	if b, err := ix.Begin(box, inbox); err != nil || b.Synced() != mergeWidth || b.Last() != mergeWidth || b.Wasteful(0) {
		t.Fatalf("batch %+v, %v", b, err)
	}
}

// TestCrash: after a power cut the index is of some state that it was in, with its stamp.
func TestCrash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	fs := lsm.CrashableMemFS()
	ix := openIn(t, fs)
	defer ix.Close()
	if err := errors.Join(ix.Adopt(box), ix.Flush()); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		add(t, ix, inbox, mapi.Stamp(i+1), map[mapi.UID]string{mapi.UID(i + 1): "word"})
		if rng.IntN(4) == 0 {
			if err := ix.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ix.Merge(context.Background(), box, inbox, func() {}); err != nil {
			t.Fatal(err)
		}
		after := openIn(t, fs.CrashClone(rng, rng.IntN(101)))
		found, err := after.Find(box, inbox, Words(In(Body), "word"))
		if err != nil {
			t.Fatal(err)
		}
		if found != nil && found.UIDs.Len() != int(found.Synced) {
			t.Fatalf("up to %d there are %d messages", found.Synced, found.UIDs.Len())
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherVersion: an index that is damaged, or of another version, begins anew.
func TestOtherVersion(t *testing.T) {
	for _, spoil := range []func(*Index) error{
		func(ix *Index) error { return errors.Join(ix.putVersion(formatVersion+1), ix.Close()) },
		func(ix *Index) error {
			_ = ix.noticed(malformed("test"))
			if err := ix.Close(); !errors.Is(err, ErrFailed) {
				return fmt.Errorf("closed: %w", err)
			}
			return nil
		},
	} {
		fs := lsm.MemFS()
		ix := openIn(t, fs)
		if err := ix.Adopt(box); err != nil {
			t.Fatal(err)
		}
		add(t, ix, inbox, 1, map[mapi.UID]string{1: "word"})
		if err := spoil(ix); err != nil {
			t.Fatal(err)
		}
		again := openIn(t, fs)
		if spaces, err := again.Spaces(); err != nil || len(spaces) != 0 {
			t.Fatalf("spaces %v, %v", spaces, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWasteful(t *testing.T) {
	ix := newIndex(t)
	texts := make(map[mapi.UID]string)
	for i := range mapi.UID(1900) {
		texts[i+1] = "word"
	}
	add(t, ix, inbox, 1, texts)
	for present, want := range map[uint64]bool{3000: false, 1900: false, 1000: false, 900: false, 899: true, 0: true} {
		b, err := ix.Begin(box, inbox)
		if err != nil || b.Wasteful(present) != want {
			t.Errorf("with %d present wasteful %v, %v; want %v", present, b.Wasteful(present), err, want)
		}
	}
	if err := ix.DropFolder(box, inbox); err != nil {
		t.Fatal(err)
	}
	if folders, err := ix.Folders(box.Space); err != nil || len(folders) != 0 {
		t.Errorf("folders %v, %v", folders, err)
	}
}

// TestAddAll: ranges are what their UIDs are one by one, at the ends of words and chunks too.
func TestAddAll(t *testing.T) {
	const end = 1<<32 - 1
	for _, r := range [][2]mapi.UID{{1, 1}, {0, 63}, {64, 127}, {63, 64}, {5, 700}, {65_530, 65_540}, {1, 200_000}, {7, 6}, {end - 70, end}, {end, end}} {
		got, want := NewSet(), NewSet()
		got.AddAll(r[0], r[1])
		for uid := uint64(r[0]); uid <= uint64(r[1]); uid++ {
			want.Add(mapi.UID(uid))
		}
		if !slices.Equal(list(got), list(want)) {
			t.Errorf("%d to %d: %d UIDs, want %d", r[0], r[1], got.Len(), want.Len())
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(runKey(prefixTerm, box.Space, inbox, 1), []byte{1, 2, 3})
	f.Add(appendPostings(nil, []uint32{1, 5, 1 << 31}), []byte{0x80})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		defer testkit.Bounded(t)()
		if len(key) >= uidLen {
			last, n := int64(-1), 0
			err := eachPosting(key, value, func(uid uint32) {
				if int64(uid) <= last {
					t.Fatalf("%d after %d", uid, last)
				}
				last, n = int64(uid), n+1
			})
			if err == nil && n > len(value)+1 {
				t.Fatalf("%d messages in %d bytes", n, len(value))
			}
		}
		c := &cursor{rest: value, it: new(lsm.Iter)}
		for left := len(c.rest); left > 0 && c.next(); left = len(c.rest) {
			if len(c.rest) >= left {
				t.Fatalf("%d bytes of a block are left of %d", len(c.rest), left)
			}
		}
		if r, err := decodeFolder(value); err == nil {
			if again, err := decodeFolder(r.encode()); err != nil || again != r {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}
