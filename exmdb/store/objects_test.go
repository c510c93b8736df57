package store

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// bagOf is a bag of tags and values in turn.
func bagOf(pairs ...any) mapi.PropBag {
	var bag mapi.PropBag
	for i := 0; i < len(pairs); i += 2 {
		bag.Set(pairs[i].(mapi.Tag), pairs[i+1].(mapi.Value))
	}
	return bag
}

func (b *box) create(req *exmdb.CreateMessageRequest) exmdb.MessageState {
	b.t.Helper()
	if req.Folder == 0 {
		req.Folder = schema.Drafts
	}
	r := call(b, exmdb.OpCreateMessage, req)
	if len(r.Problems) > 0 {
		b.t.Fatalf("problems: %v", r.Problems)
	}
	return r.State
}

func (b *box) props(id exmdb.ObjectID, tags ...mapi.Tag) *mapi.PropBag {
	b.t.Helper()
	return &call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Tags: tags}).Props
}

func (b *box) prop(id exmdb.ObjectID, tag mapi.Tag) mapi.Value {
	b.t.Helper()
	bag := b.props(id, tag)
	if bag.Len() != 1 {
		return nil
	}
	return bag.All()[0].Value
}

func (b *box) write(id exmdb.ObjectID, pairs ...any) *exmdb.WritePropsResponse {
	b.t.Helper()
	return call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: id, Set: bagOf(pairs...)})
}

func mid(m mapi.MID) exmdb.ObjectID { return exmdb.ObjectID{Message: m} }

func recipient(kind int32, name string) mapi.PropBag {
	return bagOf(mapi.PidTagRecipientType, mapi.Integer32(kind), mapi.PidTagDisplayName, mapi.String(name), mapi.PidTagSmtpAddress, mapi.String(name+"@example.test"))
}

func TestCreateReadSave(t *testing.T) {
	b := newBox(t, 0)
	st := b.create(&exmdb.CreateMessageRequest{Message: exmdb.MessageEdit{
		Set:               bagOf(mapi.PidTagSubject, mapi.String("RE: Harbour"), mapi.PidTagBody, mapi.String("text")),
		ReplaceRecipients: true, Recipients: []mapi.PropBag{recipient(1, "anna"), recipient(2, "carl"), recipient(1, "bert")},
		Attachments: []exmdb.AttachmentEdit{{Number: 3, Set: bagOf(mapi.PidTagAttachFilename, mapi.String("a.txt"), mapi.PidTagAttachDataBinary, mapi.Binary("data"))}},
	}})
	if st.UID != 1 || st.Associated || st.Flags.Bits != exmdb.FlagSeen|exmdb.FlagDraft || st.CN == 0 || st.Folder != schema.Drafts {
		t.Fatalf("%+v", st)
	}
	got := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(st.MID)})
	c := &got.Content
	for _, want := range []mapi.Prop{
		{Tag: mapi.PidTagSubject, Value: mapi.String("RE: Harbour")}, {Tag: mapi.PidTagSubjectPrefix, Value: mapi.String("RE: ")},
		{Tag: mapi.PidTagNormalizedSubject, Value: mapi.String("Harbour")}, {Tag: mapi.PidTagConversationTopic, Value: mapi.String("Harbour")},
		{Tag: mapi.PidTagDisplayTo, Value: mapi.String("anna; bert")}, {Tag: mapi.PidTagDisplayCc, Value: mapi.String("carl")}, {Tag: mapi.PidTagDisplayBcc, Value: mapi.String("")},
		{Tag: mapi.PidTagHasAttachments, Value: mapi.Boolean(true)}, {Tag: mapi.PidTagMessageFlags, Value: mapi.Integer32(0x19)},
		{Tag: mapi.PidTagMessageClass, Value: mapi.String("IPM.Note")}, {Tag: mapi.PidTagCreationTime, Value: mapi.FileTimeOf(b.now)},
		{Tag: mapi.PidTagMid, Value: oxcdata.MIDValue(st.MID)}, {Tag: mapi.PidTagMessageSize, Value: mapi.Integer32(int32(st.Size))},
	} {
		if v := c.Props.Get(want.Tag); v != want.Value {
			t.Errorf("%s is %v, want %v", want.Tag.Name(), v, want.Value)
		}
	}
	if len(c.Recipients) != 3 || c.Recipients[2].Get(mapi.PidTagRowid) != mapi.Integer32(2) {
		t.Errorf("recipients %v", c.Recipients)
	}
	if len(c.Attachments) != 1 || c.Attachments[0].Number != 3 || c.Attachments[0].Props.Get(mapi.PidTagAttachNumber) != mapi.Integer32(3) {
		t.Errorf("attachments %+v", c.Attachments)
	}
	b.checkSaves(st)
}

