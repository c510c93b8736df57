package oxcmail

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxtnef"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// TestCorpus: each mail becomes what its family's golden file says.
func TestCorpus(t *testing.T) {
	got := map[string]*strings.Builder{}
	seen := map[string]bool{}
	all := mails.Corpus(t)
	for _, each := range all {
		if seen[each.Family+each.Name] {
			t.Errorf("%s: %s twice", each.Family, each.Name)
		}
		seen[each.Family+each.Name] = true
		m, names, b := read(t, each.Octets)
		if got[each.Family] == nil {
			got[each.Family] = &strings.Builder{}
		}
		fmt.Fprintf(got[each.Family], "%s\n%s", each.Name, dump(&m.MessageContent, names, b))
	}
	if len(all) < 300 {
		t.Errorf("%d mails", len(all))
	}
	for family, text := range got {
		path := filepath.Join("testdata/golden", family+".golden")
		if *rewrite {
			if err := os.WriteFile(path, []byte(text.String()), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := firstDifference(text.String(), string(want)); diff != "" {
			t.Errorf("%s: %s", family, diff)
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	mail := ""
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) {
			return fmt.Sprintf("%d lines, want %d", len(g), len(w))
		}
		if !strings.HasPrefix(g[i], " ") {
			mail = g[i]
		}
		if g[i] != w[i] {
			return fmt.Sprintf("%s: got\n%s\nwant\n%s", mail, g[i], w[i])
		}
	}
	return ""
}

// form renders a message and holds the form against itself: the same again, and the tree that a scan finds.
func form(t testing.TB, m *exmdb.MessageContent, w *Writer, b *box) []byte {
	t.Helper()
	f, err := w.Write(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Write(m)
	if err != nil {
		t.Fatal(err)
	}
	octets := b.octets(t, &f)
	if !bytes.Equal(octets, b.octets(t, &again)) {
		t.Fatal("two forms differ")
	}
	if got, want := mime.MarshalDigest(f.Root), mime.MarshalDigest(mime.Scan(octets)); !bytes.Equal(got, want) {
		t.Fatalf("computed %x, scanned %x of\n%s", got, want, octets)
	}
	return octets
}

// fieldsOf are the fields of a header that a structure does not have, octet for octet but for bare line feeds.
func fieldsOf(octets []byte) []string {
	header := octets[:mime.Scan(octets).HeaderSize()]
	var list []string
	for _, f := range mime.ParseHeader(header) {
		if f.Name != "" && !structural[strings.ToLower(f.Name)] {
			list = append(list, string(mime.Normalize(header[f.Start:f.End])))
		}
	}
	return list
}

// otherAgain is what a mail that was made of a message may have otherwise: how its parts are encoded, in which charset
// its text is, and so what of this is kept.
var otherAgain = []string{"PidTagTransportMessageHeaders", "KeptHeader", "KeptPart", "PidTagInternetCodepage", "KeptText"}

// TestCorpusComesBack is MIME to message to MIME. It holds, for every mail of the corpus:
//   - every field of the header but those of the structure is there, octet for octet, in its place; one in the charset of the text
//     is in UTF-8, as the text is;
//   - the second message is the first: subject, author, recipients, dates, receipts, class, threads; the texts, HTML byte
//     for byte; of each attachment the bytes, name, type, id, location, order and whether the text shows it; embedded
//     messages in the same way; what MAPI has no property for;
//   - the signed part of a signed mail, octet for octet.
//
// The codes of the text's charset, transfer encodings, boundaries and what stands between parts are not held: those are
// the received bytes', which stay beside (MAILBOX 3).
func TestCorpusComesBack(t *testing.T) {
	for _, each := range mails.Corpus(t) {
		t.Run(each.Family+"/"+each.Name, func(t *testing.T) {
			m, names, b := read(t, each.Octets)
			unpacked := m.Props.Get(mapi.PidTagRtfCompressed) != nil // TNEF and RTF are written as what they were made of
			octets := form(t, &m.MessageContent, &Writer{Names: names, Contents: b}, b)
			n := mime.Scan(each.Octets).HeaderSize()
			legible := append(slices.Clip(mime.Legible(each.Octets[:n], mime.Scan(each.Octets).TextCharset())), each.Octets[n:]...)
			if got, want := fieldsOf(octets), fieldsOf(legible); !slices.Equal(got[:min(len(got), len(want))], want) || len(got) > len(want) && !unpacked {
				t.Errorf("fields %q, want %q", got, want)
			}
			again, namesAgain, boxAgain := read(t, octets)
			first, second := dump(&m.MessageContent, names, b, otherAgain...), dump(&again.MessageContent, namesAgain, boxAgain, otherAgain...)
			if unpacked {
				return
			}
			if diff := firstDifference(second, first); diff != "" {
				t.Errorf("%s\nfirst\n%s\nsecond\n%s\nof\n%s", diff, first, second, octets)
			}
		})
	}
}

// counting counts what is kept and keeps none of it.
type counting struct{ ranges, streamed int64 }

func (c *counting) Range(from, to int64, _ string) (mapi.Reference, error) {
	c.ranges += to - from
	return mapi.Reference{{Size: uint32(to - from)}}, nil
}

func (c *counting) Stream(r io.Reader) (mapi.Reference, error) {
	n, err := io.Copy(io.Discard, r)
	c.streamed += n
	return mapi.Reference{{Size: uint32(n)}}, err
}

// cost is how many bytes f allocates.
func cost(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestLongFilesStayWhereTheyAre: a file is named by its place in the mail, and its size costs no memory in either
// direction.
func TestLongFilesStayWhereTheyAre(t *testing.T) {
	octets := mails.File(5 << 20)
	root := mime.Scan(octets)
	var c counting
	var m *Message
	var err error
	rd := Reader{Keep: &c, Names: &oxcmsg.Names{}}
	spent := cost(func() { m, err = rd.Read(root, bytes.NewReader(octets)) })
	if err != nil || c.ranges < 5<<20 || c.streamed != 0 {
		t.Errorf("%v, %d octets in ranges, %d copied", err, c.ranges, c.streamed)
	}
	if spent > 256<<10 {
		t.Errorf("reading took %d bytes", spent)
	}
	spent = cost(func() { _, err = (&Writer{Names: rd.Names}).Write(&m.MessageContent) })
	if err != nil || spent > 256<<10 {
		t.Errorf("writing took %d bytes, %v", spent, err)
	}
}

// TestAuthorOfTNEF: whom a mail is from says its header, or nothing; what TNEF says of it nobody has checked.
func TestAuthorOfTNEF(t *testing.T) {
	m := &oxtnef.Message{}
	who := []mapi.Tag{mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSenderSmtpAddress}
	for _, tag := range who {
		m.Props.Set(tag, mapi.String("chief@example.test"))
	}
	m.Props.Set(mapi.PidTagBody, mapi.String("Pay"))
	w := oxtnef.Writer{Names: &oxcmsg.Names{}}
	stream, _, err := w.Stream(m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string][2]mapi.Value{
		"From: eve@example.test\r\n":                           {mapi.String("eve@example.test"), nil},
		"From: eve@example.test\r\nSender: x@example.test\r\n": {mapi.String("eve@example.test"), mapi.String("x@example.test")},
		"From: nobody:;\r\n":                                   {}, "Subject: Pay\r\n": {},
	} {
		got, _, _ := read(t, append([]byte(header+"Content-Type: application/ms-tnef\r\n\r\n"), b...))
		if got.Props.Get(who[0]) != want[0] || got.Props.Get(who[1]) != want[1] || got.Props.Get(mapi.PidTagBody) != mapi.String("Pay") {
			t.Errorf("%q: %v", header, got.Props.All())
		}
	}
}

// TestKeptInTNEF: what somebody's conversion kept of another source is not of the mail that brings it, in either direction; what
// is of an object inside stays with that.
func TestKeptInTNEF(t *testing.T) {
	foreign := mapi.Binary("X-Foreign: \xe4\r\nBcc: hidden@example.test\r\nSubject: other\r\n")
	header := func(bag *mapi.PropBag, names *oxcmsg.Names) { names.Set(bag, keptHeader, foreign) }
	ids := mapi.NamedProperty{PropertyName: kept.UID().PropertyName, Type: mapi.TypeString}
	var names oxcmsg.Names
	m := born(map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("Hello\r\n"), mapi.PidTagMessageClass: mapi.String("IPM.Task")})
	header(&m.Props, &names)
	names.Set(&m.Props, keptStructure, mapi.String("multipart/report"))
	names.Set(&m.Props, keptText, mapi.String("text/plain; format=flowed"))
	names.Set(&m.Props, kept.Property(kept.Component, mapi.TypeBinary), mapi.Binary("- X-A:1\x00"))
	names.Set(&m.Props, ids, mapi.String("a task"))
	inner := exmdb.Attachment{IsMessage: true, Embedded: born(nil)}
	header(&inner.Embedded.Props, &names)
	m.Attachments = []exmdb.Attachment{inner}
	stream, _, err := (&oxtnef.Writer{Names: &names}).Stream(&oxtnef.Message{MessageContent: *m})
	if err != nil {
		t.Fatal(err)
	}
	tnef, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	got, gotNames, b := read(t, append([]byte(usual+"Subject: own\r\nContent-Type: application/ms-tnef\r\n\r\n"), tnef...))
	for _, p := range got.Props.All() {
		if name, _ := gotNames.Name(p.Tag.ID()); kept.OfSource(name) {
			t.Errorf("%s of the sender's is kept", name.Name)
		}
	}
	if gotNames.Get(&got.Props, ids) != mapi.String("a task") || len(got.Attachments) != 1 || gotNames.Get(&got.Attachments[0].Embedded.Props, keptHeader) == nil {
		t.Errorf("%+v", got.MessageContent)
	}
	if again := form(t, &got.MessageContent, &Writer{Names: gotNames, Contents: b}, b); bytes.Count(again, []byte("X-Foreign")) != 1 || !bytes.HasPrefix(again, []byte(usual+"Subject: own\r\n")) {
		t.Errorf("%s", again)
	}
	hidden := &box{contents: contents{}}
	octets := form(t, m, &Writer{Names: &names, Contents: hidden, TNEF: true}, hidden)
	out, err := io.ReadAll(mime.Scan(octets).Parts[1].Content(bytes.NewReader(octets)))
	if err != nil || bytes.Count(out, []byte("hidden@")) != 1 {
		t.Errorf("blind recipients of the message are in the TNEF: %v, %q", err, out)
	}
}

// TestLongTNEF: what has to be taken apart in memory takes no more than twice its size, and what is too long for that is
// a file.
func TestLongTNEF(t *testing.T) {
	for _, tt := range []struct {
		size     int
		unpacked bool
		most     uint64
	}{{20 << 20, true, 64 << 20}, {30 << 20, false, 1 << 20}} {
		var names oxcmsg.Names
		file := exmdb.Attachment{}
		file.Props.Set(mapi.PidTagAttachDataBinary, mapi.Binary(make([]byte, tt.size)))
		w := oxtnef.Writer{Names: &names}
		stream, _, err := w.Stream(&oxtnef.Message{MessageContent: exmdb.MessageContent{Attachments: []exmdb.Attachment{file}}})
		if err != nil {
			t.Fatal(err)
		}
		var octets bytes.Buffer
		octets.WriteString(usual + "Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		enc := mime.Layout{Form: mime.LayoutBase64, LineLen: 76}.Encoder(&octets)
		if _, err := io.Copy(enc, stream); err != nil {
			t.Fatal(err)
		}
		if err := enc.Close(); err != nil {
			t.Fatal(err)
		}
		root := mime.Scan(octets.Bytes())
		var m *Message
		rd := Reader{Keep: &counting{}, Names: &names}
		spent := cost(func() { m, err = rd.Read(root, bytes.NewReader(octets.Bytes())) })
		if err != nil || len(m.Attachments) != 1 || (stringOf(&m.Attachments[0].Props, mapi.PidTagAttachMimeTag) == "") != tt.unpacked {
			t.Errorf("%d bytes: %v, %+v", tt.size, err, m)
		}
		if spent > tt.most {
			t.Errorf("%d bytes took %d", tt.size, spent)
		}
	}
}
