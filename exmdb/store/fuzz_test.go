package store

import (
	"context"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// FuzzOps: whatever bytes an op is asked with, the answer is one or a refusal with a kind, and the books are kept.
func FuzzOps(f *testing.F) {
	seed := func(op exmdb.OpInfo, req any) { f.Add(uint16(op.ID), wire.Marshal(req)) }
	edit := exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("RE: x"), mapi.NewTag(0x8000, mapi.TypeMultiString), mapi.Strings{"Red"}, mapi.PidTagMessageFlags, mapi.Integer32(1)),
		Delete: []mapi.Tag{mapi.PidTagBody}, ReplaceRecipients: true, Recipients: []mapi.PropBag{recipient(1, "anna")},
		Attachments: []exmdb.AttachmentEdit{{Number: 1, Embedded: &exmdb.MessageEdit{Set: bagOf(mapi.PidTagBody, mapi.String("x"))}}}}
	payload := exmdb.Payload{Names: []mapi.PropertyName{mapi.PidNameKeywords.PropertyName}}
	const mid = mapi.MID(1<<48 | 0x11E)
	object := exmdb.ObjectID{Message: mid, Attachments: []uint32{1}, Embedded: true}
	seed(exmdb.OpCreateMessage.OpInfo, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: edit, Payload: payload})
	seed(exmdb.OpSaveMessage.OpInfo, &exmdb.SaveMessageRequest{Message: mid, Edit: edit, Payload: payload, Force: true})
	seed(exmdb.OpReadProps.OpInfo, &exmdb.ReadPropsRequest{Object: object, Tags: []mapi.Tag{mapi.PidTagSubject}, Names: true})
	seed(exmdb.OpWriteProps.OpInfo, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: schema.Inbox}, Set: bagOf(mapi.PidTagComment, mapi.String("x"))})
	seed(exmdb.OpWriteProps.OpInfo, &exmdb.WritePropsRequest{Object: object, Set: edit.Set, Payload: payload})
	seed(exmdb.OpReadMessage.OpInfo, &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Message: mid}, Nested: true, Names: true})
	seed(exmdb.OpReadValue.OpInfo, &exmdb.ReadValueRequest{Object: object, Tag: mapi.PidTagBody, Length: 9})
	seed(exmdb.OpNameProperties.OpInfo, &exmdb.NamesRequest{Names: payload.Names})
	seed(exmdb.OpPropertyNames.OpInfo, &exmdb.PropertyNamesRequest{IDs: []uint16{0x8000}})
	seed(exmdb.OpSetReceiveFolder.OpInfo, &exmdb.SetReceiveFolderRequest{Class: "IPM.X", Folder: schema.Sent})
	seed(exmdb.OpShortTermIDs.OpInfo, &exmdb.ShortTermIDsRequest{GIDs: []mapi.GID{{Replica: mapi.GUID{1}, Counter: 5}}})
	seed(exmdb.OpMoveMessages.OpInfo, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Target: schema.Sent})
	seed(exmdb.OpSetFlags.OpInfo, &exmdb.SetFlagsRequest{Folder: schema.Inbox, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: 1}})
	version := exmdb.ImportedVersion{ChangeKey: append(make([]byte, 16), 1), PCL: append([]byte{17}, append(make([]byte, 16), 1)...)}
	scope := exmdb.SyncScope{Flags: exmdb.SyncNormal | exmdb.SyncReadState | exmdb.SyncWhole}
	seed(exmdb.OpSyncContents.OpInfo, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: scope, Holds: true, Cursor: exmdb.SyncCursor{Phase: exmdb.SyncCompare}})
	seed(exmdb.OpSyncHierarchy.OpInfo, &exmdb.SyncHierarchyRequest{Folder: schema.IPMSubtree, Tags: []mapi.Tag{mapi.PidTagComment}})
	seed(exmdb.OpImportMessage.OpInfo, &exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: make([]byte, 22), Version: version, Message: edit, Payload: payload})
	seed(exmdb.OpImportFolder.OpInfo, &exmdb.ImportFolderRequest{Parent: schema.IPMSubtree, SourceKey: make([]byte, 22), Version: version, Name: "x"})
	seed(exmdb.OpImportDeletes.OpInfo, &exmdb.ImportDeletesRequest{Folder: schema.Inbox, SourceKeys: [][]byte{make([]byte, 22)}})
	seed(exmdb.OpImportMove.OpInfo, &exmdb.ImportMoveRequest{Folder: schema.Inbox, From: schema.Sent, SourceKey: make([]byte, 22), Target: make([]byte, 22), ChangeKey: version.ChangeKey})
	content := exmdb.MessageContent{Props: edit.Set, Recipients: edit.Recipients, Attachments: []exmdb.Attachment{{Number: 1, Embedded: &exmdb.MessageContent{}}}}
	body := text("Subject: x\r\n\r\n")
	seed(exmdb.OpTakeIn.OpInfo, &exmdb.TakeInRequest{Source: cluster.SpaceID{1}, Number: 1, As: exmdb.System, Target: schema.Inbox,
		Message: exmdb.CarriedMessage{Body: &body, Content: content, HasRecipients: true, Names: []exmdb.NamedID{{ID: 0x8000, Name: payload.Names[0]}}}})
	seed(exmdb.OpTakeIn.OpInfo, &exmdb.TakeInRequest{Source: cluster.SpaceID{1}, Number: 1, As: exmdb.System, Target: schema.Inbox,
		Message: exmdb.CarriedMessage{Marks: uint32(schema.RowAssociated | schema.RowBorn), Content: content, HasRecipients: true}})
	crossing := exmdb.Crossing{Folder: schema.Inbox, Message: mid, Mailbox: mapi.MailboxID{1}, Target: schema.Inbox, As: exmdb.System}
	seed(exmdb.OpCrossing.OpInfo, &crossing)
	seed(exmdb.OpFinishCrossing.OpInfo, &exmdb.FinishCrossingRequest{Crossing: crossing})
	seed(exmdb.OpCarryAcross.OpInfo, &exmdb.CarryAcrossRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Mailbox: mapi.MailboxID{1}, Target: schema.Inbox})
	f.Fuzz(func(t *testing.T, op uint16, payload []byte) {
		h, known := table[exmdb.OpID(op)]
		if !known || h.ID == exmdb.OpCreateMailbox.ID {
			return
		}
		b := newBox(t, 0)
		b.deliver(sample(t))
		b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: edit, Payload: exmdb.Payload{Names: []mapi.PropertyName{mapi.PidNameKeywords.PropertyName}}})
		if kind := cluster.KindOf(b.raise(h, payload)); kind == cluster.KindInternal || kind == cluster.KindDamaged {
			t.Fatalf("%s of %x: %v", h.Name, payload, b.raise(h, payload))
		}
		if h.ID != exmdb.OpDeleteMailbox.ID { // which leaves no books
			b.audit(h.Name)
		}
	})
}

// raise runs a handler with a request as it comes, and returns what it refuses it with.
func (b *box) raise(h Handler, req []byte) error {
	as := exmdb.System
	if h.View != nil {
		err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
			_, err := h.View(r, &as, req)
			return err
		})
		return orOK(err)
	}
	_, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return h.Run(w, &as, req) })
	return orOK(err)
}

// orOK stands in place of no error, which has no kind.
func orOK(err error) error {
	if err == nil {
		return cluster.ErrExists
	}
	return err
}
