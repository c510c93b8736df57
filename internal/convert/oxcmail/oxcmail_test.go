package oxcmail

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func propsOf(t testing.TB, mail string) (mapi.PropBag, *mime.Part) {
	t.Helper()
	octets := []byte(strings.ReplaceAll(mail, "\n", "\r\n"))
	root := mime.Scan(octets)
	bag, err := HeaderProps(root, bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	return bag, root
}

func check(t *testing.T, bag *mapi.PropBag, want map[mapi.Tag]mapi.Value) {
	t.Helper()
	for tag, v := range want {
		if got := bag.Get(tag); fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("%s is %v, want %v", tag.Name(), got, v)
		}
	}
	for _, p := range bag.All() {
		if _, known := want[p.Tag]; !known {
			t.Errorf("%s is there, %v", p.Tag.Name(), p.Value)
		}
	}
}

func TestHeaderProps(t *testing.T) {
	index := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 27))
	bag, root := propsOf(t, `Received: from x by y
From: =?utf-8?q?Anna_=C3=84hre?= <anna@example.test>
Sender: Office <office@example.test>
To: bert@example.test, "Carl" <carl@example.test>
Cc: team: dora@example.test;
Reply-To: answers@example.test
Subject: =?utf-8?q?RE:_Gr=C3=BC=C3=9Fe?=
Date: Tue, 03 Mar 2026 10:20:30 +0100
Message-ID: <1@example.test>
In-Reply-To: <0@example.test>
References: <a@example.test> <0@example.test>
Importance: High
Sensitivity: Company-Confidential
Thread-Topic: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Thread-Index: `+index+`
Disposition-Notification-To: anna@example.test
List-Unsubscribe: <mailto:off@example.test>
Content-Type: multipart/mixed; boundary=b

--b

text
--b
Content-Disposition: attachment; filename=a.txt

file
--b--
`)
	check(t, &bag, map[mapi.Tag]mapi.Value{
		mapi.PidTagSubjectPrefix: mapi.String("RE: "), mapi.PidTagNormalizedSubject: mapi.String("Grüße"),
		mapi.PidTagConversationTopic: mapi.String("Grüße"), mapi.PidTagConversationIndex: mapi.Binary(bytes.Repeat([]byte{1}, 27)),
		mapi.PidTagSentRepresentingName: mapi.String("Anna Ähre"), mapi.PidTagSentRepresentingSmtpAddress: mapi.String("anna@example.test"),
		mapi.PidTagSenderName: mapi.String("Office"), mapi.PidTagSenderSmtpAddress: mapi.String("office@example.test"),
		mapi.PidTagDisplayTo: mapi.String("bert@example.test; Carl"), mapi.PidTagDisplayCc: mapi.String("dora@example.test"),
		mapi.PidTagReplyRecipientNames: mapi.String("answers@example.test"),
		mapi.PidTagReplyRecipientEntries: mapi.Binary(oxcdata.AppendFlatEntryList(nil,
			[][]byte{oxcdata.OneOffOf("answers@example.test", "SMTP", "answers@example.test").Append(nil)})),
		mapi.PidTagClientSubmitTime:  mapi.FileTimeOf(time.Date(2026, 3, 3, 9, 20, 30, 0, time.UTC)),
		mapi.PidTagInternetMessageId: mapi.String("<1@example.test>"), mapi.PidTagInReplyToId: mapi.String("<0@example.test>"),
		mapi.PidTagInternetReferences: mapi.String("<a@example.test> <0@example.test>"),
		mapi.PidTagImportance:         mapi.Integer32(2), mapi.PidTagPriority: mapi.Integer32(1), mapi.PidTagSensitivity: mapi.Integer32(3),
		mapi.PidTagReadReceiptRequested: mapi.Boolean(true), mapi.PidTagListUnsubscribe: mapi.String("<mailto:off@example.test>"),
		mapi.PidTagHasAttachments: mapi.Boolean(true),
	})
	list := Recipients(root.Envelope)
	if len(list) != 3 || list[1].Get(mapi.PidTagDisplayName) != mapi.String("Carl") || list[2].Get(mapi.PidTagRecipientType) != mapi.Integer32(2) ||
		list[2].Get(mapi.PidTagRowid) != mapi.Integer32(2) || string(list[0].Get(mapi.PidTagSearchKey).(mapi.Binary)) != "SMTP:BERT@EXAMPLE.TEST\x00" {
		t.Errorf("recipients %v", list)
	}
}