// checkSaves edits a message twice from one version: the second is refused, until it is forced.
func (b *box) checkSaves(st exmdb.MessageState) {
	b.t.Helper()
	save := &exmdb.SaveMessageRequest{Message: st.MID, Base: st.CN, Edit: exmdb.MessageEdit{
		Set: bagOf(mapi.PidTagSubject, mapi.String("Port")), Attachments: []exmdb.AttachmentEdit{{Number: 3, Remove: true}}}}
	second := call(b, exmdb.OpSaveMessage, save).State
	if second.CN <= st.CN || second.MID != st.MID || second.ReadCN != st.ReadCN || bytes.Equal(second.ChangeKey, st.ChangeKey) {
		b.t.Fatalf("%+v after %+v", second, st)
	}
	if b.prop(mid(st.MID), mapi.PidTagHasAttachments) != mapi.Boolean(false) || b.prop(mid(st.MID), mapi.PidTagSubjectPrefix) != nil {
		b.t.Fatal("attachment or prefix is still there")
	}
	refused(b, exmdb.OpSaveMessage, save, exmdb.KindConflict)
	save.Force = true
	if again := call(b, exmdb.OpSaveMessage, save).State; again.CN != second.CN {
		b.t.Fatalf("an edit that changes nothing moves cn from %d to %d", second.CN, again.CN)
	}
	refused(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: mid(st.MID), Base: st.CN}, exmdb.KindConflict)
}

// TestMAPIMessagesAreNotMail: what has no MIME form, and what is associated, is not seen or counted by IMAP, and goes
// with its folder without a trace.
func TestMAPIMessagesAreNotMail(t *testing.T) {
	b := newBox(t, 0)
	fid := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	edit := formless()
	edit.Set = bagOf(mapi.PidTagMessageFlags, mapi.Integer32(0))
	b.create(&exmdb.CreateMessageRequest{Folder: fid, Message: edit})
	fai := b.create(&exmdb.CreateMessageRequest{Folder: fid, Associated: true, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagBody, mapi.String("view"))}})
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: text("x")})
	f := b.folder(fid)
	if f.Messages != 1 || f.Unseen != 1 || len(b.rows(fid)) != 1 {
		t.Fatalf("%+v, %+v", f, b.rows(fid))
	}
	if u := call(b, exmdb.OpUIDs, &exmdb.UIDsRequest{Folder: fid}); len(u.UIDs) != 1 || u.FirstUnseen != 2 {
		t.Fatalf("%+v", u)
	}
	if ch := call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: fid, Since: 1}); len(ch.Rows) != 1 {
		t.Fatalf("%+v", ch)
	}
	bag := b.props(exmdb.ObjectID{Folder: fid})
	for tag, want := range map[mapi.Tag]mapi.Value{mapi.PidTagContentCount: mapi.Integer32(2), mapi.PidTagContentUnreadCount: mapi.Integer32(2),
		mapi.PidTagAssociatedContentCount: mapi.Integer32(1)} {
		if v := bag.Get(tag); v != want {
			t.Errorf("%s is %v, want %v", tag.Name(), v, want)
		}
	}
	if b.prop(mid(fai.MID), mapi.PidTagAssociated) != mapi.Boolean(true) {
		t.Error("the associated message is none")
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid})
	refused(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: mid(fai.MID)}, exmdb.KindNoMessage)
	b.checkEmpty()
}

// formless is an edit that makes a message whose MIME form is beyond the bounds.
func formless() exmdb.MessageEdit {
	var edit exmdb.MessageEdit
	for i := range uint32(400) {
		edit.Attachments = append(edit.Attachments, exmdb.AttachmentEdit{Number: i, Set: bagOf(mapi.PidTagAttachDataBinary, mapi.Binary(make([]byte, 8000)))})
	}
	return edit
}

// octets is a message as MIME protocols read it.
func (b *box) octets(fid mapi.FID, uid mapi.UID) string {
	b.t.Helper()
	return string(call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: fid, UID: uid, Length: exmdb.MaxReadBytes}).Data)
}

