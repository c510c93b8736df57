package rules

import (
	"errors"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
)

func TestJudgeJunk(t *testing.T) {
	type lists map[exmdb.JunkList]string
	for name, c := range map[string]struct {
		from, header string
		lists        lists
		settings     exmdb.JunkSettings
		contact      bool
		junk         bool
		why          Reason
	}{
		"plain":                               {"", "", nil, exmdb.JunkSettings{}, false, false, ""},
		"spam by flag":                        {"", "X-Spam-Flag: YES\r\n", nil, exmdb.JunkSettings{}, false, true, ReasonSpam},
		"spam by level":                       {"", "X-MS-Exchange-Organization-SCL: 5\r\n", nil, exmdb.JunkSettings{}, false, true, ReasonSpam},
		"below the threshold":                 {"", "X-MS-Exchange-Organization-SCL: 4\r\n", nil, exmdb.JunkSettings{}, false, false, ""},
		"a lower threshold":                   {"", "X-MS-Exchange-Organization-SCL: 4\r\n", nil, exmdb.JunkSettings{Threshold: 3}, false, true, ReasonSpam},
		"turned off":                          {"", "X-Spam-Flag: YES\r\n", lists{exmdb.JunkBlocked: "bob@elsewhere.test"}, exmdb.JunkSettings{Off: true}, false, false, ""},
		"blocked":                             {"", "", lists{exmdb.JunkBlocked: "bob@elsewhere.test"}, exmdb.JunkSettings{}, false, true, ReasonBlocked},
		"blocked domain":                      {"", "", lists{exmdb.JunkBlocked: "@elsewhere.test"}, exmdb.JunkSettings{}, false, true, ReasonBlocked},
		"blocked by reverse-path":             {"x@mail.evil.test", "", lists{exmdb.JunkBlocked: "@evil.test"}, exmdb.JunkSettings{}, false, true, ReasonBlocked},
		"another domain that ends so":         {"x@notevil.test", "", lists{exmdb.JunkBlocked: "@evil.test"}, exmdb.JunkSettings{}, false, false, ""},
		"a top-level domain is not looked up": {"", "", lists{exmdb.JunkBlocked: "@test"}, exmdb.JunkSettings{}, false, false, ""},
		"safe, though spam":                   {"", "X-Spam-Flag: YES\r\n", lists{exmdb.JunkSafeSenders: "bob@elsewhere.test"}, exmdb.JunkSettings{}, false, false, ReasonSafeSender},
		"safe domain":                         {"", "X-Spam-Flag: YES\r\n", lists{exmdb.JunkSafeSenders: "@elsewhere.test"}, exmdb.JunkSettings{}, false, false, ReasonSafeSender},
		"safe, though blocked":                {"", "", lists{exmdb.JunkSafeSenders: "bob@elsewhere.test", exmdb.JunkBlocked: "@elsewhere.test"}, exmdb.JunkSettings{}, false, false, ReasonSafeSender},
		"safe by reverse-path is not":         {"safe@far.test", "X-Spam-Flag: YES\r\n", lists{exmdb.JunkSafeSenders: "safe@far.test"}, exmdb.JunkSettings{}, false, true, ReasonSpam},
		"to a safe recipient":                 {"", "X-Spam-Flag: YES\r\nCc: list@l.test\r\n", lists{exmdb.JunkSafeRecipients: "list@l.test"}, exmdb.JunkSettings{}, false, false, ReasonSafeRecipient},
		"a contact":                           {"", "X-Spam-Flag: YES\r\n", nil, exmdb.JunkSettings{TrustContacts: true}, true, false, ReasonSafeSender},
		"a contact who is not trusted":        {"", "X-Spam-Flag: YES\r\n", nil, exmdb.JunkSettings{}, true, true, ReasonSpam},
		"a stranger, only safe ones wanted":   {"", "", nil, exmdb.JunkSettings{OnlySafe: true}, false, true, ReasonStranger},
		"a safe one, only safe ones wanted":   {"", "", lists{exmdb.JunkSafeSenders: "bob@elsewhere.test"}, exmdb.JunkSettings{OnlySafe: true}, false, false, ReasonSafeSender},
		"a contact who is blocked":            {"", "", lists{exmdb.JunkBlocked: "bob@elsewhere.test"}, exmdb.JunkSettings{TrustContacts: true}, true, true, ReasonBlocked},
		"a contact, only safe ones wanted":    {"", "", nil, exmdb.JunkSettings{TrustContacts: true, OnlySafe: true}, true, false, ReasonSafeSender},
		"null reverse-path":                   {"<>", "", lists{exmdb.JunkBlocked: "x@y.test"}, exmdb.JunkSettings{}, false, false, ""},
	} {
		from := "bob@elsewhere.test"
		if c.from != "" {
			from = c.from
		}
		if from == "<>" {
			from = ""
		}
		v, err := JudgeJunk(receivedAs(from, plainHeader+c.header), &c.settings, &Lists{
			Has:     func(l exmdb.JunkList, entry string) (bool, error) { return c.lists[l] == entry, nil },
			Contact: func(a string) (bool, error) { return c.contact && a == "bob@elsewhere.test", nil }})
		if err != nil || v.Junk != c.junk || v.Why != c.why {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestJunkOfSafeLevelIsNone(t *testing.T) {
	m := received("X-Spam-Flag: YES\r\n")
	m.Props.Set(0x4076_0003, mapiInt(-1))
	no := func(exmdb.JunkList, string) (bool, error) { return false, nil }
	if v, err := JudgeJunk(m, &exmdb.JunkSettings{}, &Lists{Has: no}); err != nil || v.Junk {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestJunkPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, failing := range []exmdb.JunkList{exmdb.JunkSafeSenders, exmdb.JunkSafeRecipients, exmdb.JunkBlocked} {
		l := &Lists{Has: func(l exmdb.JunkList, _ string) (bool, error) {
			if l == failing {
				return false, broken
			}
			return false, nil
		}, Contact: func(string) (bool, error) { return false, nil }}
		if v, err := JudgeJunk(received(""), &exmdb.JunkSettings{TrustContacts: true}, l); !errors.Is(err, broken) || v.Junk {
			t.Errorf("list %d: %+v, %v", failing, v, err)
		}
	}
	l := &Lists{Contact: func(string) (bool, error) { return false, broken }}
	if _, err := JudgeJunk(received("X-Spam: yes\r\n"), &exmdb.JunkSettings{TrustContacts: true}, l); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestJunkEntry(t *testing.T) {
	for in, want := range map[string]string{
		"Bob@Elsewhere.TEST": "bob@elsewhere.test", " x@y.test ": "x@y.test", "evil.test": "@evil.test", "@Evil.test": "@evil.test", "@bücher.test": "@xn--bcher-kva.test",
		"": "", "@": "", "com": "", "a b@c.test": "", "x@": "",
	} {
		if got, ok := JunkEntry(in); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
}
