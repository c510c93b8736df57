package rules

import (
	"reflect"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestFacts(t *testing.T) {
	for header, want := range map[string]Facts{
		"":                            {},
		"Subject: x\r\nFrom: a@b\r\n": {},
		"Received: a\r\nreceived : b\r\n\tc\r\nRECEIVED: d\r\n":  {Hops: 3},
		LoopField + ": Anna@Example.test \r\n":                   {Loops: []string{"anna@example.test"}},
		LoopField + ":\r\n anna@example.test\r\n":                {Loops: []string{"anna@example.test"}},
		"Auto-Submitted: no\r\n":                                 {},
		"Auto-Submitted: No (said so)\r\n":                       {},
		"Auto-Submitted: auto-generated; x=y\r\n":                {Automatic: true},
		"auto-submitted: auto-replied\r\n":                       {Automatic: true},
		"X-Autoreply: yes\r\n":                                   {Automatic: true},
		"Precedence: LIST\r\n":                                   {List: true},
		"Precedence: bulk\r\n":                                   {Bulk: true},
		"Precedence: junk\r\n":                                   {Bulk: true},
		"Precedence: first-class\r\n":                            {},
		"List-Id: <l.example>\r\n":                               {List: true},
		"List-Unsubscribe: <mailto:x>\r\n":                       {List: true},
		"Mailing-List: contact x\r\n":                            {List: true},
		"Content-Type: multipart/report; report-type=x\r\n":      {Report: true},
		"Content-Type: MULTIPART/Report\r\n":                     {Report: true},
		"Content-Type: text/plain\r\n":                           {},
		"X-Auto-Response-Suppress: All\r\n":                      {Suppress: suppressAll},
		"X-Auto-Response-Suppress: DR, OOF\r\n":                  {Suppress: SuppressOOF},
		"X-Auto-Response-Suppress: OOF,AutoReply\r\n":            {Suppress: SuppressOOF | SuppressAutoReply},
		"X-Auto-Response-Suppress: None\r\n":                     {},
		"X-Spam-Flag: YES\r\n":                                   {Spam: spamLevel},
		"X-Spam-Flag: NO\r\n":                                    {},
		"X-Spam: Yes\r\n":                                        {Spam: spamLevel},
		"X-Spam-Status: Yes, score=9\r\n\ttests=a\r\n":           {Spam: spamLevel},
		"X-Spam-Status: No, score=-1\r\n":                        {},
		"X-MS-Exchange-Organization-SCL: 6\r\n":                  {Spam: 6},
		"X-MS-Exchange-Organization-SCL: -1\r\n":                 {},
		"X-MS-Exchange-Organization-SCL: 600\r\n":                {Spam: spamLevel},
		"X-MS-Exchange-Organization-SCL: six\r\n":                {},
		"a line without colon\r\nPrecedence: bulk\r\n":           {Bulk: true},
		strings.Repeat("X", 500) + ": y\r\nPrecedence: bulk\r\n": {Bulk: true},
		"Subject: x\r\n\r\nPrecedence: bulk\r\n":                 {},
		"Precedence: bulk":                                       {Bulk: true},
		"X-Folded: a\r\n Precedence: bulk\r\n":                   {},
	} {
		if got := FactsOf([]byte(header)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", header, got, want)
		}
	}
}

func TestLongestNameIsThatOfTheTable(t *testing.T) {
	longest := 0
	for name := range factFields {
		longest = max(longest, len(name))
		if name != strings.ToLower(name) {
			t.Errorf("%s is not in small letters", name)
		}
	}
	if longest != longestName {
		t.Errorf("the longest name has %d letters, not %d", longest, longestName)
	}
}

func FuzzFactsOf(f *testing.F) {
	f.Add([]byte("Received: a\r\n b\r\n" + LoopField + ": x\r\n\r\n"))
	f.Add([]byte(":\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		got := FactsOf(b)
		if got.Hops > len(b) || len(got.Loops) > len(b) || got.Spam < 0 || got.Spam > spamLevel {
			t.Errorf("%+v of %d bytes", got, len(b))
		}
	})
}

func BenchmarkFactsOf(b *testing.B) {
	header := []byte(strings.Repeat("Received: from a.example (b.example [192.0.2.1])\r\n\tby c.example with ESMTPS id 1;\r\n\tMon, 01 Jan 2026 00:00:00 +0000\r\n", 5) +
		strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; b=abcdefghijklmnopqrstuvwxyz\r\n", 10) + plainHeader)
	b.ReportAllocs()
	for b.Loop() {
		FactsOf(header)
	}
}
