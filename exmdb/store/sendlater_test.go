package store

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const outboxCounter = 0x0C

// written makes a message in the outbox, to anna and secretly to carl, with more properties.
func (b *box) written(more ...any) mapi.MID {
	b.t.Helper()
	set := bagOf(append([]any{mapi.PidTagSubject, mapi.String("later"), mapi.PidTagBody, mapi.String("text")}, more...)...)
	return b.create(&exmdb.CreateMessageRequest{Folder: mapi.LocalFID(outboxCounter), Message: exmdb.MessageEdit{Set: set, ReplaceRecipients: true,
		Recipients: []mapi.PropBag{recipient(1, "anna"), recipient(3, "carl")}}}).MID
}

func (b *box) submit(mid mapi.MID) *exmdb.SubmitResponse {
	b.t.Helper()
	return call(b, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: mid, Own: []string{"own@example.test"}, Name: "Own"})
}

func (b *box) messageFlags(mid mapi.MID) mapi.Integer32 {
	b.t.Helper()
	n, _ := b.prop(exmdb.ObjectID{Message: mid}, mapi.PidTagMessageFlags).(mapi.Integer32)
	return n & (mapi.MessageFlagSubmitted | mapi.MessageFlagUnsent)
}

func sentTo(fid mapi.FID) mapi.Value {
	return oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: fid})
}

func TestSubmittedMessagesGo(t *testing.T) {
	b := newBox(t, 0)
	kept := b.written()
	gone := b.written(mapi.PidTagDeleteAfterSubmit, mapi.Boolean(true))
	filed := b.written(mapi.PidTagSentMailSvrEID, sentTo(schema.Sent), mapi.PidTagDeferredSendTime, mapi.FileTimeOf(b.now.Add(-time.Hour)))
	for i, mid := range []mapi.MID{kept, gone, filed} {
		if r := b.submit(mid); r.Waits || len(b.outgoing()) != i+1 {
			t.Errorf("%+v, %d go out", r, len(b.outgoing()))
		}
	}
	out := b.outgoing()[0]
	if o := out.Outgoing; o.Kind != exmdb.OutgoingSubmitted || len(o.To) != 2 || o.To[1].Address != "carl@example.test" || o.Own[0] != "own@example.test" || o.Name != "Own" {
		t.Errorf("%+v", o)
	}
	if b.messageFlags(kept) != 0 || b.prop(exmdb.ObjectID{Message: kept}, mapi.PidTagClientSubmitTime) != mapi.FileTimeOf(b.now) ||
		b.prop(exmdb.ObjectID{Message: kept}, mapi.PidTagInternetMessageId) == nil {
		t.Errorf("sent: %v", b.props(exmdb.ObjectID{Message: kept}))
	}
	if n := b.count(mapi.LocalFID(outboxCounter), schema.Sent); n != "1 1" {
		t.Errorf("outbox and sent mail have %s", n)
	}
	b.finishAll(3, out.Message.Recipe.Size())
	b.audit("all sent")
}

// TestAGivenUpTimeSendsNothing: work that is left of a time which a message has no more finds that it is not due yet.
func TestAGivenUpTimeSendsNothing(t *testing.T) {
	b := newBox(t, 0)
	mid := b.written(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(b.now.Add(2*time.Hour)))
	if r := b.submit(mid); !r.Waits {
		t.Fatalf("%+v", r)
	}
	var object mapi.ObjectNumber
	b.view(func(v *view) error {
		_, m, err := v.find(mid)
		if err == nil {
			object = m.row.Object
		}
		return err
	})
	left := space.Due{At: b.now.Add(time.Hour), Op: DueSend, Key: binary.BigEndian.AppendUint64(nil, uint64(object))}
	b.now = left.At
	if _, err := b.rep.Update(t.Context(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, New(b.config).PerformDue(noting{w, b.due, *b.first}, left)
	}); err != nil {
		t.Fatal(err)
	}
	if n := len(b.outgoing()); n != 0 {
		t.Errorf("%d go out an hour before their time", n)
	}
	b.now = b.now.Add(time.Hour)
	if b.work(); len(b.outgoing()) != 1 {
		t.Errorf("%d go out at their time", len(b.outgoing()))
	}
}

