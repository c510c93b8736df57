// Package mailpath holds what a mail is on its way in to what it is in the mailbox: for MAPI the message that the conversion
// makes of it, for IMAP the octets that came.
package mailpath

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// house is a mailbox and the way into it.
type house struct {
	*deliver.Deliverer
	t     testing.TB
	group *mailboxes.Group
	box   mapi.MailboxID
}

func newHouse(t testing.TB) *house {
	t.Helper()
	g := mailboxes.New(t, store.Defaults())
	return &house{t: t, group: g, box: g.Create(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser}),
		Deliverer: &deliver.Deliverer{Caller: g, Spool: t.TempDir(), Limit: exmdb.MaxMessage, Host: "mail.example.test", Now: time.Now}}
}

func call[Q, R any](h *house, op exmdb.Op[Q, R], req *Q) *R {
	h.t.Helper()
	resp, err := exmdb.Do(h.t.Context(), h.group, exmdb.System, h.box, op, req)
	if err != nil {
		h.t.Fatalf("%s: %v", op.Name, err)
	}
	return resp
}

// inbox is the Inbox in every mailbox.
var inbox = mapi.LocalFID(0x0D)

// send delivers a mail and says where it is.
func (h *house) send(octets []byte) exmdb.Row {
	h.t.Helper()
	h.deliver(octets)
	last := call(h, exmdb.OpFolder, &exmdb.FolderRequest{Folder: inbox}).Folder.UIDNext - 1
	return call(h, exmdb.OpRows, &exmdb.RowsRequest{Folder: inbox, UIDs: []exmdb.UIDRange{{First: last, Last: last}}, Fields: exmdb.RowMeta, Limit: 1}).Rows[0]
}

// deliver delivers a mail to the house, and to other mailboxes of the group.
func (h *house) deliver(octets []byte, boxes ...mapi.MailboxID) {
	h.t.Helper()
	m, err := h.Receive(h.t.Context(), bytes.NewReader(octets), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	var to []mailflow.Recipient
	for i, box := range append(boxes, h.box) {
		to = append(to, mailflow.Recipient{Address: fmt.Sprintf("u%d@example.test", i),
			To: directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: box}}}})
	}
	for _, r := range h.Deliver(h.t.Context(), &mailflow.Envelope{From: "bob@elsewhere.test", With: "ESMTP"}, to, m) {
		if r.Err != nil {
			h.t.Fatal(r.Err)
		}
	}
	if err := m.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// octets are what is served of a message, without what the delivery put in front.
func (h *house) octets(row *exmdb.Row) []byte {
	h.t.Helper()
	var all []byte
	for uint64(len(all)) < row.Size {
		part := call(h, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: inbox, UID: row.UID, Offset: uint64(len(all)), Length: exmdb.MaxReadBytes})
		if len(part.Data) == 0 {
			break
		}
		all = append(all, part.Data...)
	}
	return all[row.Prefix:]
}

// memory keeps what a conversion makes.
type memory struct {
	mail    []byte
	content map[[32]byte][]byte
}

func (m *memory) Range(from, to int64, encoding string) (mapi.Reference, error) {
	return m.Stream(mime.NewDecoder(encoding, bytes.NewReader(m.mail[from:to])))
}

func (m *memory) Stream(r io.Reader) (mapi.Reference, error) {
	b, err := io.ReadAll(r)
	hash := [32]byte{byte(len(m.content)), byte(len(m.content) >> 8), 1}
	m.content[hash] = b
	return mapi.Reference{{Hash: hash, Size: uint32(len(b))}}, err
}

// shown is a bag as text by the names of its properties, values that are content by what read finds.
func shown(bag *mapi.PropBag, nameOf func(uint16) mapi.PropertyName, read func(p mapi.Prop) []byte) map[string]string {
	out := make(map[string]string)
	for _, p := range bag.All() {
		key := p.Tag.Name()
		if p.Tag.Named() {
			key = fmt.Sprintf("%+v %v", nameOf(p.Tag.ID()).Canonical(), p.Tag.Type())
		}
		if _, long := p.Value.(mapi.Reference); long {
			out[key] = string(read(p))
		} else {
			out[key] = string(mapi.AppendValue(nil, p.Value))
		}
	}
	return out
}

