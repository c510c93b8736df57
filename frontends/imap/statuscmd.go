package imap

import (
	"context"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// statusItem is a row of the table of STATUS items (RFC 9051 6.3.11 and extensions).
type statusItem struct {
	name  string
	value func(context.Context, *session, *exmdb.Folder) (string, error)
}

// known is an item that the list of folders tells.
func known(name string, number func(*exmdb.Folder) uint64) statusItem {
	return statusItem{name, func(_ context.Context, _ *session, f *exmdb.Folder) (string, error) {
		return decimal(number(f)), nil
	}}
}

func statusTable() []statusItem {
	return []statusItem{
		known("MESSAGES", func(f *exmdb.Folder) uint64 { return uint64(f.Messages) }),
		known("RECENT", func(*exmdb.Folder) uint64 { return 0 }),
		known("UIDNEXT", func(f *exmdb.Folder) uint64 { return uint64(f.UIDNext) }),
		known("UIDVALIDITY", func(f *exmdb.Folder) uint64 { return uint64(f.UIDValidity) }),
		known("UNSEEN", func(f *exmdb.Folder) uint64 { return uint64(f.Unseen) }),
		known("DELETED", func(f *exmdb.Folder) uint64 { return uint64(f.Deleted) }),
		known("SIZE", func(f *exmdb.Folder) uint64 { return f.Size }),
		{"HIGHESTMODSEQ", statusModSeq},
		{"APPENDLIMIT", statusAppendLimit},
		{"MAILBOXID", statusMailboxID},
		{"DELETED-STORAGE", statusDeletedStorage},
	}
}

// statusModSeq counts as asking for CONDSTORE (RFC 7162 3.1).
func statusModSeq(_ context.Context, s *session, f *exmdb.Folder) (string, error) {
	s.enabled.condstore = true
	return decimal(modSeq(f.ContentSeq)), nil
}

func statusAppendLimit(_ context.Context, s *session, _ *exmdb.Folder) (string, error) {
	return decimal(uint64(s.server.config.MaxMessage)), nil
}

func statusMailboxID(_ context.Context, _ *session, f *exmdb.Folder) (string, error) {
	return "(" + mailboxID(f.FID) + ")", nil
}

// statusDeletedStorage reads the folder, unless nothing in it is deleted.
func statusDeletedStorage(ctx context.Context, s *session, f *exmdb.Folder) (string, error) {
	if f.Deleted == 0 {
		return "0", nil
	}
	octets, err := s.deletedStorage(ctx, f.FID)
	return decimal(octets), err
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
	return s.statusLine(ctx, n, a.items)
}

// statusLine writes a folder's STATUS, after every item is known.
func (s *session) statusLine(ctx context.Context, n *node, items []statusItem) error {
	texts := make([]string, len(items))
	for i, item := range items {
		value, err := item.value(ctx, s, &n.Folder)
		if err != nil {
			return err
		}
		texts[i] = item.name + " " + value
	}
	s.out.Raw("* STATUS ")
	s.out.Mailbox(n.path)
	s.out.Raw(" (" + strings.Join(texts, " ") + ")")
	s.out.CRLF()
	return nil
}
