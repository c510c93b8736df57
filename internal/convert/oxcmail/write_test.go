package oxcmail

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// born is a message that a client made.
func born(props map[mapi.Tag]mapi.Value) *exmdb.MessageContent {
	m := &exmdb.MessageContent{Recipients: []mapi.PropBag{recipientBag(1, "Bert Bär", "bert@example.test"), recipientBag(3, "", "secret@example.test")}}
	m.Props.Set(mapi.PidTagSentRepresentingName, mapi.String("Anna"))
	m.Props.Set(mapi.PidTagSentRepresentingSmtpAddress, mapi.String("anna@example.test"))
	m.Props.Set(mapi.PidTagNormalizedSubject, mapi.String("Harbour"))
	m.Props.Set(mapi.PidTagInternetMessageId, mapi.String("<born@example.test>"))
	m.Props.Set(mapi.PidTagClientSubmitTime, mapi.FileTimeOf(time.Date(2026, 3, 3, 9, 20, 30, 0, time.UTC)))
	for tag, v := range props {
		m.Props.Set(tag, v)
	}
	return m
}

// wrote is a message as mail, read for people.
func wrote(t *testing.T, m *exmdb.MessageContent, w *Writer, b *box) string {
	t.Helper()
	return strings.ReplaceAll(string(form(t, m, w, b)), "\r\n", "\n")
}

func TestWriteFields(t *testing.T) {
	var names oxcmsg.Names
	b := &box{contents: contents{}}
	m := born(map[mapi.Tag]mapi.Value{
		mapi.PidTagReplyRecipientEntries: mapi.Binary(oxcdata.AppendFlatEntryList(nil, [][]byte{oxcdata.OneOffOf("Answers", "SMTP", "answers@example.test").Append(nil)})),
		mapi.PidTagAutoResponseSuppress:  mapi.Integer32(0x22), mapi.PidTagReplyTime: mapi.FileTimeOf(time.Date(2026, 3, 6, 0, 0, 0, 0, time.UTC)),
		mapi.PidTagExpiryTime: mapi.FileTimeOf(time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC)), mapi.PidTagListHelp: mapi.String("<mailto:h@example.test>"),
		mapi.PidTagReadReceiptRequested: mapi.Boolean(true), mapi.PidTagImportance: mapi.Integer32(2), mapi.PidTagBody: mapi.String("Hello\r\n"),
	})
	names.Set(&m.Props, mapi.PidNameKeywords, mapi.Strings{"red", "grün"})
	names.Set(&m.Props, mapi.PidNameXMailer, mapi.String("Flöte 1"))
	names.Set(&m.Props, mapi.PidNameContentType, mapi.String("text/evil"))
	got := wrote(t, m, &Writer{Names: &names}, b)
	want := `From: "Anna" <anna@example.test>
Reply-To: "Answers" <answers@example.test>
To: =?utf-8?q?Bert_B=C3=A4r?= <bert@example.test>
Bcc: <secret@example.test>
Subject: Harbour
Date: Tue, 03 Mar 2026 09:20:30 +0000
Message-ID: <born@example.test>
Importance: high
Disposition-Notification-To: "Anna" <anna@example.test>
Reply-By: Fri, 06 Mar 2026 00:00:00 +0000
Expires: Sat, 07 Mar 2026 00:00:00 +0000
X-Auto-Response-Suppress: NDR, AutoReply
List-Help: <mailto:h@example.test>
Keywords: =?utf-8?q?red,_gr=C3=BCn?=
X-Mailer: =?utf-8?q?Fl=C3=B6te_1?=
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

Hello
`
	if got != want {
		t.Errorf("%s", got)
	}
}

