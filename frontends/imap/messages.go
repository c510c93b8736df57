package imap

import (
	"context"
	"log/slog"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func parseUIDs(d *imapwire.Decoder) imapwire.NumSet {
	d.SP()
	return d.NumSet()
}

// expunge removes what carries \Deleted, all of it.
func (s *session) expunge(ctx context.Context) error { return s.expungeIn(ctx, nil) }

// uidExpunge removes those of the UIDs that carry \Deleted (RFC 4315 2.1).
func (s *session) uidExpunge(ctx context.Context, set imapwire.NumSet) error {
	uids, err := s.resolve(set, true)
	if err != nil || len(uids) == 0 {
		return err
	}
	return s.expungeIn(ctx, uids)
}

func (s *session) expungeIn(ctx context.Context, uids []exmdb.UIDRange) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.remove(ctx, exmdb.ExpungeRequest{Folder: s.selected.fid, UIDs: uids})
}

// remove expunges messages.
func (s *session) remove(ctx context.Context, req exmdb.ExpungeRequest) error {
	return inSteps(ctx, req.UIDs, func(uids []exmdb.UIDRange) (mapi.UID, error) {
		req.UIDs = uids
		resp, err := do(ctx, s, exmdb.OpExpunge, &req)
		if err != nil {
			return 0, err
		}
		return resp.Next, nil
	})
}

// inSteps works through a set of messages in as many steps as the store makes (CLUSTER 1.6). A step says where to go
// on, zero when all is done.
func inSteps(ctx context.Context, uids []exmdb.UIDRange, step func([]exmdb.UIDRange) (next mapi.UID, err error)) error {
	return exmdb.InSteps(ctx, func() (bool, error) {
		next, err := step(uids)
		if err != nil || next == 0 {
			return false, err
		}
		uids = from(uids, next)
		return len(uids) > 0, nil
	})
}

// copyArgs is COPY and MOVE.
type copyArgs struct {
	set     imapwire.NumSet
	uid     bool
	mailbox string
}

func (a *copyArgs) setUID() { a.uid = true }

func parseCopy(d *imapwire.Decoder) *copyArgs {
	d.SP()
	a := &copyArgs{set: d.NumSet()}
	a.mailbox = parseMailbox(d)
	return a
}

// copy is COPY, which is all or nothing (RFC 3501 6.4.7).
func (s *session) copy(ctx context.Context, a *copyArgs) error {
	uids, target, err := s.transferArgs(ctx, a)
	if err != nil {
		return err
	}
	copied, err := s.transfer(ctx, exmdb.OpCopy, exmdb.CopyRequest{Folder: s.selected.fid, UIDs: uids, Target: target})
	if err != nil {
		s.undo(ctx, target, copied.Target)
		return err
	}
	if len(copied.Source) > 0 {
		s.done = reply{code: copyUID(copied)}
	}
	return nil
}

// move is MOVE (RFC 6851): COPYUID comes before the EXPUNGEs that it causes. One that fails half way leaves each message
// in one of the two mailboxes, and tells where those are that it moved (RFC 6851 3.3).
func (s *session) move(ctx context.Context, a *copyArgs) error {
	if err := s.writable(); err != nil {
		return err
	}
	uids, target, err := s.transferArgs(ctx, a)
	if err != nil {
		return err
	}
	moved, err := s.transfer(ctx, exmdb.OpMove, exmdb.CopyRequest{Folder: s.selected.fid, UIDs: uids, Target: target})
	if len(moved.Source) > 0 {
		s.untagged("OK", copyUID(moved), "Moved")
	}
	return err
}

// transferArgs finds the messages that a COPY or MOVE names, and its target.
func (s *session) transferArgs(ctx context.Context, a *copyArgs) ([]exmdb.UIDRange, mapi.FID, error) {
	uids, err := s.resolve(a.set, a.uid)
	if err != nil {
		return nil, 0, err
	}
	path, err := canonical(a.mailbox)
	if err != nil {
		return nil, 0, err
	}
	t, err := s.folders(ctx)
	if err != nil {
		return nil, 0, err
	}
	target, err := t.target(path)
	if err != nil {
		return nil, 0, err
	}
	return orEmpty(uids), target.FID, nil
}

