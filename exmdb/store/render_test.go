package store

import (
	"bytes"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestMAPIMessagesAreMailToIMAP: a message that a MAPI client made is there for IMAP at once, with the octets that its
// row says, whose structure is the digest's; content is named, not copied.
func TestMAPIMessagesAreMailToIMAP(t *testing.T) {
	b := newBox(t, 0)
	file := bytes.Repeat([]byte("0123456789"), 12_000)
	st := b.create(&exmdb.CreateMessageRequest{Message: exmdb.MessageEdit{
		Set:               bagOf(mapi.PidTagSubject, mapi.String("Grüße"), mapi.PidTagBody, mapi.String("text"), mapi.PidTagSentRepresentingSmtpAddress, mapi.String("anna@example.test")),
		ReplaceRecipients: true, Recipients: []mapi.PropBag{recipient(1, "bert")},
		Attachments: []exmdb.AttachmentEdit{{Set: bagOf(mapi.PidTagAttachLongFilename, mapi.String("a.bin"), mapi.PidTagAttachDataBinary, mapi.Binary(file))},
			{Number: 1, Embedded: &exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("inner"), mapi.PidTagBody, mapi.String("inside"))}}},
	}})
	row := b.rows(schema.Drafts)[0]
	octets := b.octets(schema.Drafts, row.UID)
	if row.UID != st.UID || row.MID != st.MID || uint64(len(octets)) != row.Size || row.Flags.Bits&exmdb.FlagDraft == 0 {
		t.Fatalf("%+v, %d octets", row, len(octets))
	}
	root := mime.Scan([]byte(octets))
	if !bytes.Equal(mime.MarshalDigest(root), row.Digest) || root.Envelope.DecodedSubject() != "Grüße" || len(root.Parts) != 3 || root.Parts[2].Parts[0].Envelope.Subject != "inner" {
		t.Fatal(octets)
	}
	if st.Size < uint64(len(file)) || st.Size > uint64(len(file))+2000 {
		t.Fatalf("the form is counted beside the properties: %d", st.Size)
	}
	// Flags leave the octets as they are; an edit gives them another UID.
	b.write(mid(st.MID), mapi.PidTagFlagStatus, mapi.Integer32(2), mapi.PidTagReplyRequested, mapi.Boolean(true))
	if again := b.rows(schema.Drafts)[0]; again.UID != row.UID || b.octets(schema.Drafts, again.UID) != octets {
		t.Fatalf("%+v", again)
	}
	call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: st.MID, Edit: exmdb.MessageEdit{Attachments: []exmdb.AttachmentEdit{{Remove: true}}}})
	again := b.rows(schema.Drafts)[0]
	if again.UID != row.UID+1 || strings.Contains(b.octets(schema.Drafts, again.UID), "a.bin") {
		t.Fatalf("%+v", again)
	}
	// A copy shares the form until one of the two is edited.
	c := call(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Drafts, UIDs: ranges(again.UID), Target: schema.Sent})
	b.write(mid(st.MID), mapi.PidTagSubject, mapi.String("changed"))
	if got := b.octets(schema.Sent, c.Target[0].First); !strings.Contains(got, "=C3=BC") || strings.Contains(got, "changed") {
		t.Fatal(got)
	}
	b.update(func(t *tx) error { return t.remove(st.MID) })
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Sent, All: true})
	b.checkEmpty()
}

// TestFormComesWhenItCan: a message whose form is too large is not mail until it is smaller, and comes then under a
// UID above all that were seen.
func TestFormComesWhenItCan(t *testing.T) {
	b := newBox(t, 0)
	st := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: formless()})
	if st.UID != 0 || b.folder(schema.Inbox).Messages != 0 || b.rowOf(st.MID).Bits&schema.RowUnrendered == 0 {
		t.Fatalf("%+v", st)
	}
	later := b.deliver(sample(t))
	since := b.folder(schema.Inbox).ContentSeq
	smaller := call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: st.MID, Edit: exmdb.MessageEdit{Clear: true, Set: bagOf(mapi.PidTagSubject, mapi.String("small"))}}).State
	if smaller.UID <= later.UID {
		t.Fatalf("%+v after UID %d", smaller, later.UID)
	}
	ch := call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: since})
	if len(ch.Rows) != 1 || ch.Rows[0].UID != smaller.UID || len(ch.Vanished) != 0 {
		t.Fatalf("%+v", ch)
	}
	larger := call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: st.MID, Edit: formless()}).State
	if ch = call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: ch.Stamp}); larger.UID != 0 || len(ch.Rows) != 0 || len(ch.Vanished) != 1 {
		t.Fatalf("%+v, %+v", larger, ch)
	}
	b.update(func(t *tx) error { return t.remove(st.MID) })
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	b.checkEmpty()
}

// TestConflictsAreNotRendered: the versions in a conflict are MAPI's matter.
func TestConflictsAreNotRendered(t *testing.T) {
	b := newBox(t, 0)
	st := b.create(&exmdb.CreateMessageRequest{Message: subjectEdit("base")})
	base := b.pcl(st.MID)
	for i, name := range []string{"anna", "bert"} {
		c := offline{guid: mapi.GUID{byte(i + 1)}}
		if _, err := b.bring(st.MID, c.edit(base, b.now), subjectEdit(name), false); err != nil {
			t.Fatal(err)
		}
	}
	octets := b.octets(schema.Drafts, b.rows(schema.Drafts)[0].UID)
	if len(b.versions(st.MID)) != 2 || !strings.Contains(octets, "Subject: bert\r\n") || strings.Contains(octets, "anna") {
		t.Fatal(octets)
	}
}