func TestPlainMailHasLittle(t *testing.T) {
	bag, _ := propsOf(t, "From: a@example.test\nSubject: hi\nX-Priority: 3 (Normal)\n\ntext\n")
	check(t, &bag, map[mapi.Tag]mapi.Value{mapi.PidTagNormalizedSubject: mapi.String("hi"),
		mapi.PidTagSentRepresentingName: mapi.String("a@example.test"), mapi.PidTagSentRepresentingSmtpAddress: mapi.String("a@example.test")})
	bag, _ = propsOf(t, "\ntext\n")
	check(t, &bag, nil)
	bag, _ = propsOf(t, "Sender: s@example.test\nSubject:\n\n")
	check(t, &bag, map[mapi.Tag]mapi.Value{mapi.PidTagNormalizedSubject: mapi.String(""),
		mapi.PidTagSentRepresentingName: mapi.String("s@example.test"), mapi.PidTagSentRepresentingSmtpAddress: mapi.String("s@example.test")})
	if Recipients(nil) != nil {
		t.Error("recipients of no header")
	}
}

func TestImportance(t *testing.T) {
	for header, want := range map[string]mapi.Value{
		"Importance: low": mapi.Integer32(0), "X-Priority: 1 (Highest)": mapi.Integer32(2), "X-MSMail-Priority: Low": mapi.Integer32(0),
		"Priority: Urgent": mapi.Integer32(2), "Importance: normal\nX-Priority: 1": nil, "Importance: strange\nX-Priority: 5": mapi.Integer32(0),
	} {
		if bag, _ := propsOf(t, header+"\n\n"); bag.Get(mapi.PidTagImportance) != want {
			t.Errorf("%q: %v, want %v", header, bag.Get(mapi.PidTagImportance), want)
		}
	}
}

func TestClasses(t *testing.T) {
	report := func(kind, part string) string {
		return "Content-Type: multipart/report; report-type=x; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: message/" + kind + "\n\n" + part + "\n--b--\n"
	}
	for mail, want := range map[string]mapi.Value{
		"Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b--\n":                                     mapi.String("IPM.Note.SMIME.MultipartSigned"),
		"Content-Type: application/pkcs7-mime\n\nx":                                                           mapi.String("IPM.Note.SMIME"),
		report("delivery-status", "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@x\nAction: Delayed\n"): mapi.String("REPORT.IPM.Note.Delayed.DR"),
		report("delivery-status", "Action: delivered\n"):                                                      mapi.String("REPORT.IPM.Note.DR"),
		report("delivery-status", "nonsense"):                                                                 mapi.String("REPORT.IPM.Note.NDR"),
		report("disposition-notification", "x"):                                                               mapi.String("REPORT.IPM.Note.IPNRN"),
		report("feedback-report", "x"):                                                                        nil,
		"Content-Type: text/html\n\nx":                                                                        nil,
	} {
		if bag, _ := propsOf(t, mail); bag.Get(mapi.PidTagMessageClass) != want {
			t.Errorf("%q is %v, want %v", mail, bag.Get(mapi.PidTagMessageClass), want)
		}
	}
}

func TestLongHeadersAreCut(t *testing.T) {
	bag, _ := propsOf(t, "Subject: "+strings.Repeat("ä", 5000)+"\nReferences: "+strings.Repeat("<0123456789@example.test> ", 900)+"<last@x>\n\n")
	if s := bag.Get(mapi.PidTagNormalizedSubject).(mapi.String); len(s) > maxText || !utf8.ValidString(string(s)) {
		t.Errorf("subject of %d bytes", len(s))
	}
	refs := string(bag.Get(mapi.PidTagInternetReferences).(mapi.String))
	if len(refs) > maxText || !strings.HasPrefix(refs, "<") || !strings.HasSuffix(refs, "<last@x>") {
		t.Errorf("references %q", refs)
	}
}

// FuzzHeaderProps: whatever comes is a bag that a mailbox can store, and small.
func FuzzHeaderProps(f *testing.F) {
	f.Add([]byte("From: a@b\r\nSubject: =?utf-8?q?x?=\r\nThread-Index: AAAA\r\n\r\nx"))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n--b--"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		defer testkit.Bounded(t)()
		root := mime.Scan(octets)
		bag, err := HeaderProps(root, bytes.NewReader(octets))
		if err != nil {
			t.Fatal(err)
		}
		stored := bag.AppendWire(nil)
		if len(stored) > 64<<10 {
			t.Fatalf("%d bytes", len(stored))
		}
		var back mapi.PropBag
		if err := back.UnmarshalWire(stored); err != nil {
			t.Fatal(err)
		}
		for _, r := range Recipients(root.Envelope) {
			if err := back.UnmarshalWire(r.AppendWire(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkHeaderProps(b *testing.B) {
	mail := []byte("From: Anna <anna@example.test>\r\nTo: bert@example.test, carl@example.test\r\nSubject: RE: hello there\r\n" +
		"Date: Tue, 03 Mar 2026 10:20:30 +0100\r\nMessage-ID: <1@example.test>\r\n" + strings.Repeat("Received: from a by b with c id d; now\r\n", 8) + "\r\ntext\r\n")
	root := mime.Scan(mail)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := HeaderProps(root, bytes.NewReader(mail)); err != nil {
			b.Fatal(err)
		}
	}
}