// TestEditOfAMailChangesItsUID: octets under a UID never change, so an edit inside what MIME shows gives the mail
// another UID; one outside leaves all as it is (MAILBOX 3). What its header does not say stays as it was received.
func TestEditOfAMailChangesItsUID(t *testing.T) {
	b := newBox(t, 0)
	m := large(3, 40_000)
	m.Recipe.Prefix = []byte("Return-Path: <>\r\n")
	m.Digest = mime.MarshalDigest(mime.Scan(append(m.Recipe.Segments[0].Raw, m.Inline[0]...)))
	mail := b.deliver(m)
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, mail.UID)
	b.write(mid(mail.MID), mapi.PidTagFlagStatus, mapi.Integer32(2), mapi.PidTagReplyRequested, mapi.Boolean(true))
	rows := b.rows(schema.Inbox)
	if len(rows) != 1 || rows[0].UID != mail.UID || rows[0].Flags.Bits != exmdb.FlagSeen|exmdb.FlagFlagged {
		t.Fatalf("%+v", rows)
	}
	since := b.folder(schema.Inbox).ContentSeq
	b.write(mid(mail.MID), mapi.PidTagSubject, mapi.String("other"))
	ch := call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: since})
	if len(ch.Rows) != 1 || ch.Rows[0].UID != mail.UID+1 || len(ch.Vanished) != 1 || ch.Vanished[0].First != mail.UID {
		t.Fatalf("%+v", ch)
	}
	row := b.rowOf(mail.MID)
	if row.Original != row.Object || row.MID != mail.MID || row.Bits.Flags() != exmdb.FlagSeen|exmdb.FlagFlagged {
		t.Fatalf("%+v", row)
	}
	head, body := "Return-Path: <>\r\nSubject: other\r\n\r\n", string(m.Inline[0])
	if got := b.octets(schema.Inbox, mail.UID+1); got != head+body || uint64(len(got)) != row.Size {
		t.Fatalf("%q of %d octets, %d by the row", got[:100], len(got), row.Size)
	}
	// Once more, and then the body too: the received one is not served any more, but it stays.
	b.write(mid(mail.MID), mapi.PidTagSubject, mapi.String("third"))
	if got := b.octets(schema.Inbox, mail.UID+2); got != strings.Replace(head, "other", "third", 1)+body {
		t.Fatalf("%q", got[:100])
	}
	b.write(mid(mail.MID), mapi.PidTagBody, mapi.String("new text"))
	if got := b.octets(schema.Inbox, mail.UID+3); !strings.Contains(got, "Subject: third\r\n") || !strings.HasSuffix(got, "\r\n\r\nnew text=\r\n") {
		t.Fatalf("%q", got)
	}
	b.write(mid(mail.MID), mapi.PidTagSubject, mapi.String("fourth"))
	if got := b.octets(schema.Inbox, mail.UID+4); !strings.Contains(got, "Subject: fourth\r\n") || !strings.HasSuffix(got, "\r\n\r\nnew text=\r\n") {
		t.Fatalf("%q", got)
	}
	if b.rowOf(mail.MID).Original != row.Original || b.folder(schema.Inbox).Messages != 1 {
		t.Fatalf("%+v", b.rowOf(mail.MID))
	}
	b.update(func(t *tx) error { return t.remove(mail.MID) })
	b.checkEmpty()
}

// remove takes a message away for good.
func (t *tx) remove(mid mapi.MID) error {
	fid, m, err := t.find(mid)
	if err != nil {
		return err
	}
	c, err := t.edit(fid)
	if err != nil {
		return err
	}
	t.take(fid, c, m)
	t.leave(&m.row)
	return t.destroy(&m.row)
}

func (b *box) rowOf(mid mapi.MID) (row schema.Row) {
	b.t.Helper()
	b.view(func(v *view) error {
		_, m, err := v.find(mid)
		if err == nil {
			row = m.row
		}
		return err
	})
	return row
}

func (b *box) view(fn func(v *view) error) {
	b.t.Helper()
	err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
		v, err := New(steady()).open(r, &b.as, rightRead)
		if err != nil {
			return err
		}
		return fn(v)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestFolderAndStoreProps(t *testing.T) {
	b := newBox(t, 0)
	inbox, store := exmdb.ObjectID{Folder: schema.Inbox}, exmdb.ObjectID{}
	before := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: inbox})
	w := b.write(inbox, mapi.PidTagComment, mapi.String("mail"), mapi.PidTagContentCount, mapi.Integer32(9), mapi.PidTagAttributeHidden, mapi.Boolean(true))
	if len(w.Problems) != 1 || w.Problems[0].Tag != mapi.PidTagContentCount || w.Problems[0].Code != mapi.ErrorComputed || w.CN <= before.CN {
		t.Fatalf("%+v", w)
	}
	if b.prop(inbox, mapi.PidTagComment) != mapi.String("mail") || b.prop(inbox, mapi.PidTagDisplayName) != mapi.String("Inbox") {
		t.Fatal(b.props(inbox))
	}
	refused(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: inbox, Set: bagOf(mapi.PidTagDisplayName, mapi.String("In"))}, exmdb.KindFixedFolder)
	entry, _ := b.prop(inbox, mapi.PidTagIpmAppointmentEntryId).(mapi.Binary)
	id, err := oxcdata.ParseEntryID(entry)
	if folder, ok := id.(*oxcdata.FolderEntryID); err != nil || !ok || folder.Folder.Counter != 0x0F || mapi.MailboxID(folder.Provider) != mapi.MailboxID(b.id) {
		t.Fatalf("%+v, %v", id, err)
	}
	long := mapi.Binary(bytes.Repeat([]byte("view"), 10_000))
	b.write(store, mapi.PidTagComment, mapi.String("mine"), mapi.PidTagRoamingDictionary, long)
	if b.prop(store, mapi.PidTagComment) != mapi.String("mine") {
		t.Fatal(b.props(store))
	}
	value := call(b, exmdb.OpReadValue, &exmdb.ReadValueRequest{Tag: mapi.PidTagRoamingDictionary, Offset: 39_990, Length: 100})
	if string(value.Data) != "ewviewview" || value.Size != 40_000 {
		t.Fatalf("%q of %d", value.Data, value.Size)
	}
	refused(b, exmdb.OpReadValue, &exmdb.ReadValueRequest{Tag: mapi.PidTagBody, Length: 1}, exmdb.KindNoProperty)
	refused(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Embedded: true}}, cluster.KindBadRequest)
}
