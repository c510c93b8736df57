package store

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// searched is an owner of a mailbox that has a full-text index.
type searched struct {
	*owner
	ix *fulltext.Index
}

func (b *box) searched(step time.Duration, batch int) *searched {
	b.t.Helper()
	ix, err := fulltext.Open(fulltext.Options{Dir: "text", FS: lsm.MemFS()})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			b.t.Error(err)
		}
	})
	o := b.newOwner(step)
	config := o.store.config
	config.Text, config.TextBatch = ix, batch
	o.serve(New(config))
	return &searched{o, ix}
}

// walking has one request walk over so many changes.
func (s *searched) walking(steps int) *searched {
	config := s.store.config
	config.TextWalk = steps
	s.serve(New(config))
	return s
}

// index takes so many steps, or all there are, and reports how many there were.
func (s *searched) index(steps int) (taken int) {
	s.t.Helper()
	for ; taken != steps; taken++ {
		var did mapi.FID
		var m fulltext.Mailbox
		err := s.rep.View(context.Background(), s.id, space.ReadLocal, func(r space.Reader) (err error) {
			m, did, err = s.store.IndexText(r, s.ix, time.Time{})
			return err
		})
		if err == nil && did != 0 {
			_, err = s.ix.Merge(context.Background(), m, did, func() {})
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if did == 0 {
			return taken
		}
	}
	return taken
}

// narrow asks until it has the answer.
func (s *searched) narrow(fid mapi.FID, q exmdb.TextQuery) *exmdb.NarrowResponse {
	s.t.Helper()
	resp := &exmdb.NarrowResponse{Again: true}
	for resp.Again {
		var err error
		resp, err = exmdb.Do(context.Background(), s.owner, s.as, mapi.MailboxID(s.id), exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: fid, Query: q})
		if err != nil || resp.Again && (resp.Known || len(resp.UIDs) > 0) {
			s.t.Fatal(resp, err)
		}
	}
	return resp
}

func uidsOf(ranges []exmdb.UIDRange) []mapi.UID {
	uids := []mapi.UID{}
	for _, r := range ranges {
		for uid := r.First; uid <= r.Last; uid++ {
			uids = append(uids, uid)
		}
	}
	return uids
}

// TestIndexingComesToAnEnd: a folder that most mail has left is indexed anew once, though what left did so behind the first step
// of that.
func TestIndexingComesToAnEnd(t *testing.T) {
	b := newBox(t, 0)
	s := b.searched(0, 1)
	b.correspond(4000)
	s.index(-1)
	call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: []exmdb.UIDRange{{First: 1, Last: 3400}}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagDeleted}})
	for b.folder(schema.Inbox).Messages > 600 {
		call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	}
	b.correspond(100)
	if steps := s.index(50); steps < 2 || steps > 10 {
		t.Errorf("%d steps", steps)
	}
}