// TestWriteTexts: text that people can read where it is short, and bodies made of RTF where there is no other.
func TestWriteTexts(t *testing.T) {
	for name, tt := range map[string]struct {
		props map[mapi.Tag]mapi.Value
		want  string
	}{
		"most of it ASCII": {map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("a line with ü and a blank at its end \r\n")}, "quoted-printable\n\na line with =C3=BC and a blank at its end=20\n"},
		"no line end":      {map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("a")}, "quoted-printable\n\na=\n"},
		"little of it":     {map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("日本")}, "base64\n\n5pel5pys\n"},
		"a long line":      {map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String(strings.Repeat("x", 1000) + "\r\n")}, "quoted-printable\n\n" + strings.Repeat("x", 75) + "=\n"},
		"hidden HTML":      {map[mapi.Tag]mapi.Value{mapi.PidTagRtfCompressed: mapi.Binary(rtf.Compress(rtf.FromHTML("<p>hi</p>\r\n")))}, "text/html; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n<p>hi</p>\n"},
		"hidden text":      {map[mapi.Tag]mapi.Value{mapi.PidTagRtfCompressed: mapi.Binary(rtf.Compress(rtf.FromText("hi\r\n")))}, "text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\nhi\n"},
		"only RTF":         {map[mapi.Tag]mapi.Value{mapi.PidTagRtfCompressed: mapi.Binary(rtf.Compress([]byte(`{\rtf1 bold \b move\par}`)))}, "7bit\n\nbold move\n"},
		"RTF beside text":  {map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("text\r\n"), mapi.PidTagRtfCompressed: mapi.Binary(rtf.Compress([]byte(`{\rtf1 other}`)))}, "7bit\n\ntext\n"},
		"RTF damaged":      {map[mapi.Tag]mapi.Value{mapi.PidTagRtfCompressed: mapi.Binary("nonsense")}, "text/plain; charset=utf-8\n"},
	} {
		got := wrote(t, born(tt.props), &Writer{}, &box{contents: contents{}})
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestWriteReports: a report that a client or the store made is one that others understand.
func TestWriteReports(t *testing.T) {
	failed := recipientBag(1, "Full Box", "full@other.test")
	failed.Set(mapi.PidTagNonDeliveryReportStatusCode, mapi.Integer32(522))
	failed.Set(mapi.PidTagRemoteMessageTransferAgent, mapi.String("mx.other.test"))
	failed.Set(mapi.PidTagSupplementaryInfo, mapi.String("<mx.other.test #5.2.2 smtp;554 mailbox full>"))
	for class, want := range map[string]string{
		"REPORT.IPM.Note.IPNRN":      "message/disposition-notification\nContent-Transfer-Encoding: 7bit\n\nFinal-Recipient: rfc822;anna@example.test\nOriginal-Message-ID: <0@example.test>\nDisposition: automatic-action/MDN-sent-automatically; displayed\n",
		"REPORT.IPM.Note.IPNNRN":     "Disposition: automatic-action/MDN-sent-automatically; deleted\n",
		"REPORT.IPM.Note.NDR":        "message/delivery-status\nContent-Transfer-Encoding: 7bit\n\nReporting-MTA: dns;localhost\n\nFinal-Recipient: rfc822;full@other.test\nAction: failed\nStatus: 5.2.2\nRemote-MTA: dns;mx.other.test\nX-Supplementary-Info: <mx.other.test #5.2.2 smtp;554 mailbox full>\nX-Display-Name: Full Box\n",
		"REPORT.IPM.Note.Delayed.DR": "Action: delayed\n",
		"REPORT.IPM.Note.DR":         "Action: delivered\n",
	} {
		b := &box{contents: contents{}}
		m := born(map[mapi.Tag]mapi.Value{mapi.PidTagMessageClass: mapi.String(class), mapi.PidTagOriginalMessageId: mapi.String("<0@example.test>"), mapi.PidTagBody: mapi.String("What happened.\r\n")})
		m.Recipients = []mapi.PropBag{failed}
		octets := form(t, m, &Writer{}, b)
		got := strings.ReplaceAll(string(octets), "\r\n", "\n")
		if !strings.Contains(got, "multipart/report; report-type=") || !strings.Contains(got, want) {
			t.Errorf("%s:\n%s", class, got)
		}
		again, _, _ := read(t, octets)
		if again.Props.Get(mapi.PidTagMessageClass) != mapi.String(class) || again.Props.Get(mapi.PidTagBody) != mapi.String("What happened.\r\n") {
			t.Errorf("%s comes back as %v", class, again.Props.Get(mapi.PidTagMessageClass))
		}
	}
}

// TestEditedFieldsOnly: of a received mail only what was edited is written anew.
func TestEditedFieldsOnly(t *testing.T) {
	octets := []byte(strings.ReplaceAll("Received: from a\nFROM: Anna <anna@example.test>\nTo: \"Bert\" <bert@example.test>\nSubject: =?utf-8?B?b2xk?=\nX-Mailer: one\nX-Other: kept\nDKIM-Signature: v=1\nX-Priority: 1\nDate: Tue, 3 Mar 2026 10:20:30 +0100 (CET)\n\nText\n", "\n", "\r\n"))
	m, names, b := read(t, octets)
	m.Props.Set(mapi.PidTagNormalizedSubject, mapi.String("new"))
	m.Props.Set(mapi.PidTagImportance, mapi.Integer32(1))
	names.Set(&m.Props, mapi.PidNameXMailer, mapi.String("two"))
	got := wrote(t, &m.MessageContent, &Writer{Names: names, Contents: b}, b)
	want := "Received: from a\nFROM: Anna <anna@example.test>\nTo: \"Bert\" <bert@example.test>\nX-Other: kept\nDKIM-Signature: v=1\nDate: Tue, 3 Mar 2026 10:20:30 +0100 (CET)\nSubject: new\nX-Mailer: two\nMIME-Version: 1.0\n"
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s", got)
	}
}

