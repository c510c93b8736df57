package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// way is one between two mailboxes.
type way struct {
	from, to *box
	number   uint64
}

func (c *way) of(fid mapi.FID, mid mapi.MID, target mapi.FID) exmdb.Crossing {
	return exmdb.Crossing{Folder: fid, Message: mid, Mailbox: mapi.MailboxID(c.to.id), Target: target, As: exmdb.System}
}

// request is what a pump asks of the mailbox that a message goes to.
func (c *way) request(x exmdb.Crossing) (*exmdb.TakeInRequest, mapi.Stamp) {
	c.from.t.Helper()
	r := call(c.from, exmdb.OpCrossing, &x)
	if r.Gone {
		c.from.t.Fatalf("%+v is gone", x)
	}
	c.number++
	return &exmdb.TakeInRequest{Source: c.from.id, Number: c.number, As: x.As, Target: x.Target, Message: r.Message}, r.CN
}

// asSeen is a message as clients see it, without what depends on where it is; the names of named properties stand with them.
func (b *box) asSeen(id mapi.MID) map[string]string {
	b.t.Helper()
	r := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(id), Nested: true, Names: true})
	names := map[uint16]string{}
	for _, n := range r.Names {
		names[n.ID] = fmt.Sprint(n.Name)
	}
	seen := map[string]string{}
	for i, bag := range r.Content.Bags() {
		for _, p := range bag.All() {
			if i == 0 && slices.Contains(ofPlace, p.Tag) {
				continue
			}
			what := p.Tag.String()
			if p.Tag.Named() {
				what = names[p.Tag.ID()]
			}
			seen[fmt.Sprintf("%d %s %v", i, what, p.Tag.Type())] = fmt.Sprintf("%x", mapi.AppendValue(nil, p.Value))
		}
	}
	seen["flags"] = fmt.Sprintf("%x %q", r.State.Flags.Bits, r.State.Flags.Keywords)
	seen["associated, time"] = fmt.Sprint(r.State.Associated, r.State.Received.Unix())
	if r.State.UID != 0 {
		seen["octets"] = b.octets(r.State.Folder, r.State.UID)
	}
	return seen
}

// ofPlace are the properties that say where a message is and when it came there.
var ofPlace = []mapi.Tag{mapi.PidTagMessageSize, mapi.PidTagMessageSizeExtended, mapi.NewTag(0x6749, mapi.TypeInteger64), mapi.PidTagMid, mapi.PidTagFolderId, mapi.PidTagInstID, mapi.PidTagChangeNumber, mapi.PidTagChangeKey, mapi.PidTagPredecessorChangeList,
	mapi.PidTagEntryId, mapi.PidTagParentEntryId, mapi.PidTagRecordKey, mapi.PidTagSourceKey, mapi.PidTagParentSourceKey, mapi.PidTagLastModificationTime,
	mapi.PidTagStoreEntryId, mapi.PidTagStoreRecordKey, mapi.PidTagInternetArticleNumber, mapi.PidTagInstanceKey, mapi.PidTagMappingSignature,
	mapi.PidTagHasNamedProperties, mapi.PidTagAccess, mapi.PidTagAccessLevel, mapi.PidTagLocalCommitTime}