// TestSentMailIsPutWhereItSays: by server id or by entry id; the former is what counts, and where it cannot be kept the
// message stays.
func TestSentMailIsPutWhereItSays(t *testing.T) {
	b := newBox(t, 0)
	filed := b.newFolder("filed")
	search := b.searchBelow(finder, "found")
	entry := func(fid mapi.FID) mapi.Value { return b.prop(exmdb.ObjectID{Folder: fid}, mapi.PidTagEntryId) }
	for name, c := range map[string]struct {
		props []any
		want  mapi.FID
	}{
		"an entry id":              {[]any{mapi.PidTagSentMailEntryId, entry(filed)}, filed},
		"both":                     {[]any{mapi.PidTagSentMailEntryId, entry(filed), mapi.PidTagSentMailSvrEID, sentTo(schema.Sent)}, schema.Sent},
		"no entry id":              {[]any{mapi.PidTagSentMailEntryId, mapi.Binary("x")}, mapi.LocalFID(outboxCounter)},
		"a folder that is not":     {[]any{mapi.PidTagSentMailSvrEID, sentTo(0x999)}, mapi.LocalFID(outboxCounter)},
		"a search folder":          {[]any{mapi.PidTagSentMailEntryId, entry(search)}, mapi.LocalFID(outboxCounter)},
		"another mailbox's":        {[]any{mapi.PidTagSentMailEntryId, mapi.Binary(oxcdata.FolderOf(mapi.NewMailboxID(), mapi.GID{Counter: filed.Counter()}).Append(nil))}, mapi.LocalFID(outboxCounter)},
		"a search folder's number": {[]any{mapi.PidTagSentMailSvrEID, sentTo(search)}, mapi.LocalFID(outboxCounter)},
	} {
		was := b.folder(c.want).Messages
		b.submit(b.written(c.props...))
		if is := b.folder(c.want).Messages; is != was+1 {
			t.Errorf("%s: %d messages where %d were", name, is, was)
		}
	}
	b.finishAll(7, b.outgoing()[0].Message.Recipe.Size())
	b.audit("put away")
}

// TestSentMailIsPutWhereTheSenderMayCreate: who may make nothing in the folder that his message names sends it all the same, and it
// stays where it was; what he may counts when he submits it, whoever sends it then.
func TestSentMailIsPutWhereTheSenderMayCreate(t *testing.T) {
	b := newBox(t, 0)
	owner := mapi.NewGUID()
	b.ownedBy(owner)
	outbox, read, open := mapi.LocalFID(outboxCounter), b.newFolder("read"), b.newFolder("open")
	sender := b.asUser(mapi.NewGUID())
	sender.as.SendAs = []mapi.GUID{owner}
	grantTo(b, outbox, sender.as.User, exmdb.RightReadAny|exmdb.RightEditAny|exmdb.RightDeleteAny)
	grantTo(b, read, sender.as.User, exmdb.AllRights&^exmdb.RightCreate)
	grantTo(b, open, sender.as.User, exmdb.RightCreate)
	entry := func(fid mapi.FID) mapi.Value { return b.prop(exmdb.ObjectID{Folder: fid}, mapi.PidTagEntryId) }
	for name, c := range map[string]struct {
		who   *box
		props []any
		want  mapi.FID
	}{
		"by server id":              {sender, []any{mapi.PidTagSentMailSvrEID, sentTo(read)}, outbox},
		"by entry id":               {sender, []any{mapi.PidTagSentMailEntryId, entry(read)}, outbox},
		"where he may create":       {sender, []any{mapi.PidTagSentMailSvrEID, sentTo(open)}, open},
		"the same, by entry id":     {sender, []any{mapi.PidTagSentMailEntryId, entry(open)}, open},
		"a folder that is not":      {sender, []any{mapi.PidTagSentMailSvrEID, sentTo(0x999)}, outbox},
		"the owner's":               {b, []any{mapi.PidTagSentMailSvrEID, sentTo(read)}, read},
		"deleted, wherever it goes": {sender, []any{mapi.PidTagSentMailSvrEID, sentTo(read), mapi.PidTagDeleteAfterSubmit, mapi.Boolean(true)}, 0},
	} {
		for _, later := range []bool{false, true} {
			sent, hour := len(b.outgoing()), time.Duration(0)
			if later {
				hour = time.Hour
			}
			mid := b.written(append(c.props, mapi.PidTagDeferredSendTime, mapi.FileTimeOf(b.now.Add(hour)))...)
			object := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: mid}}).State.Object
			r := call(c.who, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: mid, Own: []string{"own@example.test"}, Name: "Own"})
			b.now = b.now.Add(2 * hour)
			b.work()
			if at := b.folderOfObject(object); at != c.want || r.Waits != later || len(b.outgoing()) != sent+1 {
				t.Errorf("%s, later %t: it is in %#x, want %#x; it waits: %t; %d went", name, later, uint64(at), uint64(c.want), r.Waits, len(b.outgoing())-sent)
			}
		}
	}
	b.audit("put away")
}

