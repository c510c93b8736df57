package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// quotaRoot is the one quota root there is: the mailbox with all its folders.
const quotaRoot = ""

// quotaUnit is the octets that STORAGE counts by (RFC 9208 5.1).
const quotaUnit = 1024

func parseQuotaRoot(d *imapwire.Decoder) string {
	d.SP()
	return d.AString()
}

// getQuota is GETQUOTA (RFC 9208 4.1.1).
func (s *session) getQuota(ctx context.Context, root string) error {
	if root != quotaRoot {
		return no(imap.ResponseCodeNonExistent, "No such quota root")
	}
	info, err := do(ctx, s, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return err
	}
	s.quotaLine(info)
	return nil
}

// getQuotaRoot is GETQUOTAROOT (RFC 9208 4.1.2); the folder it names need not exist. A mailbox without a limit has no
// quota root.
func (s *session) getQuotaRoot(ctx context.Context, name string) error {
	path, err := canonical(name)
	if err != nil {
		return err
	}
	info, err := do(ctx, s, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return err
	}
	s.out.Raw("* QUOTAROOT ")
	s.out.Mailbox(path)
	if info.Quota > 0 {
		s.out.Byte(' ')
		s.out.String(quotaRoot)
	}
	s.out.CRLF()
	if info.Quota > 0 {
		s.quotaLine(info)
	}
	return nil
}

func (s *session) quotaLine(info *exmdb.MailboxInfo) {
	s.out.Raw("* QUOTA ")
	s.out.String(quotaRoot)
	s.out.Raw(" (")
	if info.Quota > 0 {
		s.out.Raw("STORAGE " + decimal((info.Used+quotaUnit-1)/quotaUnit) + " " + decimal(info.Quota/quotaUnit))
	}
	s.out.Raw(")")
	s.out.CRLF()
}

func parseSetQuota(d *imapwire.Decoder) struct{} {
	parseQuotaRoot(d)
	d.SP()
	d.List(func() {
		d.Atom()
		d.SP()
		d.Number64()
	})
	return struct{}{}
}

// setQuota is refused: the administrator's command line sets limits.
func (s *session) setQuota(context.Context, struct{}) error {
	return no(imap.ResponseCodeNoPerm, "Quotas are set by the administrator")
}

// deletedStorage is how many octets EXPUNGE would free in a folder (RFC 9208 4.1.4).
func (s *session) deletedStorage(ctx context.Context, folder mapi.FID) (uint64, error) {
	octets := uint64(0)
	q := rowsQuery{folder: folder, fields: exmdb.RowFlags | exmdb.RowMeta}
	err := s.rows(ctx, q, func(page []exmdb.Row) error {
		for i := range page {
			if page[i].Flags.Bits&exmdb.FlagDeleted != 0 {
				octets += page[i].Size
			}
		}
		return nil
	})
	return octets, err
}
