package imap

import (
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// fetchArgs is FETCH (RFC 9051 6.4.5, RFC 7162 3.1.4).
type fetchArgs struct {
	set          imapwire.NumSet
	uid          bool
	items        []fetchItem
	changedSince mapi.Stamp
	condstore    bool
}

func (a *fetchArgs) setUID() { a.uid = true }

// fetchItem is a data item to be written for each message.
type fetchItem struct {
	label   string
	fields  exmdb.RowFields
	write   func(*session, *message) error
	section *section // of items that read octets
}

// section is what BODY[…] asks for.
type section struct {
	path    []int
	spec    mime.Specifier
	names   []string // of HEADER.FIELDS
	filter  filter
	partial bool
	offset  int64
	count   int64
	peek    bool
}

type filter uint8

const (
	unfiltered filter = iota
	onlyFields
	exceptFields
)

// headOnly reports whether the section lies in the message's own header.
func (sec *section) headOnly() bool { return len(sec.path) == 0 && sec.spec == mime.SpecHeader }

// maxItems bounds the items of one FETCH, maxFields the names of one HEADER.FIELDS.
const (
	maxItems  = 200
	maxFields = 500
)

// fetchTable is the items without arguments.
func fetchTable() []fetchItem {
	const meta, digest = exmdb.RowMeta, exmdb.RowMeta | exmdb.RowDigest
	return []fetchItem{
		{"FLAGS", exmdb.RowFlags, (*session).fetchFlags, nil},
		{"UID", 0, (*session).fetchUID, nil},
		{"INTERNALDATE", meta, (*session).fetchInternalDate, nil},
		{"RFC822.SIZE", meta, (*session).fetchSize, nil},
		{"ENVELOPE", digest, (*session).fetchEnvelope, nil},
		{"BODYSTRUCTURE", digest, (*session).fetchBodyStructure, nil},
		{"BODY", digest, (*session).fetchBody, nil},
		{"MODSEQ", 0, (*session).fetchModSeq, nil},
		{"EMAILID", meta, (*session).fetchEmailID, nil},
		{"THREADID", 0, (*session).fetchThreadID, nil},
		{"SAVEDATE", meta, (*session).fetchSaveDate, nil},
		sectionItem("RFC822", &section{}),
		sectionItem("RFC822.HEADER", &section{spec: mime.SpecHeader, peek: true}),
		sectionItem("RFC822.TEXT", &section{spec: mime.SpecText}),
	}
}

// fetchMacro is ALL, FAST and FULL; nil for any other name.
func fetchMacro(name string) []string {
	fast := []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE"}
	switch name {
	case "FAST":
		return fast
	case "ALL":
		return append(fast, "ENVELOPE")
	case "FULL":
		return append(fast, "ENVELOPE", "BODY")
	}
	return nil
}

func sectionItem(label string, sec *section) fetchItem {
	return fetchItem{label: label, fields: exmdb.RowMeta | exmdb.RowDigest | exmdb.RowFlags, section: sec,
		write: func(s *session, m *message) error { return s.fetchSection(m, sec) }}
}

func parseFetch(d *imapwire.Decoder) *fetchArgs {
	d.SP()
	a := &fetchArgs{set: d.NumSet()}
	d.SP()
	if d.Peek() == '(' {
		d.List(func() { a.add(d, parseFetchItem(d)) })
	} else {
		a.first(d)
	}
	if d.TrySP() {
		d.List(func() { a.modifier(d) })
	}
	return a
}

// first takes the only item of a FETCH without a list, which may be a macro.
func (a *fetchArgs) first(d *imapwire.Decoder) {
	name := fetchWord(d)
	macro := fetchMacro(name)
	if macro == nil {
		a.add(d, fetchItemOf(d, name))
		return
	}
	for _, n := range macro {
		a.add(d, fetchItemOf(d, n))
	}
}

func (a *fetchArgs) add(d *imapwire.Decoder, item fetchItem) {
	if len(a.items) >= maxItems {
		d.Fail("too many items")
		return
	}
	a.condstore = a.condstore || item.label == "MODSEQ"
	a.items = append(a.items, item)
}

func (a *fetchArgs) modifier(d *imapwire.Decoder) {
	if d.Keyword() != "CHANGEDSINCE" {
		d.Fail("unknown modifier of FETCH")
	}
	d.SP()
	a.changedSince, a.condstore = mapi.Stamp(d.Number64()), true
}

// has reports whether an item is asked for already.
func (a *fetchArgs) has(label string) bool {
	for _, item := range a.items {
		if item.label == label {
			return true
		}
	}
	return false
}

// fetchWord takes an item's name up to its bracket.
func fetchWord(d *imapwire.Decoder) string {
	return upper(d.Take(func(c byte) bool { return c != '[' && imapwire.IsAtomChar(c) }))
}

func parseFetchItem(d *imapwire.Decoder) fetchItem { return fetchItemOf(d, fetchWord(d)) }

func fetchItemOf(d *imapwire.Decoder, name string) fetchItem {
	if (name == "BODY" || name == "BODY.PEEK") && d.Peek() == '[' {
		return parseSection(d, name == "BODY.PEEK")
	}
	for _, item := range fetchTable() {
		if item.label == name {
			return item
		}
	}
	d.Fail("unknown item of FETCH")
	return fetchItem{}
}

// parseSection takes "[" section "]" and a partial range; the label is what the response repeats.
func parseSection(d *imapwire.Decoder, peek bool) fetchItem {
	sec := &section{peek: peek}
	d.Special('[')
	text := sec.parseSpec(d)
	d.Special(']')
	label := "BODY[" + text + "]"
	if d.TrySpecial('<') {
		sec.partial = true
		sec.offset = int64(d.Number64())
		d.Special('.')
		sec.count = int64(d.Number64())
		d.Special('>')
		if sec.count == 0 {
			d.Fail("a partial range has at least one octet")
		}
		label += "<" + strconv.FormatInt(sec.offset, 10) + ">"
	}
	return sectionItem(label, sec)
}

// maxSectionDepth bounds the numbers of a section.
const maxSectionDepth = 300

// parseSpec takes a section's part numbers and specifier, and gives them back as text.
func (sec *section) parseSpec(d *imapwire.Decoder) string {
	word := upper(d.Take(func(c byte) bool { return c != '[' && imapwire.IsAtomChar(c) }))
	rest := word
	for rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		number, tail, _ := strings.Cut(rest, ".")
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || n == 0 || len(sec.path) >= maxSectionDepth {
			d.Fail("bad part number")
			return ""
		}
		sec.path = append(sec.path, int(n))
		rest = tail
	}
	switch rest {
	case "":
	case "HEADER":
		sec.spec = mime.SpecHeader
	case "TEXT":
		sec.spec = mime.SpecText
	case "MIME":
		sec.spec = mime.SpecMIME
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		sec.spec, sec.filter = mime.SpecHeader, onlyFields
		if rest == "HEADER.FIELDS.NOT" {
			sec.filter = exceptFields
		}
		return word + " " + sec.parseNames(d)
	default:
		d.Fail("unknown section")
	}
	if sec.spec == mime.SpecMIME && len(sec.path) == 0 || strings.HasSuffix(word, ".") {
		d.Fail("section is incomplete")
	}
	return word
}

func (sec *section) parseNames(d *imapwire.Decoder) string {
	d.SP()
	d.List(func() {
		if len(sec.names) >= maxFields {
			d.Fail("too many field names")
		}
		name := d.AString()
		if strings.ContainsAny(name, "\r\n:\x00") {
			d.Fail("bad field name")
		}
		sec.names = append(sec.names, name)
	})
	if len(sec.names) == 0 {
		d.Fail("expected field names")
	}
	var text strings.Builder
	for i, n := range sec.names {
		text.WriteByte("( "[min(i, 1)])
		text.WriteString(fieldNameText(n))
	}
	text.WriteByte(')')
	return text.String()
}

// fieldNameText repeats a field name as an astring that fits on a line.
func fieldNameText(name string) string {
	for i := range len(name) {
		if !imapwire.IsAtomChar(name[i]) {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		}
	}
	if name == "" {
		return `""`
	}
	return name
}
