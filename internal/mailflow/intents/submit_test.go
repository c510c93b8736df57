package intents

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// written makes a message of anna's, to bert and in secret to carl, that is to be sent in an hour.
func (w *town) written() exmdb.MessageState {
	w.t.Helper()
	var set mapi.PropBag
	set.Set(mapi.PidTagSubject, mapi.String("in an hour"))
	set.Set(mapi.PidTagBody, mapi.String("text"))
	set.Set(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(w.Now().Add(time.Hour)))
	edit := exmdb.MessageEdit{Set: set, ReplaceRecipients: true}
	for kind, address := range map[mapi.Integer32]string{1: "bert@example.test", 3: "carl@example.test"} {
		var r mapi.PropBag
		r.Set(mapi.PidTagRecipientType, kind)
		r.Set(mapi.PidTagSmtpAddress, mapi.String(address))
		edit.Recipients = append(edit.Recipients, r)
	}
	return do(w, "anna", exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: mapi.LocalFID(0x0C), Message: edit}).State
}

// due does a work of anna's mailbox as the leader of its group does.
func (w *town) due(d space.Due) {
	w.t.Helper()
	work := server.Due{Replica: w.Replica(1), Config: store.Defaults()}
	if err := work.PerformDue(w.t.Context(), cluster.SpaceID(w.boxes["anna"]), d); err != nil {
		w.t.Fatal(err)
	}
}

// TestDeferredMailIsSentOnce: a message waits until its time, and is then brought to each recipient once, although the work is
// done by two leaders, and every answer on its way is lost once.
func TestDeferredMailIsSentOnce(t *testing.T) {
	w := newTown(t)
	m := w.written()
	r := do(w, "anna", exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: m.MID, Own: []string{"anna@example.test"}, Name: "Anna"})
	if !r.Waits {
		t.Fatalf("%+v", r)
	}
	d := space.Due{At: r.At, Op: store.DueSend, Key: binary.BigEndian.AppendUint64(nil, uint64(m.Object))}
	w.settle()
	if got := do(w, "bert", exmdb.OpMailboxInfo, &exmdb.Empty{}).Messages; got != 0 {
		t.Fatalf("bert has %d mails before the time", got)
	}
	w.Pass(2 * time.Hour)
	for _, op := range []exmdb.OpID{exmdb.OpOutgoing.ID, exmdb.OpFinishOutgoing.ID, exmdb.OpDeliver.ID} {
		w.faults[ops.ID(op)] = []error{errUnheard}
	}
	w.due(d)
	w.due(d)
	w.settle()
	for _, name := range []string{"bert", "carl"} {
		mail := w.one(name)
		has(t, mail, "Subject: in an hour\r\n", "Return-Path: <anna@example.test>\r\nDelivered-To: "+name+"@example.test\r\n", "text")
		if strings.Contains(mail, "Bcc") {
			t.Errorf("%s is told who got it in secret:\n%s", name, mail)
		}
	}
	if info := do(w, "anna", exmdb.OpMailboxInfo, &exmdb.Empty{}); info.Messages != 1 {
		t.Errorf("anna has %d messages", info.Messages)
	}
}

// TestDeferredMailTakenBack is not sent, whoever does the work afterwards.
func TestDeferredMailTakenBack(t *testing.T) {
	w := newTown(t)
	m := w.written()
	r := do(w, "anna", exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: m.MID, Own: []string{"anna@example.test"}})
	do(w, "anna", exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: m.MID})
	w.Pass(2 * time.Hour)
	w.due(space.Due{At: r.At, Op: store.DueSend, Key: binary.BigEndian.AppendUint64(nil, uint64(m.Object))})
	w.settle()
	if got := do(w, "bert", exmdb.OpFolder, &exmdb.FolderRequest{Folder: schema.Inbox}).Folder.Messages; got != 0 {
		t.Errorf("bert has %d mails", got)
	}
}