// TestTextNarrowsTables holds restricted tables of a mailbox with an index, which random ops leave behind, against all
// messages one by one; among them are a restore of the mailbox and the loss of the index.
func TestTextNarrowsTables(t *testing.T) {
	b := newBox(t, 0)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	folders := []mapi.FID{b.newBelow(schema.IPMSubtree, "one"), schema.Inbox}
	owners := []*searched{b.searched(time.Nanosecond, 1).walking(5), b.searched(0, 5)}
	restrictions := []mapi.Restriction{
		textIn(mapi.PidTagSubject, "a"), textIn(mapi.PidTagSubject, "B 3"), is(mapi.RelOpEQ, mapi.PidTagSubject, mapi.String("c 1")),
		textIn(mapi.PidTagDisplayTo, "b"), is(mapi.RelOpNE, mapi.PidTagSubject, mapi.String("c 1")),
		mapi.OrRestriction{textIn(mapi.PidTagSubject, "a 1"), textIn(mapi.PidTagSubject, "b 2")},
		mapi.AndRestriction{textIn(mapi.PidTagSubject, "a"), is(mapi.RelOpGE, mapi.PidTagImportance, mapi.Integer32(1))},
		mapi.AndRestriction{textIn(mapi.PidTagSubject, "b"), &mapi.NotRestriction{Of: textIn(mapi.PidTagSubject, "3")}},
	}
	for _, level := range []mapi.FuzzyLevel{mapi.FuzzyFullString, mapi.FuzzyPrefix | mapi.FuzzyLoose, mapi.FuzzyPrefixOnAnyWord, mapi.FuzzyPhrase | mapi.FuzzyIgnoreNonSpace} {
		restrictions = append(restrictions, &mapi.ContentRestriction{Fuzzy: level, Tag: mapi.PidTagSubject, Value: mapi.Prop{Tag: mapi.PidTagSubject, Value: mapi.String("b 2")}})
	}
	rounds := 120
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		for range rnd.IntN(12) {
			b.churn(rnd, folders[rnd.IntN(len(folders))])
		}
		if rnd.IntN(40) == 0 {
			b.raiseEpoch()
		}
		o := owners[rnd.IntN(len(owners))]
		o.index(rnd.IntN(4))
		if rnd.IntN(30) == 0 {
			if err := o.ix.Drop(b.id); err != nil {
				t.Fatal(err)
			}
		}
		fid, r := folders[rnd.IntN(len(folders))], restrictions[rnd.IntN(len(restrictions))]
		spec := restricted(contentsOf(fid, asc(mapi.PidTagSubject)), r)
		var got []uint64
		for _, row := range o.readTable(spec, 7, mapi.PidTagInstID) {
			got = append(got, row.ID.ID)
		}
		if want := b.plainTable(t, spec); !slices.Equal(got, want) {
			t.Fatalf("round %d: %v of folder %#x: rows %v, want %v", round, r, fid, got, want)
		}
	}
}

// TestTextOfOtherBodies: a message that has only HTML, or only RTF, is found by what that shows, with an index and without.
func TestTextOfOtherBodies(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 1)
	html := bagOf(mapi.PidTagSubject, mapi.String("html"), mapi.PidTagInternetCodepage, mapi.Integer32(28591),
		mapi.PidTagHtml, mapi.Binary("<style>hidden</style><p class=harbour>Gr\xf6&szlig;e <b>Wall</b>paper<td>cell"))
	rich := bagOf(mapi.PidTagSubject, mapi.String("rtf"), mapi.PidTagRtfCompressed, mapi.Binary(rtf.Compress([]byte(`{\rtf1\ansi harbour {\b Wall}paper\par cell}`))))
	hidden := bagOf(mapi.PidTagSubject, mapi.String("html in rtf"), mapi.PidTagRtfCompressed, mapi.Binary(rtf.Compress(rtf.FromHTML("<p title='harbour'>Gr&ouml;\u00dfe<br>cell</p>"))))
	long := bagOf(mapi.PidTagSubject, mapi.String("long"), mapi.PidTagHtml, mapi.Binary("<p>"+strings.Repeat("much <i>text</i> ", 5000)+"wallpaper"))
	for _, bag := range []mapi.PropBag{html, rich, hidden, long, bagOf(mapi.PidTagSubject, mapi.String("none"))} {
		b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: bag}})
	}
	mail := b.deliver(text("Subject: mail\r\nContent-Type: text/html\r\n\r\n<p>gr&ouml;\u00dfe wallpaper</p>")) // not converted: it has octets only
	o.index(10)
	for needle, want := range map[string][]string{"wallpaper": {"html", "long", "rtf"}, "gr\u00f6\u00dfe": {"html", "html in rtf"}, "cell": {"html", "html in rtf", "rtf"},
		"papercell": nil, "harbour": {"rtf"}, "hidden": nil, "class": nil} {
		spec := restricted(contentsOf(schema.Inbox, asc(mapi.PidTagSubject)), textIn(mapi.PidTagBody, needle))
		for name, who := range map[string]*owner{"index": o.owner, "none": b.newOwner(0)} {
			var got []string
			for _, row := range who.readTable(spec, 7, mapi.PidTagSubject) {
				subject, _ := row.Props.Get(mapi.PidTagSubject).(mapi.String)
				got = append(got, string(subject))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %q: %q, want %q", name, needle, got, want)
			}
		}
	}
	for needle, want := range map[string]bool{"wallpaper": true, "gr\u00f6\u00dfe wall": true, "<p>": false} {
		resp := o.narrow(schema.Inbox, exmdb.TextQuery{Fields: exmdb.TextBody, Text: needle})
		if found := slices.Contains(uidsOf(resp.UIDs), mail.UID); resp.Known && found != want {
			t.Errorf("%q: %+v", needle, resp)
		}
	}
}