// every kind of message that there is, by what it is.
func (b *box) everyKind(rng *rand.Rand) map[string]mapi.MID {
	b.t.Helper()
	kinds := map[string]mapi.MID{}
	var w []written
	kinds["deep"] = b.create(&exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: nest(rng, levels, &w)}).MID
	kinds["associated"] = b.create(&exmdb.CreateMessageRequest{Folder: schema.Drafts, Associated: true, Message: nest(rng, 2, &w)}).MID
	put := func(m exmdb.NewMessage) mapi.MID {
		return call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Drafts, Message: m, Received: b.now,
			Flags: exmdb.Flags{Bits: exmdb.FlagFlagged | exmdb.FlagAnswered, Keywords: []string{"Red", "own"}}}).MID
	}
	kinds["received"] = put(b.incomingMail("To: carl@example.test\r\n").Message)
	for i := range 4 {
		kinds[fmt.Sprintf("converted %d", i)] = put(asReceived(b.t, rng))
	}
	kinds["converted and edited"] = put(asReceived(b.t, rng))
	b.write(mid(kinds["converted and edited"]), mapi.PidTagBody, mapi.String("another"))
	kinds["received with content"] = put(large(3, 30_000))
	kinds["its header edited"] = put(b.incomingMail("X-Kept: yes\r\n").Message)
	b.write(mid(kinds["its header edited"]), mapi.PidTagSubject, mapi.String("another"))
	kinds["its body edited"] = put(b.incomingMail("X-Kept: yes\r\n").Message)
	b.write(mid(kinds["its body edited"]), mapi.PidTagBody, mapi.String("another"))
	named := b.tagOf(mapi.PidLidReminderDelta)
	b.write(mid(kinds["received"]), named, mapi.Integer32(7), mapi.PidTagRoamingDictionary, mapi.Binary(make([]byte, 20_000)))
	b.write(mid(kinds["deep"]), named, mapi.Integer32(9), mapi.PidTagFlagStatus, mapi.Integer32(1))
	return kinds
}

// TestMessagesCrossWhole: what goes into another mailbox is there what it was, octets and properties, under the names that its
// properties have there; once, however often it is brought.
func TestMessagesCrossWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	from := newBox(t, 0)
	to := from.again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})
	to.tagOf(mapi.PidLidTaskStatus) // so that names have other ids there
	to.tagOf(mapi.PidNameKeywords)  // as for any client who shows categories: they are in the row
	c := &way{from: from, to: to}
	for what, id := range from.everyKind(rand.New(rand.NewPCG(seed, 9))) {
		want := from.asSeen(id)
		row := from.rowOf(id)
		size := row.MessageSize()
		x := c.of(schema.Drafts, id, schema.Inbox)
		q, cn := c.request(x)
		taken := call(to, exmdb.OpTakeIn, q)
		if again := call(to, exmdb.OpTakeIn, q); !again.Duplicate {
			t.Errorf("%s: came twice", what)
		}
		got := to.asSeen(taken.MID)
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s is %.200s, was %.200s", what, k, got[k], v)
			}
		}
		for k := range got {
			if _, had := want[k]; !had {
				t.Errorf("%s: %s was not there", what, k)
			}
		}
		row = to.rowOf(taken.MID)
		if more := row.MessageSize() - size; more > 64 { // its search key is its own now
			t.Errorf("%s: %d bytes more", what, int64(more))
		}
		f := &exmdb.FinishCrossingRequest{Crossing: x, CN: cn}
		for range 2 {
			if r := call(from, exmdb.OpFinishCrossing, f); r.Stays {
				t.Errorf("%s stays", what)
			}
		}
		if !call(from, exmdb.OpCrossing, &x).Gone {
			t.Errorf("%s is where it was", what)
		}
		from.audit(what)
		to.audit(what)
	}
	from.checkEmpty()
}

// TestCrossingsMeetChanges: what was deleted or put elsewhere meanwhile is not carried, what was edited is not deleted.
func TestCrossingsMeetChanges(t *testing.T) {
	from := newBox(t, 0)
	c := &way{from: from, to: from.again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})}
	gone, moved, edited := from.deliver(sample(t)).MID, from.deliver(sample(t)).MID, from.deliver(sample(t)).MID
	call(from, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{gone}})
	call(from, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{moved}, Target: schema.Drafts})
	for _, id := range []mapi.MID{gone, moved} {
		x := c.of(schema.Inbox, id, schema.Inbox)
		if !call(from, exmdb.OpCrossing, &x).Gone || call(from, exmdb.OpFinishCrossing, &exmdb.FinishCrossingRequest{Crossing: x}).Stays {
			t.Errorf("%#x", uint64(id))
		}
	}
	x := c.of(schema.Inbox, edited, schema.Inbox)
	_, cn := c.request(x)
	from.write(mid(edited), mapi.PidTagSubject, mapi.String("edited"))
	if !call(from, exmdb.OpFinishCrossing, &exmdb.FinishCrossingRequest{Crossing: x, CN: cn}).Stays || from.folder(schema.Inbox).Messages != 1 {
		t.Error("an edit was lost")
	}
	from.audit("changes")
}

