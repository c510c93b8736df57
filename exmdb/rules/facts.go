package rules

import (
	"bytes"
	"strconv"
	"strings"
)

// Facts are what a mail's header says to machines: where it has been, and what made it. They are read in one pass that
// looks at the names of fields only, because every mail is asked for them.
type Facts struct {
	// Hops counts the systems that the mail has passed.
	Hops int
	// Loops are the mailboxes whose rules have handed the mail on, as they wrote it.
	Loops []string
	// Automatic: nobody wrote the mail; List: it came over a list; Bulk: it says that it is no personal mail; Report: it
	// tells of another mail.
	Automatic, List, Bulk, Report bool
	// Suppress are the answers that the sender does not want (MS-OXOMSG 2.2.1.77).
	Suppress Suppress
	// Spam is the spam confidence level that a filter gave, 0 where none did or where it found nothing.
	Spam int
}

// LoopField is the header field by which a mail says whose rules have handed it on: one for each mailbox, with its
// address. It is Exchange's, so that loops through other systems are seen as well.
const LoopField = "X-MS-Exchange-Inbox-Rules-Loop"

// Suppress are kinds of answers. Bits are those of PidTagAutoResponseSuppress.
type Suppress uint32

// The kinds that matter here.
const (
	SuppressRead      Suppress = 0x04
	SuppressUnread    Suppress = 0x08
	SuppressOOF       Suppress = 0x10
	SuppressAutoReply Suppress = 0x20
	suppressAll       Suppress = 0xFFFF_FFFF
)

// spamLevel is the level of a mail of which a filter says that it is spam without saying how much.
const spamLevel = 9

// factFields are the fields that count, by name in small letters. Each gets the value as it came: most need not be read.
var factFields = map[string]func(f *Facts, raw []byte){
	"received":                       func(f *Facts, _ []byte) { f.Hops++ },
	strings.ToLower(LoopField):       func(f *Facts, b []byte) { f.Loops = append(f.Loops, value(b)) },
	"auto-submitted":                 func(f *Facts, b []byte) { f.Automatic = f.Automatic || !strings.HasPrefix(value(b), "no") },
	"precedence":                     (*Facts).precedence,
	"x-auto-response-suppress":       (*Facts).suppress,
	"content-type":                   func(f *Facts, b []byte) { f.Report = f.Report || strings.HasPrefix(value(b), "multipart/report") },
	"list-id":                        (*Facts).list,
	"list-help":                      (*Facts).list,
	"list-unsubscribe":               (*Facts).list,
	"list-subscribe":                 (*Facts).list,
	"list-post":                      (*Facts).list,
	"list-owner":                     (*Facts).list,
	"list-archive":                   (*Facts).list,
	"mailing-list":                   (*Facts).list,
	"x-mailing-list":                 (*Facts).list,
	"x-autoreply":                    (*Facts).automatic,
	"x-autorespond":                  (*Facts).automatic,
	"x-autoresponder":                (*Facts).automatic,
	"x-spam-flag":                    (*Facts).spam,
	"x-spam":                         (*Facts).spam,
	"x-spam-status":                  (*Facts).spam,
	"x-ms-exchange-organization-scl": (*Facts).level,
}

// longestName is the length of the longest name in factFields.
const longestName = len(LoopField)

// FactsOf reads a header.
func FactsOf(header []byte) Facts {
	var f Facts
	var lower [longestName]byte
	for rest := header; len(rest) > 0; {
		field, after := nextField(rest)
		rest = after
		colon := bytes.IndexByte(field, ':')
		if colon < 0 {
			if len(bytes.TrimRight(field, "\r\n")) == 0 {
				break // the empty line behind the header
			}
			continue
		}
		name := bytes.TrimRight(field[:colon], " \t")
		if len(name) > longestName {
			continue
		}
		for i, c := range name {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			lower[i] = c
		}
		if fn := factFields[string(lower[:len(name)])]; fn != nil {
			fn(&f, field[colon+1:])
		}
	}
	return f
}

// nextField cuts a field with its folds off a header.
func nextField(b []byte) (field, rest []byte) {
	end := 0
	for {
		n := bytes.IndexByte(b[end:], '\n')
		if n < 0 {
			return b, nil
		}
		end += n + 1
		if end == len(b) || b[end] != ' ' && b[end] != '\t' {
			return b[:end], b[end:]
		}
	}
}

// value is a field's value unfolded and in small letters.
func value(raw []byte) string {
	return strings.ToLower(strings.Join(strings.Fields(string(raw)), " "))
}

func (f *Facts) list([]byte)      { f.List = true }
func (f *Facts) automatic([]byte) { f.Automatic = true }

func (f *Facts) precedence(raw []byte) {
	switch value(raw) {
	case "list":
		f.List = true
	case "bulk", "junk", "auto_reply":
		f.Bulk = true
	}
}

// suppressWords are those of X-Auto-Response-Suppress that ask for no answers of ours (MS-OXCMAIL 2.1.3.2.20).
var suppressWords = map[string]Suppress{"rn": SuppressRead, "nrn": SuppressUnread, "oof": SuppressOOF,
	"autoreply": SuppressAutoReply, "all": suppressAll}

func (f *Facts) suppress(raw []byte) {
	for _, word := range strings.FieldsFunc(value(raw), func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		f.Suppress |= suppressWords[word]
	}
}

// spam reads the fields by which filters say yes or no.
func (f *Facts) spam(raw []byte) {
	if v := value(raw); strings.HasPrefix(v, "yes") || strings.HasPrefix(v, "true") {
		f.Spam = max(f.Spam, spamLevel)
	}
}

// level reads a spam confidence level. That a mail is safe is not believed: whoever sent it could have written so.
func (f *Facts) level(raw []byte) {
	if n, err := strconv.Atoi(value(raw)); err == nil {
		f.Spam = max(f.Spam, min(n, spamLevel))
	}
}