// photo is a file whose header says what no property holds.
const photo = "Content-Type: image/jpeg; name=photo.jpg\r\nContent-ID: <-photo@example.test>\r\nX-Attachment-Id: f_1\r\n" +
	"Content-Disposition: attachment; filename=photo.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ"

// TestEditedFile: a file that was given another name has a new header, with what no property has.
func TestEditedFile(t *testing.T) {
	octets := []byte(usual + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n" + photo + "\r\n--b--\r\n")
	m, names, b := read(t, octets)
	m.Attachments[0].Props.Set(mapi.PidTagAttachLongFilename, mapi.String(strings.Repeat("sehr langer Name für März ", 8)+".jpg"))
	got := form(t, &m.MessageContent, &Writer{Names: names, Contents: b}, b)
	if !bytes.Contains(got, []byte("X-Attachment-Id: f_1\r\n")) || !bytes.Contains(got, []byte("filename*0*=utf-8''sehr%20langer")) {
		t.Errorf("%s", got)
	}
	for line := range bytes.SplitSeq(got, []byte("\r\n")) {
		if len(line) > longestLine {
			t.Errorf("line of %d octets", len(line))
		}
	}
	again, _, _ := read(t, got)
	if a, b := again.Attachments[0].Props.Get(mapi.PidTagAttachLongFilename), m.Attachments[0].Props.Get(mapi.PidTagAttachLongFilename); a != b {
		t.Errorf("%v, want %v", a, b)
	}
}

// TestLongSignedPart: a signed part that is content is written as it was signed.
func TestLongSignedPart(t *testing.T) {
	signed := "--s\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("signed text \r\n", 2000) + "\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nMII=\r\n--s--\r\n"
	octets := []byte(usual + "Subject: signed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=s\r\n\r\n" + signed)
	m, names, b := read(t, octets)
	got := form(t, &m.MessageContent, &Writer{Names: names, Contents: b}, b)
	if !bytes.HasSuffix(got, []byte(signed)) || bytes.Count(got, []byte("Content-Type: multipart/signed")) != 1 {
		t.Errorf("%d octets, want %d", len(got), len(octets))
	}
	plain, err := (&Writer{Names: names}).Write(&m.MessageContent) // without content it is a file
	if err != nil || plain.Root.Subtype == "signed" {
		t.Errorf("%v, %s", err, plain.Root.Subtype)
	}
}

// sentAsTNEF is a message with files as it goes out in TNEF.
func sentAsTNEF(t *testing.T) (*exmdb.MessageContent, *oxcmsg.Names, *box, []byte) {
	var names oxcmsg.Names
	b := &box{contents: contents{}}
	m := born(map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("Hello\r\n"), mapi.PidTagRtfCompressed: mapi.Binary(rtf.Compress(rtf.FromHTML("<p>Hello</p>"))), mapi.PidTagMessageClass: mapi.String("IPM.Note.Ticket")})
	names.Set(&m.Props, mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: "ticket"}, Type: mapi.TypeInteger32}, mapi.Integer32(7))
	long := exmdb.Attachment{}
	long.Props.Set(mapi.PidTagAttachLongFilename, mapi.String("Plan.bin"))
	long.Props.Set(mapi.PidTagAttachDataBinary, b.put(bytes.Repeat([]byte("plan"), 10_000), exmdb.MaxChunk))
	inner := exmdb.Attachment{IsMessage: true, Embedded: born(map[mapi.Tag]mapi.Value{mapi.PidTagBody: mapi.String("older")})}
	m.Attachments = []exmdb.Attachment{long, inner}
	return m, &names, b, form(t, m, &Writer{Names: &names, Contents: b, TNEF: true}, b)
}