// TestCrossingsAreRefused: by rights and room where the message goes, and for what cannot go; whoever was let in once is not
// asked again.
func TestCrossingsAreRefused(t *testing.T) {
	from := newBox(t, 0)
	to := from.again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Quota: 2000})
	c := &way{from: from, to: to}
	friend := exmdb.Identity{User: mapi.NewGUID()}
	id := from.deliver(sample(t)).MID
	x := c.of(schema.Inbox, id, schema.Sent)
	x.As = friend
	q, _ := c.request(x)
	refused(to, exmdb.OpTakeIn, q, exmdb.KindAccessDenied)
	grantTo(to, schema.Sent, friend.User, exmdb.RightCreate|exmdb.RightFolderVisible)
	if call(to, exmdb.OpTakeIn, q).Duplicate {
		t.Error("a refusal is remembered")
	}
	grantTo(to, schema.Sent, friend.User, exmdb.RightFolderVisible)
	if !call(to, exmdb.OpTakeIn, q).Duplicate {
		t.Error("it was asked again")
	}
	x.As = exmdb.System
	for fid, kind := range map[mapi.FID]cluster.Kind{mapi.LocalFID(0x999): exmdb.KindNoFolder, to.searchBelow(schema.IPMSubtree, "search"): exmdb.KindSearchFolder} {
		x.Target = fid
		q, _ = c.request(x)
		refused(to, exmdb.OpTakeIn, q, kind)
	}
	x = c.of(schema.Inbox, from.deliver(text(string(make([]byte, 3000)))).MID, schema.Inbox)
	q, _ = c.request(x)
	refused(to, exmdb.OpTakeIn, q, exmdb.KindOverQuota)
	for _, spoil := range []func(m *exmdb.CarriedMessage){
		func(m *exmdb.CarriedMessage) { m.Body = nil },
		func(m *exmdb.CarriedMessage) { m.Marks |= uint32(schema.RowAssociated) },
		func(m *exmdb.CarriedMessage) { m.Marks |= uint32(schema.RowDelivered) },
		func(m *exmdb.CarriedMessage) { m.Marks |= uint32(schema.RowReheaded) },
		func(m *exmdb.CarriedMessage) { m.Flags.Bits = 1 << 15 },
		func(m *exmdb.CarriedMessage) { m.Content.Attachments = make([]exmdb.Attachment, 2) },
		func(m *exmdb.CarriedMessage) { m.Original = m.Body },
	} {
		q, _ = c.request(c.of(schema.Inbox, id, schema.Inbox))
		spoil(&q.Message)
		refused(to, exmdb.OpTakeIn, q, exmdb.KindBadContent)
	}
	to.audit("refusals")

	ask := &exmdb.CarryAcrossRequest{Folder: schema.Inbox, Messages: []mapi.MID{id}, Mailbox: mapi.MailboxID(from.id), Target: schema.Sent}
	refused(from, exmdb.OpCarryAcross, ask, cluster.KindBadRequest)
	waits := from.written(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(from.now.AddDate(1, 0, 0)))
	from.submit(waits)
	ask.Mailbox, ask.Folder, ask.Messages = mapi.MailboxID(to.id), schema.Drafts, []mapi.MID{waits}
	if at := call(from, exmdb.OpLocate, &exmdb.LocateRequest{Messages: ask.Messages}).Messages; len(at) == 1 {
		ask.Folder = at[0].Folder
	}
	refused(from, exmdb.OpCarryAcross, ask, exmdb.KindSubmitted)
	refused(from, exmdb.OpReadCrossing, &exmdb.ReadCrossingRequest{}, exmdb.KindNoMessage)
}
