package rules

import (
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const bobDN = "/o=Flotilla/ou=Exchange Administrative Group/cn=Recipients/cn=0123"

func has(t mapi.Tag, fuzzy mapi.FuzzyLevel, v mapi.Value) mapi.Restriction {
	return &mapi.ContentRestriction{Fuzzy: fuzzy, Tag: t, Value: mapi.Prop{Tag: t, Value: v}}
}

// TestConditions are the conditions that Outlook's rules wizard writes.
func TestConditions(t *testing.T) {
	recipient := func(of mapi.Restriction) mapi.Restriction {
		return &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: of}
	}
	attachment := func(of mapi.Restriction) mapi.Restriction {
		return &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageAttachments, Of: of}
	}
	key := func(tag mapi.Tag, kind, address string) mapi.Restriction {
		return is(tag, mapi.Binary(oxcdata.SearchKey(kind, address)))
	}
	header := "From: =?utf-8?q?B=C3=B6b?= <Bob@Elsewhere.test>\r\nSender: carl@example.test\r\nTo: a.n@example.test, Dora <dora@far.test>\r\n" +
		"Cc: list@far.test\r\nSubject: AW: offer of the week\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\nX-Mailer: none\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n"
	octets := header + "\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/pdf; name=\"bill.pdf\"\r\nContent-Disposition: attachment\r\n\r\nabc\r\n--b--\r\n"
	m := &Mail{Props: new(mapi.PropBag), Digest: mime.MarshalDigest(mime.Scan([]byte(octets))), Header: []byte(header), From: "bounce@elsewhere.test", Size: 5000, Received: 1e17,
		About: exmdb.Circumstances{Own: []string{"anna@example.test", "A.N@example.test"},
			Known: []exmdb.KnownAddress{{Address: "Carl@example.test", LegacyDN: bobDN}, {Address: "dora@far.test", LegacyDN: "/o=dora"}}},
		Body: func() string { return "please find the bill" }}
	m.Props.Set(mapi.PidTagImportance, mapi.Integer32(2))
	all := mapi.FuzzySubstring | mapi.FuzzyIgnoreCase
	for name, c := range map[string]struct {
		r    mapi.Restriction
		want bool
	}{
		"from an address":                 {key(mapi.PidTagSentRepresentingSearchKey, "SMTP", "bob@elsewhere.TEST"), true},
		"from another":                    {key(mapi.PidTagSentRepresentingSearchKey, "SMTP", "eve@elsewhere.test"), false},
		"sent by an address":              {key(mapi.PidTagSenderSearchKey, "SMTP", "carl@example.test"), true},
		"sent by one of ours, by DN":      {key(mapi.PidTagSenderSearchKey, "EX", bobDN), true},
		"not sent by one of ours":         {&mapi.NotRestriction{Of: key(mapi.PidTagSenderSearchKey, "EX", bobDN)}, false},
		"from a domain":                   {has(mapi.PidTagSentRepresentingSearchKey, mapi.FuzzySubstring, mapi.Binary("@ELSEWHERE.TEST")), true},
		"from a name":                     {has(mapi.PidTagSentRepresentingName, all, mapi.String("BÖB")), true},
		"sent to me":                      {is(mapi.PidTagMessageToMe, mapi.Boolean(true)), true},
		"copied to me":                    {is(mapi.PidTagMessageCcMe, mapi.Boolean(true)), false},
		"me in To or Cc":                  {is(mapi.PidTagMessageRecipientMe, mapi.Boolean(true)), true},
		"sent to somebody":                {recipient(key(mapi.PidTagSearchKey, "SMTP", "dora@far.test")), true},
		"sent to somebody, by DN":         {recipient(key(mapi.PidTagSearchKey, "EX", "/o=dora")), true},
		"sent to somebody in Cc":          {recipient(mapi.AndRestriction{is(mapi.PidTagRecipientType, mapi.Integer32(2)), has(mapi.PidTagSmtpAddress, all, mapi.String("LIST@"))}), true},
		"sent to nobody such":             {recipient(key(mapi.PidTagSearchKey, "SMTP", "x@far.test")), false},
		"recipient's name":                {recipient(is(mapi.PidTagDisplayName, mapi.String("dora"))), true},
		"recipient's address and type":    {recipient(mapi.AndRestriction{is(mapi.PidTagAddressType, mapi.String("SMTP")), is(mapi.PidTagEmailAddress, mapi.String("dora@far.test"))}), true},
		"recipients have no subject":      {recipient(&mapi.ExistRestriction{Tag: mapi.PidTagSubject}), false},
		"words in the subject":            {has(mapi.PidTagSubject, all, mapi.String("OFFER")), true},
		"the normalised subject":          {is(mapi.PidTagNormalizedSubject, mapi.String("offer of the week")), true},
		"the prefix":                      {is(mapi.PidTagSubjectPrefix, mapi.String("AW: ")), true},
		"words in the body":               {has(mapi.PidTagBody, all, mapi.String("the bill")), true},
		"words in the header":             {has(mapi.PidTagTransportMessageHeaders, all, mapi.String("x-mailer: NONE")), true},
		"importance":                      {is(mapi.PidTagImportance, mapi.Integer32(2)), true},
		"sensitivity":                     {is(mapi.PidTagSensitivity, mapi.Integer32(0)), true},
		"class":                           {is(mapi.PidTagMessageClass, mapi.String("IPM.Note")), true},
		"with an attachment":              {&mapi.BitMaskRestriction{Op: mapi.BitMaskNotEqualZero, Tag: mapi.PidTagMessageFlags, Mask: 0x10}, true},
		"has attachments":                 {is(mapi.PidTagHasAttachments, mapi.Boolean(true)), true},
		"attachment's name":               {attachment(has(mapi.PidTagAttachLongFilename, all, mapi.String(".PDF"))), true},
		"attachment's type":               {attachment(is(mapi.PidTagAttachMimeTag, mapi.String("application/pdf"))), true},
		"attachment's size":               {attachment(&mapi.PropertyRestriction{Op: mapi.RelOpGT, Tag: mapi.PidTagAttachSize, Value: mapi.Prop{Tag: mapi.PidTagAttachSize, Value: mapi.Integer32(2)}}), true},
		"no such attachment":              {attachment(is(mapi.PidTagAttachLongFilename, mapi.String("a.doc"))), false},
		"attachments have no importance":  {attachment(&mapi.ExistRestriction{Tag: mapi.PidTagImportance}), false},
		"size in a range":                 {&mapi.PropertyRestriction{Op: mapi.RelOpGE, Tag: mapi.PidTagMessageSize, Value: mapi.Prop{Tag: mapi.PidTagMessageSize, Value: mapi.Integer32(5000)}}, true},
		"received in a span":              {&mapi.PropertyRestriction{Op: mapi.RelOpLT, Tag: mapi.PidTagMessageDeliveryTime, Value: mapi.Prop{Tag: mapi.PidTagMessageDeliveryTime, Value: mapi.FileTime(2e17)}}, true},
		"display lists":                   {has(mapi.PidTagDisplayTo, all, mapi.String("dora")), true},
		"display Cc":                      {has(mapi.PidTagDisplayCc, all, mapi.String("LIST")), true},
		"message id":                      {is(mapi.PidTagInternetMessageId, mapi.String("<1@x>")), true},
		"in reply to":                     {is(mapi.PidTagInReplyToId, mapi.String("<0@x>")), true},
		"sender's address":                {is(mapi.PidTagSenderSmtpAddress, mapi.String("carl@example.test")), true},
		"sender's name is his address":    {is(mapi.PidTagSenderName, mapi.String("carl@example.test")), true},
		"author's address":                {is(mapi.PidTagSentRepresentingEmailAddress, mapi.String("Bob@Elsewhere.test")), true},
		"author's type":                   {is(mapi.PidTagSentRepresentingAddressType, mapi.String("SMTP")), true},
		"no level where no filter was":    {&mapi.ExistRestriction{Tag: mapi.PidTagContentFilterSpamConfidenceLevel}, false},
		"suppresses nothing":              {is(mapi.PidTagAutoResponseSuppress, mapi.Integer32(0)), true},
		"other sub-objects are not there": {&mapi.SubObjectRestriction{Tag: mapi.PidTagSubject, Of: mapi.AndRestriction{}}, false},
	} {
		if got := c.r.Match(&tagged{m, new(Plan)}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestHeadersInACharset: a mail whose header has octets in the charset of its text is, to a rule, from and to whom clients see.
func TestHeadersInACharset(t *testing.T) {
	header := "From: \xe1\xce\xce\xc1 <anna@far.test>\r\nTo: \xe2\xcf\xd2\xc9\xd3 <boris@far.test>\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nX-Note: \xc4\xc1\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n"
	octets := header + "\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n--b\r\nContent-Type: application/pdf; name=\xd0.pdf\r\n\r\n--b--\r\n"
	m := &Mail{Digest: mime.MarshalDigest(mime.Scan([]byte(octets))), Header: []byte("Received: from far.test\r\n" + header)}
	all := mapi.FuzzySubstring | mapi.FuzzyIgnoreCase
	for name, r := range map[string]mapi.Restriction{
		"author":    is(mapi.PidTagSentRepresentingName, mapi.String("Анна")),
		"sender":    has(mapi.PidTagSenderName, all, mapi.String("анна")),
		"subject":   is(mapi.PidTagSubject, mapi.String("Привет")),
		"recipient": &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: is(mapi.PidTagDisplayName, mapi.String("Борис"))},
		"list":      is(mapi.PidTagDisplayTo, mapi.String("Борис")),
		"header":    has(mapi.PidTagTransportMessageHeaders, all, mapi.String("x-note: да\r\n")),
		"file":      &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageAttachments, Of: is(mapi.PidTagAttachLongFilename, mapi.String("п.pdf"))},
	} {
		if !r.Match(&tagged{m, new(Plan)}) {
			t.Errorf("%s: no match", name)
		}
	}
}