// mails are messages that SEARCH reads in different ways.
func mails(rnd *rand.Rand, words []string) string {
	word := func() string { return words[rnd.IntN(len(words))] }
	header := fmt.Sprintf("From: %s <%s@example.test>\r\nTo: %s@example.test\r\nSubject: %s %s\r\nX-Note: %s\r\n", word(), word(), word(), word(), word(), word())
	switch rnd.IntN(4) {
	case 0:
		return header + "\r\n" + word() + " " + word() + "\r\n"
	case 1:
		return header + "Subject: =?utf-8?q?=C3=9Cber_" + word() + "?=\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + word() + "=\r\n" + word() + "\r\n"
	case 2:
		return header + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p title=" + word() + ">" + word() + "<b>" + word() + "</b></p>" + word() + "<!--" + word() + "-->&eacute;\r\n--b\r\n" +
			"Content-Type: application/pdf; name=\"" + word() + ".pdf\"\r\n\r\n" + word() + "\r\n--b--\r\n"
	}
	return header + "Content-Type: message/rfc822\r\n\r\nSubject: " + word() + "\r\n\r\n" + word() + "\r\n"
}

// TestNarrowMissesNothing holds what OpNarrow names against SEARCH over the octets of every message, and sees that it
// narrows.
func TestNarrowMissesNothing(t *testing.T) {
	b := newBox(t, 0)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	words := strings.Fields("alpha alphabet Beta gamma étude ÉTUDE Straße STRASSE 日本語 report-2024 invoice.final quarter x1 " + strings.Repeat("longword", 8))
	o := b.searched(0, 4).walking(2)
	all := make(map[mapi.UID]string)
	fields := map[exmdb.TextFields]mime.SearchScope{
		exmdb.TextBody | exmdb.TextPart: mime.InBody,
		exmdb.TextSubject | exmdb.TextFrom | exmdb.TextTo | exmdb.TextBody | exmdb.TextHeader | exmdb.TextPart: mime.InHeaderOrBody,
	}
	narrower := 0
	for range 40 {
		for range rnd.IntN(8) {
			m := mails(rnd, words)
			all[b.deliver(text(m)).UID] = m
		}
		o.index(rnd.IntN(3))
		needle := words[rnd.IntN(len(words))]
		if cut := rnd.IntN(3); cut > 0 {
			runes := []rune(needle)
			needle = string(runes[len(runes)/3 : len(runes)-rnd.IntN(2)])
		}
		for in, scope := range fields {
			resp := o.narrow(schema.Inbox, exmdb.TextQuery{Fields: in, Text: needle})
			if !resp.Known {
				continue
			}
			found := uidsOf(resp.UIDs)
			if len(found) < len(all) {
				narrower++
			}
			for uid, m := range all {
				root := mime.Scan([]byte(m))
				has, err := root.SearchMessage(strings.NewReader(m), needle, scope)
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				if has && !slices.Contains(found, uid) {
					t.Fatalf("%q is in message %d and was not found:\n%s", needle, uid, m)
				}
			}
		}
	}
	if narrower < 20 {
		t.Errorf("narrower than everything in %d cases only", narrower)
	}
}