// TestSentMailLeavesWhereTheSenderMayDelete: with the right to edit a message is sent; that it is deleted then, or leaves for another
// folder, needs a right to delete it. Each of the twelve is tried, on his own message and on another's.
func TestSentMailLeavesWhereTheSenderMayDelete(t *testing.T) {
	b := newBox(t, 0)
	owner := mapi.NewGUID()
	b.ownedBy(owner)
	outbox, filed := mapi.LocalFID(outboxCounter), b.newFolder("filed")
	sender := b.asUser(mapi.NewGUID())
	sender.as.SendAs = []mapi.GUID{owner}
	grantTo(b, filed, sender.as.User, exmdb.AllRights)
	for _, right := range allTwelve {
		for what, props := range map[string][]any{"deleted": {mapi.PidTagDeleteAfterSubmit, mapi.Boolean(true)}, "filed": {mapi.PidTagSentMailSvrEID, sentTo(filed)}} {
			for _, author := range []*box{b, sender} {
				grantTo(b, outbox, sender.as.User, exmdb.AllRights)
				mid := author.written(props...)
				object := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: mid}}).State.Object
				grantTo(b, outbox, sender.as.User, exmdb.RightReadAny|exmdb.RightEditAny|right)
				sent := len(b.outgoing())
				call(sender, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: mid, Own: []string{"own@example.test"}, Name: "Own"})
				leaves := b.folderOfObject(object) != outbox
				if may := right == exmdb.RightDeleteAny || right == exmdb.RightDeleteOwned && author == sender; leaves != may || len(b.outgoing()) != sent+1 {
					t.Errorf("%s with right %#x, his own %t: it leaves: %t; %d went", what, right, author == sender, leaves, len(b.outgoing())-sent)
				}
			}
		}
	}
	b.audit("put away")
}

// folderOfObject is where an object is, zero if it is nowhere.
func (b *box) folderOfObject(o mapi.ObjectNumber) (fid mapi.FID) {
	b.t.Helper()
	b.view(func(v *view) error {
		counter, err := v.r.Get(schema.ObjectKey(o))
		if err != nil || counter == nil {
			return err
		}
		c, err := schema.ParseCounter(counter)
		if err == nil {
			fid, _, err = v.find(mapi.NewMID(mapi.LocalReplica, c))
		}
		return err
	})
	return fid
}

func TestMessagesWaitUntilTheirTime(t *testing.T) {
	b := newBox(t, 0)
	hour := mapi.FileTimeOf(b.now.Add(time.Hour))
	for name, c := range map[string]struct {
		props []any
		after time.Duration
	}{
		"a time":                      {[]any{mapi.PidTagDeferredSendTime, hour}, time.Hour},
		"a time of delivery":          {[]any{mapi.PidTagDeferredDeliveryTime, hour}, time.Hour},
		"the later of both":           {[]any{mapi.PidTagDeferredSendTime, hour, mapi.PidTagDeferredDeliveryTime, mapi.FileTimeOf(b.now.Add(2 * time.Hour))}, 2 * time.Hour},
		"minutes":                     {[]any{mapi.PidTagDeferredSendUnits, mapi.Integer32(0), mapi.PidTagDeferredSendNumber, mapi.Integer32(5)}, 5 * time.Minute},
		"weeks, in place of a time":   {[]any{mapi.PidTagDeferredSendUnits, mapi.Integer32(3), mapi.PidTagDeferredSendNumber, mapi.Integer32(2), mapi.PidTagDeferredSendTime, hour}, 14 * dayLength},
		"units that are none":         {[]any{mapi.PidTagDeferredSendUnits, mapi.Integer32(4), mapi.PidTagDeferredSendNumber, mapi.Integer32(2), mapi.PidTagDeferredSendTime, hour}, time.Hour},
		"a number that is too high":   {[]any{mapi.PidTagDeferredSendUnits, mapi.Integer32(1), mapi.PidTagDeferredSendNumber, mapi.Integer32(1000)}, 0},
		"a number without its units":  {[]any{mapi.PidTagDeferredSendNumber, mapi.Integer32(2)}, 0},
		"a time that has passed":      {[]any{mapi.PidTagDeferredSendTime, mapi.FileTimeOf(b.now.Add(-time.Hour))}, 0},
		"units of nothing, right now": {[]any{mapi.PidTagDeferredSendUnits, mapi.Integer32(1), mapi.PidTagDeferredSendNumber, mapi.Integer32(0)}, 0},
	} {
		bag := bagOf(c.props...)
		if got := sendTime(&bag, b.now).Sub(b.now); got.Round(time.Millisecond) != c.after {
			t.Errorf("%s: after %v, want %v", name, got, c.after)
		}
	}
	mid := b.written(mapi.PidTagDeferredSendTime, hour, mapi.PidTagSentMailSvrEID, sentTo(schema.Sent))
	r := b.submit(mid)
	if !r.Waits || !r.At.Equal(hour.Time()) || b.messageFlags(mid) != mapi.MessageFlagSubmitted|mapi.MessageFlagUnsent {
		t.Fatalf("%+v, flags %#x", r, b.messageFlags(mid))
	}
	refused(b, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: mid, Own: []string{"own@example.test"}}, exmdb.KindSubmitted)
	refused(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: mid, Edit: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("x"))}}, exmdb.KindSubmitted)
	copied := call(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: mapi.LocalFID(outboxCounter), Messages: []mapi.MID{mid}, Target: schema.Drafts}).To[0]
	moved := call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: mapi.LocalFID(outboxCounter), Messages: []mapi.MID{mid}, Target: schema.Inbox}).To[0]
	if b.messageFlags(copied)&mapi.MessageFlagSubmitted != 0 || b.messageFlags(moved)&mapi.MessageFlagSubmitted == 0 {
		t.Error("a copy waits, or what was moved does not")
	}
	b.audit("waiting")
	b.now = hour.Time().Add(-time.Second)
	if b.work(); len(b.outgoing()) != 0 {
		t.Fatal("sent too early")
	}
	b.now = b.now.Add(2 * time.Second)
	b.work()
	if b.work(); len(b.outgoing()) != 1 || b.count(schema.Inbox, schema.Sent, schema.Drafts) != "0 1 1" {
		t.Fatalf("%d sent; %s", len(b.outgoing()), b.count(schema.Inbox, schema.Sent, schema.Drafts))
	}
	refused(b, exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: copied}, exmdb.KindNotWaiting)
	b.finishAll(1, b.outgoing()[0].Message.Recipe.Size())
	b.audit("sent")
}

