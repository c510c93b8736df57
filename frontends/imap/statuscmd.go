package imap

import (
	"context"
	"strconv"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// statusItem is a row of the table of STATUS items (RFC 9051 6.3.11 and extensions).
type statusItem struct {
	name  string
	value func(*session, *exmdb.Folder) string
}

func statusTable() []statusItem {
	return []statusItem{
		{"MESSAGES", func(_ *session, f *exmdb.Folder) string { return decimal(uint64(f.Messages)) }},
		{"RECENT", func(*session, *exmdb.Folder) string { return "0" }},
		{"UIDNEXT", func(_ *session, f *exmdb.Folder) string { return decimal(uint64(f.UIDNext)) }},
		{"UIDVALIDITY", func(_ *session, f *exmdb.Folder) string { return decimal(uint64(f.UIDValidity)) }},
		{"UNSEEN", func(_ *session, f *exmdb.Folder) string { return decimal(uint64(f.Unseen)) }},
		{"DELETED", func(_ *session, f *exmdb.Folder) string { return decimal(uint64(f.Deleted)) }},
		{"SIZE", func(_ *session, f *exmdb.Folder) string { return decimal(f.Size) }},
		{"HIGHESTMODSEQ", (*session).statusModSeq},
		{"APPENDLIMIT", func(s *session, _ *exmdb.Folder) string { return decimal(uint64(s.server.config.MaxMessage)) }},
		{"MAILBOXID", func(_ *session, f *exmdb.Folder) string { return "(" + mailboxID(f.FID) + ")" }},
	}
}

// statusModSeq counts as asking for CONDSTORE (RFC 7162 3.1).
func (s *session) statusModSeq(f *exmdb.Folder) string {
	s.enabled.condstore = true
	return decimal(modSeq(f.ContentSeq))
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// mailboxID is a folder's identity under RFC 8474 4.
func mailboxID(f mapi.FID) string { return "F" + strconv.FormatUint(uint64(f), 16) }

type statusArgs struct {
	mailbox string
	items   []statusItem
}

func parseStatus(d *imapwire.Decoder) statusArgs {
	a := statusArgs{mailbox: parseMailbox(d)}
	d.SP()
	a.items = parseStatusItems(d)
	return a
}

func parseStatusItems(d *imapwire.Decoder) []statusItem {
	items := []statusItem{}
	table := statusTable()
	d.List(func() {
		name := d.Keyword()
		for _, item := range table {
			if item.name == name && len(items) < len(table) {
				items = append(items, item)
				return
			}
		}
		d.Fail("unknown or repeated status item")
	})
	return items
}

func (s *session) statusCommand(ctx context.Context, a statusArgs) error {
	n, err := s.find(ctx, a.mailbox)
	if err != nil {
		return err
	}
	s.statusLine(n, a.items)
	return nil
}

func (s *session) statusLine(n *node, items []statusItem) {
	s.out.Raw("* STATUS ")
	s.out.Mailbox(n.path)
	s.out.Raw(" (")
	for i, item := range items {
		if i > 0 {
			s.out.Byte(' ')
		}
		s.out.Raw(item.name + " " + item.value(s, &n.Folder))
	}
	s.out.Raw(")")
	s.out.CRLF()
}