// comparison is a message in the mailbox beside what the mail became.
type comparison struct {
	*house
	kept  *memory
	names *oxcmsg.Names
	ids   map[uint16]mapi.PropertyName
	id    mapi.MID
}

func (c *comparison) expected(bag *mapi.PropBag) map[string]string {
	return shown(bag, func(id uint16) mapi.PropertyName { name, _ := c.names.Name(id); return name }, func(p mapi.Prop) []byte {
		return c.kept.content[p.Value.(mapi.Reference)[0].Hash]
	})
}

func (c *comparison) stored(bag *mapi.PropBag, at exmdb.ObjectID) map[string]string {
	return shown(bag, func(id uint16) mapi.PropertyName { return c.ids[id] }, func(p mapi.Prop) []byte { return c.value(at, p) })
}

// value reads a long value in the two ways there are: of a recipient there is only what it refers to.
func (c *comparison) value(at exmdb.ObjectID, p mapi.Prop) []byte {
	var all []byte
	for {
		part := call(c.house, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: at, Tag: p.Tag, Offset: uint64(len(all)), Length: exmdb.MaxReadBytes})
		all = append(all, part.Data...)
		if uint64(len(all)) >= part.Size {
			return all
		}
	}
}

// apart are what a mailbox has its own word on.
var apart = func() map[string]bool {
	all := make(map[string]bool)
	for _, t := range []mapi.Tag{mapi.PidTagTransportMessageHeaders, mapi.PidTagFlagStatus, mapi.PidTagConversationId, mapi.PidTagSubject,
		mapi.PidTagMessageFlags, mapi.PidTagMessageStatus, mapi.PidTagMessageDeliveryTime, mapi.PidTagLastModificationTime, mapi.PidTagHasNamedProperties,
		mapi.PidTagAttachNumber, mapi.PidTagAttachSize, mapi.PidTagObjectType, mapi.PidTagAccessLevel, mapi.PidTagMessageSize, mapi.PidTagEntryId} {
		all[t.Name()] = true
	}
	all[fmt.Sprintf("%+v %v", mapi.PidNameKeywords.Canonical(), mapi.PidNameKeywords.Type)] = true
	return all
}()

// includes: what the mail became is what the mailbox has.
func (c *comparison) includes(where string, want, got map[string]string) {
	c.t.Helper()
	for key, value := range want {
		if other, there := got[key]; !apart[key] && (!there || other != value) {
			c.t.Errorf("%s: %s is %.80q, want %.80q", where, key, other, value)
		}
	}
}

func (c *comparison) message(where string, at exmdb.ObjectID, want, got *exmdb.MessageContent) {
	c.t.Helper()
	c.includes(where, c.expected(&want.Props), c.stored(&got.Props, at))
	if len(want.Recipients) != len(got.Recipients) || len(want.Attachments) != len(got.Attachments) {
		c.t.Fatalf("%s: %d recipients and %d attachments, want %d and %d", where, len(got.Recipients), len(got.Attachments), len(want.Recipients), len(want.Attachments))
	}
	for i := range want.Recipients {
		c.includes(fmt.Sprintf("%s, recipient %d", where, i), c.expected(&want.Recipients[i]), c.stored(&got.Recipients[i], exmdb.ObjectID{}))
	}
	for i := range want.Attachments {
		w, g := &want.Attachments[i], &got.Attachments[i]
		name := fmt.Sprintf("%s, attachment %d", where, i)
		in := exmdb.ObjectID{Message: at.Message, Attachments: append(slices.Clone(at.Attachments), g.Number)}
		c.includes(name, c.expected(&w.Props), c.stored(&g.Props, in))
		if (w.Embedded == nil) != (g.Embedded == nil) {
			c.t.Fatalf("%s: a message %v", name, g.Embedded != nil)
		}
		if w.Embedded != nil {
			in.Embedded = true
			c.message(name, in, w.Embedded, g.Embedded)
		}
	}
}

