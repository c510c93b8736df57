package mailpath

import (
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// edit sets properties of a message and gives the octets that are served of it afterwards, under its new UID.
func (h *house) edit(row *exmdb.Row, set mapi.PropBag) string {
	h.t.Helper()
	saved := call(h, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: row.MID, Edit: exmdb.MessageEdit{Set: set}})
	if saved.State.UID <= row.UID {
		h.t.Fatalf("an edited message has UID %d, it had %d", saved.State.UID, row.UID)
	}
	now := call(h, exmdb.OpRows, &exmdb.RowsRequest{Folder: inbox, Fields: exmdb.RowMeta, Limit: 10,
		UIDs: []exmdb.UIDRange{{First: saved.State.UID, Last: saved.State.UID}}}).Rows[0]
	return string(h.octets(&now))
}

// TestAnEditLosesNothing: what a client changes of a received mail is changed; the header, the other texts and what is attached
// stay, and a flag changes no octet.
func TestAnEditLosesNothing(t *testing.T) {
	h := newHouse(t)
	text, file := strings.Repeat("Text of the mail.\r\n", 60), mails.Lines(strings.Repeat("iVBORw0KGgoA", 2000))
	mail := mails.Usual + "Subject: minutes\r\nList-Id: <harbour.example.test>\r\nX-Odd: kept\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n" +
		"--m\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "--m\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + file + "\r\n--m--\r\n"
	for name, of := range map[string]struct {
		tag  mapi.Tag
		has  []string
		lost []string
	}{
		"body":    {mapi.PidTagBody, []string{"X-Odd: kept", "List-Id: <harbour.example.test>", "Subject: minutes", "another", "plan.pdf", file}, []string{text}},
		"subject": {mapi.PidTagSubject, []string{"X-Odd: kept", "List-Id: <harbour.example.test>", "another", text, "plan.pdf", file}, []string{"minutes"}},
	} {
		mail := "X-Case: " + name + "\r\n" + mail
		row := h.send([]byte(mail))
		flagged := call(h, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: row.MID, Edit: exmdb.MessageEdit{Set: bagOf(mapi.PidTagFlagStatus, mapi.Integer32(2))}})
		if flagged.State.UID != row.UID || string(h.octets(&row)) != mail {
			t.Errorf("%s: a flag changed the octets", name)
		}
		got := h.edit(&row, bagOf(of.tag, mapi.String("another")))
		for _, s := range of.has {
			if !strings.Contains(got, s) {
				t.Errorf("%s: %.60q is lost of %.2000q", name, s, got)
			}
		}
		for _, s := range of.lost {
			if strings.Contains(got, s) {
				t.Errorf("%s: %.60q is still there", name, s)
			}
		}
		props := call(h, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: row.MID}, Tags: []mapi.Tag{of.tag, mapi.PidTagHasAttachments}}).Props
		if props.Get(of.tag) != mapi.String("another") || props.Get(mapi.PidTagHasAttachments) != mapi.Boolean(true) {
			t.Errorf("%s: the message says %v", name, props.All())
		}
	}
}

// TestACopyHasItsOwn: a copy of a mail is the message too, and stays when the other goes for good.
func TestACopyHasItsOwn(t *testing.T) {
	h := newHouse(t)
	row := h.send(large(20 << 10))
	values := func(id mapi.MID) (all []string) {
		c := comparison{house: h}
		for _, at := range []exmdb.ObjectID{{Message: id}, {Message: id, Attachments: []uint32{0}}, {Message: id, Attachments: []uint32{2}}} {
			tags := []mapi.Tag{mapi.PidTagBody, mapi.PidTagHtml}
			if len(at.Attachments) > 0 {
				tags = []mapi.Tag{mapi.PidTagAttachDataBinary}
			}
			for _, tag := range tags {
				all = append(all, string(c.value(at, mapi.Prop{Tag: tag})))
			}
		}
		return all
	}
	want := values(row.MID)
	copied := call(h, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: inbox, Messages: []mapi.MID{row.MID}, Target: mapi.LocalFID(0x0A)})
	call(h, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: inbox, All: true})
	if got := values(copied.To[0]); !slices.Equal(got, want) || len(want[0]) < 10_000 || len(want[2]) < 10_000 {
		t.Errorf("values of %d, %d, %d bytes, want %d, %d, %d", len(got[0]), len(got[1]), len(got[2]), len(want[0]), len(want[1]), len(want[2]))
	}
}

func bagOf(t mapi.Tag, v mapi.Value) mapi.PropBag {
	var bag mapi.PropBag
	bag.Set(t, v)
	return bag
}
