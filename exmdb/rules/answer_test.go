package rules

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

func TestTell(t *testing.T) {
	texts := exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFAll, Internal: exmdb.ReplyText{Plain: "in"}, External: exmdb.ReplyText{HTML: "out"}}
	type away struct {
		settings          exmdb.OOFSettings
		gone              bool // not away
		contact, answered bool
	}
	with := func(change func(*exmdb.OOFSettings)) exmdb.OOFSettings {
		s := texts
		change(&s)
		return s
	}
	known := with(func(s *exmdb.OOFSettings) { s.Audience = exmdb.OOFKnown })
	none := with(func(s *exmdb.OOFSettings) { s.Audience = exmdb.OOFNone })
	for name, c := range map[string]struct {
		from, header string
		internal     bool
		away         away
		want         string
		why          Reason
	}{
		"a stranger":                       {"", "", false, away{settings: texts}, "out", ""},
		"one of ours":                      {"", "", true, away{settings: texts}, "in", ""},
		"one of ours, nobody else":         {"", "", true, away{settings: none}, "in", ""},
		"nobody else":                      {"", "", false, away{settings: none}, "", ReasonAudience},
		"contacts, a contact":              {"", "", false, away{settings: known, contact: true}, "out", ""},
		"contacts, a stranger":             {"", "", false, away{settings: known}, "", ReasonAudience},
		"contacts, one of ours":            {"", "", true, away{settings: known}, "in", ""},
		"told before":                      {"", "", false, away{settings: texts, answered: true}, "", ReasonAnswered},
		"not away":                         {"", "", false, away{settings: texts, gone: true}, "", ReasonNotAway},
		"no text for strangers":            {"", "", false, away{settings: with(func(s *exmdb.OOFSettings) { s.External = exmdb.ReplyText{} })}, "", ReasonNoText},
		"null reverse-path":                {"<>", "", false, away{settings: texts}, "", ReasonNullSender},
		"himself":                          {"A.N@example.test", "", true, away{settings: texts}, "", ReasonSelf},
		"a mailer":                         {"MAILER-DAEMON@far.test", "", false, away{settings: texts}, "", ReasonSystem},
		"a mailer without domain":          {"postmaster", "", false, away{settings: texts}, "", ReasonSystem},
		"a list's owner":                   {"owner-list@far.test", "", false, away{settings: texts}, "", ReasonSystem},
		"a list's request address":         {"list-request@far.test", "", false, away{settings: texts}, "", ReasonSystem},
		"a bounce address":                 {"bounces+123=anna@far.test", "", false, away{settings: texts}, "", ReasonSystem},
		"no reply wanted":                  {"No-Reply@far.test", "", false, away{settings: texts}, "", ReasonSystem},
		"no reply wanted, by its author":   {"x@far.test", "From: shop <noreply@far.test>\r\nTo: anna@example.test\r\n", false, away{settings: texts}, "", ReasonSystem},
		"a man whose name begins so":       {"bouncer@far.test", "", false, away{settings: texts}, "out", ""},
		"a machine":                        {"", plainHeader + "Auto-Submitted: auto-generated\r\n", false, away{settings: texts}, "", ReasonAutomatic},
		"a list":                           {"", plainHeader + "List-Id: <l>\r\n", false, away{settings: texts}, "", ReasonList},
		"a list by precedence":             {"", plainHeader + "Precedence: list\r\n", false, away{settings: texts}, "", ReasonList},
		"bulk":                             {"", plainHeader + "Precedence: bulk\r\n", false, away{settings: texts}, "", ReasonBulk},
		"junk":                             {"", plainHeader + "Precedence: junk\r\n", false, away{settings: texts}, "", ReasonBulk},
		"a report":                         {"", plainHeader + "Content-Type: multipart/report\r\n", false, away{settings: texts}, "", ReasonReport},
		"suppressed":                       {"", plainHeader + "X-Auto-Response-Suppress: OOF\r\n", false, away{settings: texts}, "", ReasonSuppressed},
		"other answers suppressed":         {"", plainHeader + "X-Auto-Response-Suppress: AutoReply\r\n", false, away{settings: texts}, "out", ""},
		"a loop":                           {"", plainHeader + LoopField + ": anna@example.test\r\n", false, away{settings: texts}, "", ReasonLoop},
		"not addressed":                    {"", "From: bob@elsewhere.test\r\nTo: list@far.test\r\n", false, away{settings: texts}, "", ReasonNotAddressed},
		"blind copy":                       {"", "From: bob@elsewhere.test\r\n", false, away{settings: texts}, "", ReasonNotAddressed},
		"addressed by another address, Cc": {"", "From: bob@elsewhere.test\r\nTo: x@y.test\r\nCc: A.N@Example.TEST\r\n", false, away{settings: texts}, "out", ""},
	} {
		from := c.from
		switch from {
		case "":
			from = "bob@elsewhere.test"
		case "<>":
			from = ""
		}
		if c.header == "" {
			c.header = plainHeader
		}
		m := receivedAs(from, c.header)
		m.About.Internal = c.internal
		text, why, err := Tell(m, &Away{Settings: &c.away.settings, Active: !c.away.gone,
			Contact: func(string) (bool, error) { return c.away.contact, nil }, Answered: func(string) (bool, error) { return c.away.answered, nil }})
		got := ""
		if text != nil {
			got = text.Plain + text.HTML
		}
		if err != nil || got != c.want || why != c.why {
			t.Errorf("%s: %q, %q, %v", name, got, why, err)
		}
	}
}

func TestTellPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	s := exmdb.OOFSettings{Audience: exmdb.OOFKnown, External: exmdb.ReplyText{Plain: "x"}}
	no := func(string) (bool, error) { return false, nil }
	bad := func(string) (bool, error) { return false, broken }
	for _, a := range []*Away{{Settings: &s, Active: true, Contact: no, Answered: bad}, {Settings: &s, Active: true, Contact: bad, Answered: no}} {
		if text, _, err := Tell(received(""), a); text != nil || !errors.Is(err, broken) {
			t.Errorf("%v, %v", text, err)
		}
	}
}

func TestAway(t *testing.T) {
	start := time.Unix(1.8e9, 0)
	end := start.Add(time.Hour)
	scheduled := exmdb.OOFSettings{State: exmdb.OOFScheduled, Start: start, End: end}
	for _, c := range []struct {
		s    exmdb.OOFSettings
		at   time.Time
		want bool
	}{
		{exmdb.OOFSettings{}, start, false},
		{exmdb.OOFSettings{State: exmdb.OOFEnabled, Start: end, End: end}, start, true},
		{scheduled, start.Add(-1), false}, {scheduled, start, true}, {scheduled, end.Add(-1), true}, {scheduled, end, false},
		{exmdb.OOFSettings{State: 77}, start, false},
	} {
		if got := c.s.Away(c.at); got != c.want {
			t.Errorf("%+v at %v: %v", c.s, c.at, got)
		}
	}
}

func TestRecipientsOfAForward(t *testing.T) {
	m := received("")
	str := func(t mapi.Tag, s string) mapi.Prop { return mapi.Prop{Tag: t, Value: mapi.String(s)} }
	entry := func(id oxcdata.EntryID) []mapi.Prop {
		return []mapi.Prop{{Tag: mapi.PidTagEntryId, Value: mapi.Binary(id.Append(nil))}}
	}
	to, bad := m.recipientsOf(mapi.ForwardAction{
		{str(mapi.PidTagDisplayName, "One"), str(mapi.PidTagSmtpAddress, "one@far.test"), str(mapi.PidTagAddressType, "EX"), str(mapi.PidTagEmailAddress, "/o=one")},
		{str(mapi.PidTagAddressType, "smtp"), str(mapi.PidTagEmailAddress, "two@far.test")},
		{str(mapi.PidTagAddressType, "EX"), str(mapi.PidTagEmailAddress, "/o=three")},
		entry(oxcdata.OneOffOf("Four", "SMTP", "four@far.test")),
		entry(oxcdata.AddressBookOf(oxcdata.DisplayMailUser, "/o=five")),
		{{Tag: mapi.PidTagSmtpAddress.WithType(mapi.TypeString8), Value: mapi.String8("six@far.test")}},
		{str(mapi.PidTagAddressType, "FAX"), str(mapi.PidTagEmailAddress, "+49")},
		{str(mapi.PidTagAddressType, "SMTP")},
		entry(oxcdata.FolderOf(mapi.MailboxID{1}, mapi.GID{Counter: 5})),
		{{Tag: mapi.PidTagEntryId, Value: mapi.Binary{1, 2}}},
		{str(mapi.PidTagSmtpAddress, "TWO@far.test")},
		{str(mapi.PidTagSmtpAddress, "anna@example.test")},
	})
	want := []Recipient{{"One", "one@far.test", ""}, {"", "two@far.test", ""}, {"", "", "/o=three"}, {"", "four@far.test", ""}, {"", "", "/o=five"}, {"", "six@far.test", ""}}
	if !slices.Equal(to, want) || bad != 4 {
		t.Errorf("%+v, %d bad", to, bad)
	}
}