func TestWhatIsTakenBackDoesNotGo(t *testing.T) {
	b := newBox(t, 0)
	outbox, later := mapi.LocalFID(outboxCounter), mapi.FileTimeOf(b.now.Add(time.Hour))
	var mids []mapi.MID
	for range 5 {
		mids = append(mids, b.written(mapi.PidTagDeferredSendTime, later))
		b.submit(mids[len(mids)-1])
	}
	call(b, exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: mids[0]})
	if b.messageFlags(mids[0]) != mapi.MessageFlagUnsent {
		t.Errorf("flags %#x", b.messageFlags(mids[0]))
	}
	refused(b, exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: mids[0]}, exmdb.KindNotWaiting)
	// One that is taken back and submitted anew goes at its new time.
	call(b, exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: mids[1]})
	call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: mids[1], Edit: exmdb.MessageEdit{
		Set: bagOf(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(b.now.Add(3*time.Hour)))}})
	b.submit(mids[1])
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: outbox, Messages: mids[2:3], Hard: true})
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: outbox, Messages: mids[3:4]})
	call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: outbox, Messages: mids[4:], Target: schema.DeletedItems})
	b.now = b.now.Add(2 * time.Hour)
	if b.work(); len(b.outgoing()) != 0 {
		t.Errorf("%d went", len(b.outgoing()))
	}
	back := call(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: outbox, Messages: mids[3:4], Target: outbox}).To[0]
	if b.messageFlags(back) != mapi.MessageFlagUnsent {
		t.Errorf("what was recovered after its time has flags %#x", b.messageFlags(back))
	}
	b.audit("after the time of all")
	b.now = b.now.Add(2 * time.Hour)
	if b.work(); len(b.outgoing()) != 1 {
		t.Errorf("%d went", len(b.outgoing()))
	}
}

func TestWhoAndWhatIsSent(t *testing.T) {
	b := newBox(t, 0)
	owner := mapi.NewGUID()
	b.ownedBy(owner)
	mid := b.written()
	submits := func(as exmdb.Identity) cluster.Kind {
		c := *b
		c.as = as
		_, err := try(&c, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: mid, Own: []string{"own@example.test"}})
		if err == nil {
			return 0
		}
		return cluster.KindOf(err)
	}
	someone := mapi.NewGUID()
	if k := submits(exmdb.Identity{User: someone, FullAccess: []mapi.GUID{owner}}); k != exmdb.KindAccessDenied {
		t.Errorf("full access sends: kind %d", k)
	}
	call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Send: 1})
	if k := submits(exmdb.Identity{User: owner, Privileges: exmdb.PrivilegeOwner}); k != exmdb.KindOverQuota {
		t.Errorf("a full mailbox sends: kind %d", k)
	}
	call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{})
	if k := submits(exmdb.Identity{User: someone, FullAccess: []mapi.GUID{owner}, SendAs: []mapi.GUID{owner}}); k != 0 {
		t.Errorf("send as: kind %d", k)
	}
	nobody := b.create(&exmdb.CreateMessageRequest{Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("x"))}}).MID
	refused(b, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: nobody, Own: []string{"own@example.test"}}, cluster.KindBadRequest)
	refused(b, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: b.written()}, cluster.KindBadRequest)
}