func TestWriteTNEF(t *testing.T) {
	m, names, _, octets := sentAsTNEF(t)
	if !bytes.Contains(octets, []byte("X-MS-TNEF-Correlator: <born@example.test>\r\n")) {
		t.Errorf("%s", octets[:600])
	}
	got, gotNames, gotBox := read(t, octets)
	for _, tag := range []mapi.Tag{mapi.PidTagMessageClass, mapi.PidTagBody, mapi.PidTagNormalizedSubject, mapi.PidTagInternetMessageId} {
		if got, want := got.Props.Get(tag), m.Props.Get(tag); got != want {
			t.Errorf("%s is %v, want %v", tag.Name(), got, want)
		}
	}
	ticket := mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: "ticket"}, Type: mapi.TypeInteger32}
	if gotNames.Get(&got.Props, ticket) != mapi.Integer32(7) || names.Get(&m.Props, ticket) != mapi.Integer32(7) {
		t.Errorf("named: %v", got.Props.All())
	}
	if len(got.Attachments) != 2 || got.Attachments[1].Embedded == nil || got.Attachments[1].Embedded.Props.Get(mapi.PidTagBody) != mapi.String("older") {
		t.Fatalf("%+v", got.Attachments)
	}
	ref, ok := got.Attachments[0].Props.Get(mapi.PidTagAttachDataBinary).(mapi.Reference)
	if !ok {
		t.Fatalf("%T", got.Attachments[0].Props.Get(mapi.PidTagAttachDataBinary))
	}
	if data, err := io.ReadAll(gotBox.Open(ref)); err != nil || !bytes.Equal(data, bytes.Repeat([]byte("plan"), 10_000)) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	// A mail that came as TNEF goes out as TNEF of itself.
	again := form(t, &got.MessageContent, &Writer{Names: gotNames, Contents: gotBox, TNEF: true}, gotBox)
	if n := bytes.Count(again, []byte("X-MS-TNEF-Correlator")); n != 1 {
		t.Errorf("%d correlators", n)
	}
}

