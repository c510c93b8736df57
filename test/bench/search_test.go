package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestSearch: what the full-text index of a folder of 10,000 mails costs and what it saves: a word is found below 10 ms.
// That it takes less than a second in 1,000,000, and how large the index is, is shown by BenchmarkFind of exmdb/fulltext.
func TestSearch(t *testing.T) {
	only(t)
	mails := count("SEARCH_MAILS", 10_000)
	o := newOwned(t)
	o.grow(0, mails)
	without := o.median(5, func() error { o.forget(); return o.find(7919 * 100) })
	ix, err := fulltext.Open(fulltext.Options{Dir: filepath.Join(t.TempDir(), "text")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	}()
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
			box, did, err = s.IndexText(r, ix)
			return err
		})
		for more := did != 0; more && err == nil; {
			more, err = ix.Merge(context.Background(), box, did)
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
