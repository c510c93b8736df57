package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit/imapowner"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestSearch: what the full-text index of a folder of 10,000 mails costs and what it saves: a word is found below 10 ms.
// TestSearchOfAMillion has many more.
func TestSearch(t *testing.T) {
	only(t)
	mails := count("SEARCH_MAILS", 10_000)
	o := newOwned(t)
	o.grow(0, mails)
	without := o.median(5, func() error { o.forget(); return o.find(7919 * 100) })
	ix := newText(t)
	begin := time.Now()
	o.index(ix)
	took := time.Since(begin)
	n := 0
	next := func() int { n++; return n * 7919 } // each is in five subjects, and no search is the same again
	narrowed := o.median(200, func() error { return o.narrow(fmt.Sprint(next())) })
	part := o.median(50, func() error { return o.narrow(fmt.Sprint(next())[1:]) })
	with := o.median(50, func() error { o.serveWith(ix); return o.find(next()) })
	devtest.Record(t, "search", map[string]any{"mails": mails, "indexed, µs a mail": took.Microseconds() / int64(mails),
		"delivery of 4 KiB at the owner alone, ms": o.median(200, o.deliver), "word, ms": narrowed, "part of a word, ms": part,
		"table of a word, ms": with, "table of a word without index, ms": without})
	if mails == 10_000 && narrowed > 10 {
		t.Errorf("a word takes %.1f ms", narrowed)
	}
}