// TestYtnefReadsOurMail: Debian's ytnef finds in the winmail.dat of a mail what the message has, and nobody that was to
// stay hidden.
func TestYtnefReadsOurMail(t *testing.T) {
	objects.Need(t, "ytnef-tools", "ytnef", "ytnefprint")
	_, _, _, octets := sentAsTNEF(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "winmail.dat")
	for leaf := range mime.Scan(octets).Leaves() {
		if leaf.Subtype != "ms-tnef" {
			continue
		}
		b, err := io.ReadAll(leaf.Content(bytes.NewReader(octets)))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("ytnefprint", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ytnefprint: %v\n%s", err, out)
	}
	for _, want := range []string{"IPM.Note.Ticket", "Harbour", "Plan.bin", "PR_INTERNET_MESSAGE_ID"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("ytnefprint does not find %q in\n%s", want, out)
		}
	}
	if bytes.Contains(out, []byte("secret@example.test")) || bytes.Contains(out, []byte("ERROR")) {
		t.Errorf("ytnefprint says\n%s", out)
	}
	if out, err := exec.Command("ytnef", "-f", dir, file).CombinedOutput(); err != nil {
		t.Fatalf("ytnef: %v\n%s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "Plan.bin")); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("plan"), 10_000)) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// drawMessage is a message that a client could have made, with what MIME can say of it.
func drawMessage(t *rapid.T, names *oxcmsg.Names, b *box, depth int) *exmdb.MessageContent {
	m := &exmdb.MessageContent{}
	word := rapid.StringMatching(`[A-Za-zäöü日本€]{1,12}( [a-zß😀]{1,8}){0,3}`)
	address := rapid.StringMatching(`[a-z]{1,8}(\.[a-z]{1,5})?@[a-z]{1,8}\.test`)
	put := func(bag *mapi.PropBag, tag mapi.Tag, g *rapid.Generator[string]) {
		if rapid.Bool().Draw(t, tag.Name()) {
			bag.Set(tag, mapi.String(g.Draw(t, "text")))
		}
	}
	m.Props.Set(mapi.PidTagSentRepresentingName, mapi.String(word.Draw(t, "author")))
	m.Props.Set(mapi.PidTagSentRepresentingSmtpAddress, mapi.String(address.Draw(t, "address")))
	m.Props.Set(mapi.PidTagNormalizedSubject, mapi.String(word.Draw(t, "subject")))
	m.Props.Set(mapi.PidTagClientSubmitTime, mapi.FileTimeOf(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "sent"), 0)))
	put(&m.Props, mapi.PidTagInternetMessageId, rapid.StringMatching(`<[a-z0-9]{1,20}@example\.test>`))
	put(&m.Props, mapi.PidTagConversationTopic, word)
	if n := rapid.Int32Range(0, 3).Draw(t, "sensitivity"); n > 0 {
		m.Props.Set(mapi.PidTagSensitivity, mapi.Integer32(n))
	}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("abc äß€日\t.=-")), 0, 300, -1)
	if kind := rapid.IntRange(1, 3).Draw(t, "bodies"); kind != 2 {
		m.Props.Set(mapi.PidTagBody, mapi.String(strings.ReplaceAll(text.Draw(t, "body"), ".", "\r\n")+"x"))
		m.Props.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeText))
		if kind == 3 {
			m.Props.Set(mapi.PidTagHtml, mapi.Binary("<p>"+text.Draw(t, "html")))
			m.Props.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeHTML))
		}
	} else {
		m.Props.Set(mapi.PidTagHtml, mapi.Binary("<p>"+text.Draw(t, "html")))
		m.Props.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeHTML))
	}
	m.Props.Set(mapi.PidTagInternetCodepage, mapi.Integer32(utf8Page))
	for range rapid.IntRange(0, 3).Draw(t, "recipients") {
		a := mime.Address{Name: word.Draw(t, "name"), Local: "r", Host: address.Draw(t, "host")[1:]}
		a.Host = a.Host[strings.IndexByte(a.Host, '@')+1:]
		m.Recipients = append(m.Recipients, recipient(oxcmsg.RecipientTo, &a, len(m.Recipients)))
	}
	oxcmsg.SetDisplayLists(&m.Props, m.Recipients)
	for i := range rapid.IntRange(0, 3).Draw(t, "files") {
		m.Attachments = append(m.Attachments, drawFile(t, names, b, i, depth))
		m.Props.Set(mapi.PidTagHasAttachments, mapi.Boolean(true))
	}
	return m
}

func drawFile(t *rapid.T, names *oxcmsg.Names, b *box, i, depth int) exmdb.Attachment {
	f := builder{}
	f.bag.Set(mapi.PidTagRenderingPosition, mapi.Integer32(notRenderedAt))
	f.naming(rapid.StringMatching(`[A-Za-zü日']{1,20}( [a-zß']{1,9}){0,6}\.[a-z]{3}`).Draw(t, "file name"))
	a := exmdb.Attachment{Number: uint32(i), Props: f.bag}
	if depth > 0 && rapid.IntRange(0, 3).Draw(t, "message") == 0 {
		a.IsMessage, a.Embedded = true, drawMessage(t, names, b, depth-1)
		a.Props.Set(mapi.PidTagAttachMethod, mapi.Integer32(attachEmbedded))
		a.Props.Set(mapi.PidTagAttachMimeTag, mapi.String("message/rfc822"))
		return a
	}
	a.Props.Set(mapi.PidTagAttachMethod, mapi.Integer32(attachByValue))
	a.Props.Set(mapi.PidTagAttachMimeTag, mapi.String(rapid.SampledFrom([]string{"image/png", "application/octet-stream", "text/plain", "application/vnd.ms-excel"}).Draw(t, "type")))
	data := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
	if rapid.IntRange(0, 5).Draw(t, "long") == 0 {
		a.Props.Set(mapi.PidTagAttachDataBinary, b.put(bytes.Repeat(append(data, 'x'), 8200), 5000))
	} else {
		a.Props.Set(mapi.PidTagAttachDataBinary, mapi.Binary(data))
	}
	return a
}