// TestAMailIsTheMessageItBecomes: of every mail of the corpus the mailbox has the octets, and the message.
func TestAMailIsTheMessageItBecomes(t *testing.T) {
	h := newHouse(t)
	for _, each := range mails.Corpus(t) {
		t.Run(each.Family+"/"+each.Name, func(t *testing.T) {
			in := *h
			in.t = t
			in.compare(each.Octets)
		})
	}
}

// compare delivers a mail and looks at it from both sides.
func (h *house) compare(octets []byte) exmdb.Row {
	h.t.Helper()
	row := h.send(octets)
	octets = mime.Normalize(octets)
	if got := h.octets(&row); !bytes.Equal(got, octets) {
		h.t.Fatalf("%d octets, want %d", len(got), len(octets))
	}
	c := comparison{house: h, kept: &memory{mail: octets, content: make(map[[32]byte][]byte)}, names: &oxcmsg.Names{}, id: row.MID}
	rd := oxcmail.Reader{Keep: c.kept, Names: c.names}
	want, err := rd.Read(mime.Scan(octets), bytes.NewReader(octets))
	if err != nil {
		h.t.Fatal(err)
	}
	at := exmdb.ObjectID{Message: row.MID}
	got := call(h, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: at, Nested: true, Names: true})
	c.ids = make(map[uint16]mapi.PropertyName)
	for _, n := range got.Names {
		c.ids[n.ID] = n.Name
	}
	c.message("message", at, &want.MessageContent, &got.Content)
	header := c.stored(&got.Content.Props, at)[mapi.PidTagTransportMessageHeaders.Name()]
	said := c.expected(&want.Props)[mapi.PidTagTransportMessageHeaders.Name()]
	if !strings.HasSuffix(header, said) {
		h.t.Errorf("header is %.200q, want %.200q", header, said)
	}
	return row
}

// large is a mail with parts of every kind that stand in the mailbox as content: quoted-printable and other charsets are
// made, base64 and plain text are what the recipe has.
func large(size int) []byte {
	var b strings.Builder
	b.WriteString(mails.Usual + "Subject: large\r\nX-Long: " + strings.Repeat("a long field\r\n ", 800) + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n" +
		"--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + strings.Repeat("Gr\xfc\xdfe aus dem Hafen\r\n", 900) +
		"--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("<p class=3D\"x\">Gr=C3=BC=C3=9Fe</p>\r\n", 900) + "--a--\r\n")
	file := mails.Lines(strings.Repeat("iVBORw0KGgoA", size/12))
	for _, each := range []string{file, mails.Lines(strings.Repeat("iVBORw0KGgo=", size/12))} { // the second cannot be written again
		b.WriteString("--m\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + each + "\r\n")
	}
	b.WriteString("--m\r\nContent-Type: text/csv\r\n\r\n" + strings.Repeat("1;2;3\r\n", size/7) + "\r\n--m\r\nContent-Type: message/rfc822\r\n\r\n" + mails.Usual +
		"Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\ntext\r\n--i\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + file +
		"\r\n--i--\r\n\r\n--m--\r\n")
	return []byte(b.String())
}

// TestLargeMails: what is content is the same bytes as in the mail, whether it came through memory or a file.
func TestLargeMails(t *testing.T) {
	h := newHouse(t)
	for _, size := range []int{10 << 10, 40 << 10, 700 << 10} {
		octets := large(size)
		row := h.compare(octets)
		counted := call(h, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: row.MID}, Tags: []mapi.Tag{mapi.PidTagMessageSizeExtended}})
		if n := counted.Props.All()[0].Value.(mapi.Integer64); uint64(n) < row.Size || uint64(n) > row.Size+row.Size/8+50_000 {
			t.Errorf("%d octets are counted as %d", row.Size, n)
		}
	}
}

// TestManySmallFiles: the message of a mail with more small files than a record has room for has them all.
func TestManySmallFiles(t *testing.T) {
	var b strings.Builder
	b.WriteString(mails.Usual + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "--m\r\nContent-Type: application/x-thing; name=f%d\r\n\r\n%s\r\n", i, strings.Repeat(fmt.Sprintf("%09d ", i), 500))
	}
	b.WriteString("--m--\r\n")
	newHouse(t).compare([]byte(b.String()))
}