func TestNarrow(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 2)
	subject := func(s string) exmdb.TextQuery { return exmdb.TextQuery{Fields: exmdb.TextSubject, Text: s} }
	for _, s := range []string{"one", "two", "three"} {
		b.deliver(text("Subject: " + s + "\r\n\r\nbody\r\n"))
	}
	if resp := o.narrow(schema.Inbox, subject("one")); resp.Known {
		t.Fatalf("without an index: %+v", resp)
	}
	o.index(-1)
	b.deliver(text("Subject: four\r\n\r\nbody\r\n")) // too few to be indexed: it may have anything
	for i, c := range []struct {
		q     exmdb.TextQuery
		known bool
		want  []mapi.UID
	}{
		{subject("one"), true, []mapi.UID{1, 4}},
		{subject("e"), true, []mapi.UID{1, 3, 4}},
		{exmdb.TextQuery{Any: []exmdb.TextQuery{subject("one"), subject("three")}}, true, []mapi.UID{1, 3, 4}},
		{exmdb.TextQuery{All: []exmdb.TextQuery{subject("t"), subject("o")}}, true, []mapi.UID{2, 4}},
		{exmdb.TextQuery{Any: []exmdb.TextQuery{subject("one"), {}}}, false, []mapi.UID{}},
		{subject(""), false, []mapi.UID{}},
		{exmdb.TextQuery{Fields: exmdb.TextBody | exmdb.TextPart, Text: "subject"}, true, []mapi.UID{4}},
	} {
		if resp := o.narrow(schema.Inbox, c.q); resp.Known != c.known || !slices.Equal(uidsOf(resp.UIDs), c.want) {
			t.Errorf("%d: %+v, want %v", i, resp, c.want)
		}
	}
	hers := *o.owner // who sees her own items only learns nothing of others'
	hers.box = b.asUser(mapi.NewGUID())
	grantTo(b, schema.Inbox, hers.as.User, exmdb.RightCreate|exmdb.RightFolderVisible)
	if resp := (&searched{&hers, o.ix}).narrow(schema.Inbox, subject("one")); resp.Known || len(resp.UIDs) > 0 {
		t.Errorf("told of others' messages: %+v", resp)
	}
	deep := subject("one")
	for range maxTextDepth {
		deep = exmdb.TextQuery{All: []exmdb.TextQuery{deep}}
	}
	refused(b, exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: schema.Inbox, Query: deep}, exmdb.KindTooComplex)
	refused(b, exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: 0x990001, Query: subject("one")}, exmdb.KindNoFolder)
}

// TestIndexKeepsUp: messages that leave in great number make the folder be indexed anew.
func TestIndexKeepsUp(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 1)
	work := b.newBelow(schema.IPMSubtree, "work")
	b.fill(work, 2500)
	o.index(-1)
	if resp := o.narrow(work, exmdb.TextQuery{Fields: exmdb.TextBody, Text: "x"}); !resp.Known || len(uidsOf(resp.UIDs)) != 2500 {
		t.Fatalf("what cannot be read may have anything: %v, %d messages", resp.Known, len(uidsOf(resp.UIDs)))
	}
	for from := mapi.UID(1); from != 0; {
		from = call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: work, UIDs: []exmdb.UIDRange{{First: from, Last: 2000}}, All: true}).Next
	}
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("Subject: last\r\n\r\nx\r\n")})
	o.index(-1)
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("Subject: last\r\n\r\nx\r\n")})
	o.index(-1)
	if resp := o.narrow(work, exmdb.TextQuery{Fields: exmdb.TextBody, Text: "x"}); !resp.Known || len(uidsOf(resp.UIDs)) > 600 {
		t.Fatalf("%d messages are found where a few hundred are", len(uidsOf(resp.UIDs)))
	}
	if known, err := o.ix.Folders(b.id); err != nil || !slices.Equal(known, []mapi.FID{work}) {
		t.Fatalf("indexed folders %v, %v", known, err)
	}
}