func TestReadingIsSeenByLaterRules(t *testing.T) {
	unread := &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead}
	b := &box{rules: map[mapi.FID][]Rule{inbox: {rule(1, 0, unread, copyTo(fA)), rule(2, 0, nil, markRead), rule(3, 0, unread, remove)}}}
	if p, err := Evaluate(received(""), b.situation()); err != nil || told(p) != "A Inbox read" {
		t.Errorf("%s, %v", told(p), err)
	}
}

func TestAMessageThatIsNoMIMEHasItsProperties(t *testing.T) {
	m := &Mail{Props: new(mapi.PropBag)}
	m.Props.Set(mapi.PidTagNormalizedSubject, mapi.String("x"))
	m.Props.Set(mapi.PidTagSubjectPrefix, mapi.String("RE: "))
	m.Props.Set(mapi.PidTagSenderSearchKey, mapi.Binary("SMTP:A@B\x00"))
	for tag, want := range map[mapi.Tag]mapi.Value{
		mapi.PidTagSubject: mapi.String("RE: x"), mapi.PidTagMessageToMe: mapi.Boolean(false), mapi.PidTagHasAttachments: mapi.Boolean(false),
		mapi.PidTagBody: nil, mapi.PidTagTransportMessageHeaders: nil, mapi.PidTagMessageClass: nil, mapi.PidTagSenderSmtpAddress: nil,
	} {
		if got := m.Get(tag); got != want {
			t.Errorf("%v: %v", tag, got)
		}
	}
	if got, ok := m.Get(mapi.PidTagSenderSearchKey).(mapi.Binary); !ok || string(got) != "SMTP:A@B\x00" {
		t.Errorf("%v", got)
	}
	for range m.SubObjects(mapi.PidTagMessageAttachments) {
		t.Error("an attachment of nothing")
	}
}

func TestTheBodyIsReadOnce(t *testing.T) {
	n := 0
	m := &Mail{Props: new(mapi.PropBag), Body: func() string { n++; return "x" }}
	m.Get(mapi.PidTagBody)
	if v := m.Get(mapi.PidTagBody); v != mapi.String("x") || n != 1 {
		t.Errorf("%v, read %d times", v, n)
	}
}