// transfer copies or moves messages. With an error comes what was done before it.
func (s *session) transfer(ctx context.Context, op exmdb.Op[exmdb.CopyRequest, exmdb.CopyResponse], req exmdb.CopyRequest) (*exmdb.CopyResponse, error) {
	all := &exmdb.CopyResponse{}
	if len(req.UIDs) == 0 {
		return all, nil
	}
	err := inSteps(ctx, req.UIDs, func(uids []exmdb.UIDRange) (mapi.UID, error) {
		req.UIDs = uids
		resp, err := do(ctx, s, op, &req)
		if err != nil {
			return 0, err
		}
		all.UIDValidity = resp.UIDValidity
		all.Source = append(all.Source, resp.Source...)
		all.Target = append(all.Target, resp.Target...)
		return resp.Next, nil
	})
	return all, err
}

// undoTimeout bounds taking back what a failed command has stored; its own time may be over.
const undoTimeout = 10 * time.Second

// undo removes what a COPY or APPEND stored that failed half way. A message whose op ended without a known outcome is
// not among it: the client is told that too.
func (s *session) undo(ctx context.Context, target mapi.FID, stored []exmdb.UIDRange) {
	if len(stored) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := s.remove(ctx, exmdb.ExpungeRequest{Folder: target, UIDs: mergeUIDs(stored), All: true}); err != nil {
		s.log.Warn("messages of a failed command stay", slog.String("code", "IM-9003"), slog.Any("err", err))
	}
}

// copyUID is the response code of RFC 4315 3. Both sets ascend, so joining ranges that touch keeps their pairs.
func copyUID(r *exmdb.CopyResponse) string {
	code := append([]byte("COPYUID "), decimal(uint64(r.UIDValidity))...)
	code = append(code, ' ')
	code = imapwire.AppendRanges(code, imapwire.Merge(toWire(r.Source)))
	code = append(code, ' ')
	return string(imapwire.AppendRanges(code, imapwire.Merge(toWire(r.Target))))
}

// storeArgs is STORE.
type storeArgs struct {
	set         imapwire.NumSet
	uid         bool
	mode        exmdb.FlagMode
	silent      bool
	flags       exmdb.Flags
	conditional bool
	unchanged   mapi.Stamp
}

func (a *storeArgs) setUID() { a.uid = true }

func parseStore(d *imapwire.Decoder) *storeArgs {
	d.SP()
	a := &storeArgs{set: d.NumSet()}
	d.SP()
	if d.Peek() == '(' {
		d.List(func() {
			if d.Keyword() != "UNCHANGEDSINCE" {
				d.Fail("unknown modifier of STORE")
			}
			d.SP()
			a.unchanged, a.conditional = mapi.Stamp(d.Number64()), true
		})
		d.SP()
	}
	a.mode = exmdb.FlagsReplace
	switch {
	case d.TrySpecial('+'):
		a.mode = exmdb.FlagsAdd
	case d.TrySpecial('-'):
		a.mode = exmdb.FlagsRemove
	}
	switch d.Keyword() {
	case "FLAGS":
	case "FLAGS.SILENT":
		a.silent = true
	default:
		d.Fail("expected FLAGS")
	}
	d.SP()
	if d.Peek() == '(' {
		a.flags = parseFlagList(d)
		return a
	}
	for addFlag(d, &a.flags, parseFlag(d)); d.TrySP(); {
		addFlag(d, &a.flags, parseFlag(d))
	}
	return a
}

