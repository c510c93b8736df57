package intents

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const askingMail = "From: Bert <bert@example.test>\r\nTo: Anna <anna@example.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <7@example.test>\r\n" +
	"Date: Tue, 03 Mar 2026 10:20:30 +0100\r\nDisposition-Notification-To: Bert <bert@example.test>\r\nX-Secret: no\r\n\r\nHello Anna.\r\n"

// firstOf is the first message in somebody's inbox.
func (w *town) firstOf(name string) mapi.MID {
	w.t.Helper()
	return do(w, name, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta}).Rows[0].MID
}

func (w *town) read(name string, flags exmdb.ReadFlags) {
	w.t.Helper()
	do(w, name, exmdb.OpSetReadFlags, &exmdb.SetReadFlagsRequest{Folder: schema.Inbox, Messages: []mapi.MID{w.firstOf(name)}, Flags: flags})
}

// classOf is the class of the only message in somebody's inbox.
func (w *town) classOf(name string) mapi.Value {
	w.t.Helper()
	r := do(w, name, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: w.firstOf(name)}, Tags: []mapi.Tag{mapi.PidTagMessageClass}})
	return r.Props.Get(mapi.PidTagMessageClass)
}

func TestReceipts(t *testing.T) {
	w := newTown(t)
	w.send("bert@example.test", "anna", askingMail)
	w.read("anna", 0)
	w.settle()
	receipt := w.one("bert")
	has(t, receipt, "Return-Path: <>\r\n", "From: \"Anna\" <anna@example.test>\r\n", "To: \"Bert\" <bert@example.test>\r\n", "Subject: =?utf-8?q?Read:_Gr=C3=BC=C3=9Fe?=\r\n",
		"In-Reply-To: <7@example.test>\r\n", "Auto-Submitted: auto-replied\r\n", "X-Auto-Response-Suppress: All\r\n",
		"Content-Type: multipart/report; report-type=disposition-notification;\r\n", "Content-Type: message/disposition-notification\r\n",
		"Final-Recipient: rfc822; anna@example.test\r\n", "Original-Message-ID: <7@example.test>\r\n",
		"Disposition: automatic-action/MDN-sent-automatically; displayed\r\n", "Content-Type: text/rfc822-headers\r\n", "was read on ")
	if strings.Contains(receipt, "Secret") || strings.Contains(receipt, "Disposition-Notification-To") {
		t.Errorf("%s", receipt)
	}
	if got := w.classOf("bert"); got != mapi.String("REPORT.IPM.Note.IPNRN") {
		t.Errorf("class %v", got)
	}
	// Nothing is owed for a receipt.
	w.read("bert", exmdb.ReadReceiptOnly)
	w.settle()
	if n := len(w.inbox("anna")); n != 1 {
		t.Errorf("anna has %d mails", n)
	}
}

func TestReceiptsOfMailThatWasNotRead(t *testing.T) {
	w := newTown(t)
	w.send("bert@example.test", "anna", askingMail)
	do(w, "anna", exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{w.firstOf("anna")}, Hard: true, NotifyUnread: true})
	w.settle()
	has(t, w.one("bert"), "Subject: =?utf-8?q?Not_read:_Gr=C3=BC=C3=9Fe?=\r\n", "; deleted\r\n", "was deleted without being read on ")
	if got := w.classOf("bert"); got != mapi.String("REPORT.IPM.Note.IPNNRN") {
		t.Errorf("class %v", got)
	}
}

func TestReceiptsThatTheUserWants(t *testing.T) {
	w := newTown(t)
	w.send("bert@example.test", "anna", strings.Replace(askingMail, "To: Bert <bert@", "To: Carl <carl@", 1))
	w.read("anna", 0)
	w.settle()
	if n := len(w.inbox("carl")); n != 0 {
		t.Fatalf("carl has %d mails that nobody wanted him to have", n)
	}
	w.read("anna", exmdb.ReadReceiptOnly)
	w.settle()
	has(t, w.one("carl"), "Disposition: manual-action/MDN-sent-manually; displayed\r\n", "To: \"Carl\" <carl@example.test>\r\n")
}

// A receipt of a mailbox whose owner is gone is not sent, and does not wait for ever.
func TestReceiptsOfNobody(t *testing.T) {
	w := newTown(t)
	j := &job{Performer: w.performer(1), box: w.boxes["anna"], out: &exmdb.Outgoing{}, from: &exmdb.OutgoingResponse{Owner: mapi.NewGUID()}}
	if err := j.known(t.Context()); !hopeless(err) {
		t.Errorf("%v", err)
	}
}

// Whatever fails on the way, a receipt is sent once.
func TestReceiptsAreSentOnce(t *testing.T) {
	for _, op := range []exmdb.OpInfo{exmdb.OpOutgoing.OpInfo, exmdb.OpReadOutgoing.OpInfo, exmdb.OpFinishOutgoing.OpInfo, exmdb.OpDeliver.OpInfo} {
		for kind, fault := range map[string]error{"lost": cluster.ErrUnavailable, "unheard": errUnheard} {
			w := newTown(t)
			w.send("bert@example.test", "anna", askingMail)
			w.read("anna", 0)
			w.faults[ops.ID(op.ID)] = []error{fault, nil, fault}
			w.settle()
			if n := len(w.inbox("bert")); n != 1 {
				t.Errorf("%s %s: %d receipts", op.Name, kind, n)
			}
		}
	}
	for name, fault := range map[string]space.LocalFault{"lost": space.FaultLostEntry, "unheard": space.FaultLostAnswer, "void": space.FaultVoidTerm} {
		for n := range 5 {
			w := newTown(t)
			w.send("bert@example.test", "anna", askingMail)
			w.read("anna", 0)
			w.Replicas[1].Local.Fail(append(make([]space.LocalFault, n), fault)...)
			w.settle()
			if got := len(w.inbox("bert")); got != 1 {
				t.Errorf("%s %d: %d receipts", name, n, got)
			}
		}
	}
}