// TestNarrowAfterAnImport: a folder that thousands of messages have come into since it was indexed is searched by the index
// as far as that goes. What has come, and what has another content, is looked at; what is read or marked as deleted only is
// not. The changes are walked over once, so many in a request.
func TestNarrowAfterAnImport(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 4).walking(1000)
	work := b.newBelow(schema.IPMSubtree, "work")
	var want []mapi.UID
	for i := range 100 {
		subject := "hay"
		if i%10 == 0 {
			subject = "needle"
			want = append(want, mapi.UID(i+1))
		}
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("Subject: " + subject + "\r\n\r\nx\r\n")})
	}
	o.index(-1)
	const imported = 5500
	b.fill(work, imported)
	set := func(bits exmdb.FlagBits, uid mapi.UID) {
		call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: work, UIDs: ranges(uid), Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: bits}})
	}
	set(exmdb.FlagSeen|exmdb.FlagDeleted, 33)
	set(exmdb.FlagFlagged, 35)
	want = append(want, 35)
	for i := range imported {
		want = append(want, mapi.UID(101+i))
	}
	slices.Sort(want)
	needle := exmdb.TextQuery{Fields: exmdb.TextSubject, Text: "needle"}
	for _, requests := range []int{6, 1} {
		before := o.calls
		resp := o.narrow(work, needle)
		if got := uidsOf(resp.UIDs); !resp.Known || !slices.Equal(got, want) {
			t.Fatalf("known: %v, %d messages, want %d", resp.Known, len(got), len(want))
		}
		if o.calls-before != requests {
			t.Errorf("%d requests, want %d", o.calls-before, requests)
		}
	}
	o.index(2) // and the index moves on: what cannot be read may have anything, so nothing is lost
	if got := uidsOf(o.narrow(work, needle).UIDs); !slices.Equal(got, want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
}

// TestIndexStopsInARun: where the index comes to a stop among neighbours that were walked over as one, since it saw fewer of
// them, those that it has are not looked at beside it.
func TestIndexStopsInARun(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 4)
	add := func(mails int) {
		for range mails {
			call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: text("Subject: hay\r\n\r\nx\r\n")})
		}
	}
	left := func() int {
		resp := o.narrow(schema.Inbox, exmdb.TextQuery{Fields: exmdb.TextSubject, Text: "needle"})
		if !resp.Known {
			t.Fatal("the index does not narrow")
		}
		return len(uidsOf(resp.UIDs))
	}
	add(100)
	o.index(-1)
	add(50)
	err := o.rep.View(t.Context(), o.id, space.ReadLocal, func(r space.Reader) error {
		add(3)
		if n := left(); n != 53 {
			t.Errorf("%d messages are looked at before the index goes on, want 53", n)
		}
		_, _, err := o.store.IndexText(r, o.ix, time.Time{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := left(); n != 3 {
		t.Errorf("%d messages are looked at, want 3", n)
	}
}

// TestNarrowReadsHeadersInTheCharsetOfTheText: the index has fields without encoded-words as SEARCH reads them.
func TestNarrowReadsHeadersInTheCharsetOfTheText(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 1)
	mails := []string{
		"From: \xe1\xce\xce\xc1 <a@example.test>\r\nTo: \xe2\xcf\xd2\xc9\xd3 <b@example.test>\r\nX-Note: \xf7\xc5\xd3\xce\xc1\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n",
		"From: \x95\x5c\x8e\xa6 <a@example.test>\r\nSubject: \x93\xfa\x96\x7b\r\nContent-Type: text/plain; charset=shift_jis\r\n\r\nx\r\n",
		"Subject: fwd\r\nContent-Type: message/rfc822\r\n\r\nSubject: \xf7\xc5\xd3\xce\xc1\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n",
	}
	uids := make([]mapi.UID, len(mails))
	for i, m := range mails {
		uids[i] = b.deliver(text(m)).UID
	}
	o.index(10)
	for _, q := range []struct {
		in   exmdb.TextFields
		text string
		want mapi.UID
	}{{exmdb.TextSubject, "привет", uids[0]}, {exmdb.TextFrom, "анна", uids[0]}, {exmdb.TextTo, "борис", uids[0]}, {exmdb.TextHeader, "весна", uids[0]},
		{exmdb.TextSubject, "日本", uids[1]}, {exmdb.TextFrom, "表示", uids[1]}, {exmdb.TextPart, "весна", uids[2]}} {
		resp := o.narrow(schema.Inbox, exmdb.TextQuery{Fields: q.in, Text: q.text})
		if got := uidsOf(resp.UIDs); !resp.Known || !slices.Equal(got, []mapi.UID{q.want}) {
			t.Errorf("%d %q: %v of %v, want %d", q.in, q.text, got, uids, q.want)
		}
	}
}