// store is STORE with UNCHANGEDSINCE (RFC 9051 6.4.6, RFC 7162 3.1.3).
func (s *session) store(ctx context.Context, a *storeArgs) error {
	if err := s.writable(); err != nil {
		return err
	}
	s.enabled.condstore = s.enabled.condstore || a.conditional
	uids, err := s.resolve(a.set, a.uid)
	if err != nil || len(uids) == 0 {
		s.tell(ctx, expungesIf(a.uid))
		return err
	}
	modified, own, err := s.setFlags(ctx, &exmdb.SetFlagsRequest{Folder: s.selected.fid, UIDs: uids, Mode: a.mode,
		Flags: a.flags, Conditional: a.conditional, UnchangedSince: a.unchanged})
	if err != nil {
		s.tell(ctx, expungesIf(a.uid)) // of the steps that were made as well
		return err
	}
	s.selected.own = append(s.selected.own, own...)
	if err := s.tellStored(ctx, a, subtract(uids, modified)); err != nil {
		return err
	}
	if len(modified) > 0 {
		s.done = reply{code: codeModified + " " + s.numbers(modified, a.uid), text: "Some were changed by somebody else"}
	}
	return nil
}

// setFlags changes flags. It gives the messages that UNCHANGEDSINCE kept from it, and the stamps of what it changed;
// once they are among the folder's own, the client is taken to know those changes.
func (s *session) setFlags(ctx context.Context, req *exmdb.SetFlagsRequest) (modified []exmdb.UIDRange, own []stampRange, err error) {
	err = inSteps(ctx, req.UIDs, func(uids []exmdb.UIDRange) (mapi.UID, error) {
		req.UIDs = uids
		resp, err := do(ctx, s, exmdb.OpSetFlags, req)
		if err != nil {
			return 0, err
		}
		if resp.Changed > 0 {
			own = append(own, stampRange{resp.First, resp.Last})
		}
		modified = append(modified, resp.Modified...)
		return resp.Next, nil
	})
	return mergeUIDs(modified), own, err
}

// tellStored writes the flags of all messages named, unless the client asked for silence; what others changed
// meanwhile is told either way, and with CONDSTORE the new MODSEQ too (RFC 7162 3.1.3).
func (s *session) tellStored(ctx context.Context, a *storeArgs, uids []exmdb.UIDRange) error {
	var told uidList
	named := newUIDList(uids)
	var shown []exmdb.UIDRange
	err := s.pollWith(ctx, expungesIf(a.uid), func(seq uint32, row *exmdb.Row) {
		switch {
		case named.seq(row.UID) == 0 || !s.isOwn(row.ModSeq) || !a.silent:
			s.flagsUpdate(seq, row)
			shown = append(shown, exmdb.UIDRange{First: row.UID, Last: row.UID})
		case s.enabled.condstore:
			s.modSeqUpdate(seq, row)
		}
	})
	if err != nil || a.silent {
		return err
	}
	told = newUIDList(mergeUIDs(shown))
	rest := subtract(uids, told.ranges())
	if len(rest) == 0 {
		return nil
	}
	return s.rows(ctx, rowsQuery{uids: rest, fields: exmdb.RowFlags}, func(page []exmdb.Row) error {
		for i := range page {
			if seq := s.selected.uids.seq(page[i].UID); seq != 0 {
				s.flagsUpdate(seq, &page[i])
			}
		}
		return s.out.Err()
	})
}

func (s *session) modSeqUpdate(seq uint32, row *exmdb.Row) {
	s.out.Raw("* ")
	s.out.Num(uint64(seq))
	s.out.Raw(" FETCH (UID ")
	s.out.Num(uint64(row.UID))
	s.modSeqItem(row)
	s.out.Byte(')')
	s.out.CRLF()
}

// numbers writes UIDs as the command counts messages.
func (s *session) numbers(uids []exmdb.UIDRange, byUID bool) string {
	if byUID {
		return string(imapwire.AppendRanges(nil, toWire(uids)))
	}
	return string(imapwire.AppendRanges(nil, s.seqRanges(uids)))
}

// seqRanges turns UIDs into sequence numbers.
func (s *session) seqRanges(uids []exmdb.UIDRange) []imapwire.Range {
	l := &s.selected.uids
	var out []imapwire.Range
	for _, r := range l.within(uids) {
		out = append(out, imapwire.Range{First: l.seq(r.First), Last: l.seq(r.Last)})
	}
	return imapwire.Merge(out)
}
