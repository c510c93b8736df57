package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
)

// flagRow is a row of the table of flags that have a bit of their own (MAILBOX 4).
type flagRow struct {
	flag imap.Flag
	bit  exmdb.FlagBits
}

func flagTable() [6]flagRow {
	return [...]flagRow{
		{imap.FlagAnswered, exmdb.FlagAnswered},
		{imap.FlagFlagged, exmdb.FlagFlagged},
		{imap.FlagDeleted, exmdb.FlagDeleted},
		{imap.FlagSeen, exmdb.FlagSeen},
		{imap.FlagDraft, exmdb.FlagDraft},
		{imap.FlagForwarded, exmdb.FlagForwarded},
	}
}

func systemFlags() []string {
	table := flagTable()
	names := make([]string, 0, len(table)+8)
	for _, row := range table {
		names = append(names, string(row.flag))
	}
	return names
}

// maxKeyword bounds a keyword's length, maxKeywords how many one command names.
const (
	maxKeyword  = 255
	maxKeywords = 200
)

func isKeyword(k string) bool {
	if k == "" || len(k) > maxKeyword {
		return false
	}
	for i := range len(k) {
		if !imapwire.IsAtomChar(k[i]) {
			return false
		}
	}
	return true
}

// parseFlag takes a flag: an atom, or a backslash and an atom.
func parseFlag(d *imapwire.Decoder) string {
	if d.TrySpecial('\\') {
		return `\` + d.Atom()
	}
	return d.Atom()
}

// parseFlagList takes flags in parentheses.
func parseFlagList(d *imapwire.Decoder) exmdb.Flags {
	var f exmdb.Flags
	d.List(func() { addFlag(d, &f, parseFlag(d)) })
	return f
}

// addFlag adds one flag. \Recent, which clients may not set, is passed over as other servers do.
func addFlag(d *imapwire.Decoder, f *exmdb.Flags, name string) {
	for _, row := range flagTable() {
		if strings.EqualFold(name, string(row.flag)) {
			f.Bits |= row.bit
			return
		}
	}
	switch {
	case strings.EqualFold(name, `\Recent`):
	case strings.HasPrefix(name, `\`):
		d.Fail("unknown system flag")
	case len(name) > maxKeyword || len(f.Keywords) >= maxKeywords:
		d.Fail("keyword is too long, or too many keywords")
	default:
		f.Keywords = append(f.Keywords, name)
	}
}

// writeFlags writes flags in parentheses.
func writeFlags(out *imapwire.Encoder, f *exmdb.Flags) {
	out.Byte('(')
	space := false
	for _, row := range flagTable() {
		if f.Bits&row.bit == 0 {
			continue
		}
		if space {
			out.Byte(' ')
		}
		out.Raw(string(row.flag))
		space = true
	}
	for _, k := range f.Keywords {
		if !isKeyword(k) {
			continue
		}
		if space {
			out.Byte(' ')
		}
		out.Raw(k)
		space = true
	}
	out.Byte(')')
}