// TestGeneratedComeBack: a message that was made by a client is the same after it was mail.
func TestGeneratedComeBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var names oxcmsg.Names
		b := &box{contents: contents{}}
		m := drawMessage(rt, &names, b, 2)
		f, err := (&Writer{Names: &names, Contents: b}).Write(m)
		if err != nil {
			rt.Fatal(err)
		}
		octets := b.octets(t, &f)
		if got, want := mime.MarshalDigest(f.Root), mime.MarshalDigest(mime.Scan(octets)); !bytes.Equal(got, want) {
			rt.Fatalf("computed %x, scanned %x of\n%s", got, want, octets)
		}
		again, namesAgain, boxAgain := read(t, octets)
		first, second := dump(m, &names, b, otherAgain...), dump(&again.MessageContent, namesAgain, boxAgain, otherAgain...)
		if diff := firstDifference(second, first); diff != "" {
			rt.Fatalf("%s\nof\n%s", diff, octets)
		}
	})
}

// FuzzRead: any mail becomes a message in bounded memory, and that a mail whose tree is what it says; of which the
// second message is the first.
func FuzzRead(f *testing.F) {
	for _, each := range mails.Corpus(f) {
		if len(each.Octets) < 2000 {
			f.Add(each.Octets)
		}
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		defer testkit.Bounded(t)()
		octets = mime.Normalize(octets)
		m, names, b := read(t, octets)
		fm, err := (&Writer{Names: names, Contents: b}).Write(&m.MessageContent)
		if err != nil {
			t.Fatal(err)
		}
		out := b.octets(t, &fm)
		if got, want := mime.MarshalDigest(fm.Root), mime.MarshalDigest(mime.Scan(out)); !bytes.Equal(got, want) {
			t.Fatalf("computed %x, scanned %x of\n%q", got, want, out)
		}
		again, _, _ := read(t, out)
		if a, b := len(again.Attachments), len(m.Attachments); a != b && !slices.ContainsFunc(m.Attachments, isOdd) {
			t.Fatalf("%d attachments come back as %d in\n%q", b, a, out)
		}
	})
}

// isOdd tells attachments that may come back as something else: what came out of TNEF, and parts that say that they are
// a structure and are none.
func isOdd(a exmdb.Attachment) bool {
	tag := stringOf(&a.Props, mapi.PidTagAttachMimeTag)
	return tag == "" || strings.HasPrefix(tag, "multipart/") || strings.Contains(tag, "tnef") || strings.Contains(tag, "pkcs7") || a.Embedded != nil || strings.HasPrefix(tag, "text/")
}

func benchmarks(b *testing.B, of func(b *testing.B, octets []byte)) {
	for _, each := range []struct {
		name   string
		octets []byte
	}{{"text4KiB", mails.Text(4 << 10)}, {"html75KiB", mails.HTML()}, {"file5MB", mails.File(5_000_000)}} {
		b.Run(each.name, func(b *testing.B) {
			b.SetBytes(int64(len(each.octets)))
			b.ReportAllocs()
			of(b, each.octets)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	benchmarks(b, func(b *testing.B, octets []byte) {
		root := mime.Scan(octets)
		for b.Loop() {
			rd := Reader{Keep: &counting{}, Names: &oxcmsg.Names{}}
			if _, err := rd.Read(root, bytes.NewReader(octets)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	benchmarks(b, func(b *testing.B, octets []byte) {
		rd := Reader{Keep: &counting{}, Names: &oxcmsg.Names{}}
		m, err := rd.Read(mime.Scan(octets), bytes.NewReader(octets))
		if err != nil {
			b.Fatal(err)
		}
		w := Writer{Names: rd.Names}
		for b.Loop() {
			if _, err := w.Write(&m.MessageContent); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func ExampleWriter() {
	m := exmdb.MessageContent{}
	m.Props.Set(mapi.PidTagNormalizedSubject, mapi.String("Hello"))
	m.Props.Set(mapi.PidTagBody, mapi.String("World\r\n"))
	form, err := (&Writer{}).Write(&m)
	fmt.Println(form.Recipe.Size(), err)
	// Output: 118 <nil>
}