// newText is an index in files.
func newText(t *testing.T) *fulltext.Index {
	t.Helper()
	ix, err := fulltext.Open(fulltext.Options{Dir: filepath.Join(t.TempDir(), "text")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix
}

// vocabulary is words that mails are made of, each as common as words are: the n-th comes about once in n.
type vocabulary struct {
	zipf  *rand.Zipf
	words []string
}

func newVocabulary(words int) *vocabulary {
	random := rand.New(rand.NewPCG(1, 2))
	v := &vocabulary{zipf: rand.NewZipf(random, 1.07, 4, uint64(words-1))}
	for i := range words {
		word := ""
		for range 1 + random.IntN(3) {
			word += string("bdfgklmnprst"[random.IntN(12)]) + string("aeiou"[random.IntN(5)])
		}
		v.words = append(v.words, fmt.Sprintf("%s%x", word, i))
	}
	return v
}

// text is a mail's, of thirty words.
func (v *vocabulary) text(int) string {
	var b strings.Builder
	for i := range 30 {
		if b.WriteString(v.words[v.zipf.Uint64()]); i%10 == 9 {
			b.WriteString("\r\n")
			continue
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// asked is how long a question took that is about a word, and to how many mails it led.
type asked struct {
	took  []time.Duration
	found int
}

// TestSearchOfAMillion: a word in a folder of 1,000,000 small mails is found below a second, in which nothing is remembered
// that was found before: by the index of its owner, and by UID SEARCH TEXT of a client over a socket, which looks for a part
// of a word and reads each mail that may have it.
func TestSearchOfAMillion(t *testing.T) {
	only(t)
	mails := count("SEARCH_MILLION", 1_000_000)
	o, v := newOwned(t), newVocabulary(200_000)
	o.text = v.text
	begin := time.Now()
	o.grow(0, mails)
	results := map[string]any{"mails": mails, "brought in, s": time.Since(begin).Seconds()}
	ix := newText(t)
	begin = time.Now()
	o.index(ix)
	results["indexed, µs a mail"] = time.Since(begin).Microseconds() / int64(mails)
	if err := ix.Flush(); err != nil {
		t.Fatal(err)
	}
	results["index, bytes a mail"] = int(ix.Size()) / mails
	client := imapowner.Client(t, owner{o}, o.box, nil)
	if box, err := client.Select("INBOX", nil).Wait(); err != nil || int(box.NumMessages) != mails {
		t.Fatalf("%+v, %v", box, err)
	}
	for name, rank := range map[string]int{"a rare word": 150_000, "a word of one mail in a thousand": 3000} {
		var owners, clients asked
		for i := range 5 {
			word := v.words[rank+i]
			owners.ask(t, func() (int, error) { return 0, o.narrow(word) })
			clients.ask(t, func() (int, error) { return searchText(client, word) })
		}
		if clients.found == 0 {
			t.Errorf("%s is in no mail", name)
		}
		results[name] = map[string]any{"index of the owner": spread(owners.took), "UID SEARCH TEXT": spread(clients.took), "mails with five": clients.found}
		for _, took := range slices.Concat(owners.took, clients.took) {
			if took > time.Second {
				t.Errorf("%s took %v", name, took)
			}
		}
	}
	var owners, clients asked
	owners.ask(t, func() (int, error) { return 0, o.narrow(v.words[30]) })
	clients.ask(t, func() (int, error) { return searchText(client, v.words[30]) }) // as long as it takes to read these mails
	results["a word of many mails"] = map[string]any{"index of the owner": spread(owners.took), "UID SEARCH TEXT": spread(clients.took), "mails": clients.found}
	if took := owners.took[0]; took > time.Second {
		t.Errorf("a word of many mails took %v", took)
	}
	devtest.Record(t, "search-million", results)
}

func (a *asked) ask(t *testing.T, fn func() (int, error)) {
	t.Helper()
	begin := time.Now()
	found, err := fn()
	if err != nil {
		t.Fatal(err)
	}
	a.took, a.found = append(a.took, time.Since(begin)), a.found+found
}

func searchText(client *imapclient.Client, word string) (int, error) {
	found, err := client.UIDSearch(&imap.SearchCriteria{Text: []string{word}}, nil).Wait()
	if err != nil {
		return 0, err
	}
	return len(found.AllUIDs()), nil
}

// serveWith has the ops served by an owner that is new and has an index.
func (o *owned) serveWith(ix *fulltext.Index) {
	config := store.Defaults()
	config.Text = ix
	for _, h := range store.New(config).Handlers() {
		o.handlers[h.ID] = h
	}
}

// index indexes everything there is.
func (o *owned) index(ix *fulltext.Index) {
	o.t.Helper()
	s := store.New(store.Defaults())
	for {
		var box fulltext.Mailbox
		var did mapi.FID
		err := o.rep.Machine().View(cluster.SpaceID(o.box), func(r space.Reader) (err error) {
			box, did, err = s.IndexText(r, ix, time.Time{})
			return err
		})
		for more := did != 0; more && err == nil; {
			more, err = ix.Merge(context.Background(), box, did, func() {})
		}
		if err != nil {
			o.t.Fatal(err)
		}
		if did == 0 {
			o.serveWith(ix)
			return
		}
	}
}

func (o *owned) narrow(text string) error {
	resp, err := exmdb.Do(o.t.Context(), o, exmdb.System, o.box, exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: schema.Inbox,
		Query: exmdb.TextQuery{Fields: exmdb.TextSubject | exmdb.TextBody, Text: text}})
	if err == nil && !resp.Known {
		err = fmt.Errorf("%q is not narrowed", text)
	}
	return err
}

// find makes the table of the mails about one meeting.
func (o *owned) find(meeting int) error {
	spec := newest
	tag := mapi.PidTagSubject
	spec.Restriction = oxcdata.AppendRestriction(nil, &mapi.ContentRestriction{Fuzzy: mapi.FuzzyPhrase | mapi.FuzzyIgnoreCase, Tag: tag,
		Value: mapi.Prop{Tag: tag, Value: mapi.String(fmt.Sprint("meeting ", meeting))}})
	resp, err := o.table().Rows(o.t.Context(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec, Columns: listed}, From: atBeginning, Count: 50})
	if err == nil && len(resp.Rows) != 5 {
		err = fmt.Errorf("%d mails about meeting %d", len(resp.Rows), meeting)
	}
	return err
}
