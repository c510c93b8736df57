package imap

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// news says what a client may be told of the selected mailbox now. Sequence numbers may not change during FETCH, STORE
// and SEARCH (RFC 3501 7.4.1, RFC 9051 7.5.1), which count messages by them; the UID forms of these commands may.
type news int

const (
	silent news = iota
	noExpunges
	expunges
)

func expungesIf(allowed bool) news {
	if allowed {
		return expunges
	}
	return noExpunges
}

// changesPage is how many changed rows are asked for at once.
const changesPage = 1000

// poll tells the client what happened in the selected mailbox since it was told last.
// What this session changed itself is known to the client.
func (s *session) poll(ctx context.Context, rule news) error {
	return s.pollWith(ctx, rule, s.showChange)
}

// tell is the poll at the end of a command that has its own result: what cannot be learnt now does not change that
// result and is told by the next command.
func (s *session) tell(ctx context.Context, rule news) {
	if s.selected == nil || rule == silent {
		return
	}
	if err := s.poll(ctx, rule); err != nil {
		s.report(err, statusOf(err))
	}
}

// pollWith is poll with another way to show a changed row of a known message.
func (s *session) pollWith(ctx context.Context, rule news, show func(seq uint32, row *exmdb.Row)) error {
	f := s.selected
	for more := true; more; {
		resp, err := do(ctx, s, exmdb.OpChanges, &exmdb.ChangesRequest{
			Folder: f.fid, Since: f.stamp, Fields: exmdb.RowFlags, Limit: changesPage})
		if kindOf(err) == exmdb.KindStaleToken {
			resp, err = s.catchUp(ctx)
		}
		if err != nil {
			return err
		}
		s.takeRows(resp.Rows, show)
		f.gone = mergeUIDs(append(f.gone, resp.Vanished...))
		f.stamp, f.sequence = max(f.stamp, resp.Stamp), resp.Sequence
		more = resp.More
	}
	f.own = f.own[:0]
	f.fresh = subtract(mergeUIDs(f.fresh), f.gone) // before what is gone is forgotten
	if rule == expunges {
		s.showGone()
	}
	s.showFresh()
	return nil
}

// takeRows shows changes of known messages and collects the UIDs of new ones.
func (s *session) takeRows(rows []exmdb.Row, show func(uint32, *exmdb.Row)) {
	f := s.selected
	for i := range rows {
		row := &rows[i]
		if row.UID > f.uids.highest() {
			f.fresh = append(f.fresh, exmdb.UIDRange{First: row.UID, Last: row.UID})
			continue
		}
		if seq := f.uids.seq(row.UID); seq != 0 {
			show(seq, row)
		}
	}
}

// showChange writes the flags of a message that somebody else changed.
func (s *session) showChange(seq uint32, row *exmdb.Row) {
	if !s.isOwn(row.ModSeq) {
		s.flagsUpdate(seq, row)
	}
}

func (s *session) isOwn(stamp mapi.Stamp) bool {
	for _, r := range s.selected.own {
		if stamp >= r.first && stamp <= r.last {
			return true
		}
	}
	return false
}

// flagsUpdate writes FETCH with a message's flags, its UID so that every client can use it, and its MODSEQ once
// CONDSTORE is on.
func (s *session) flagsUpdate(seq uint32, row *exmdb.Row) {
	s.learn(s.selected, row.Flags.Keywords)
	s.out.Raw("* ")
	s.out.Num(uint64(seq))
	s.out.Raw(" FETCH (UID ")
	s.out.Num(uint64(row.UID))
	s.out.Raw(" FLAGS ")
	writeFlags(s.out, &row.Flags)
	s.modSeqItem(row)
	s.out.Byte(')')
	s.out.CRLF()
}

func (s *session) modSeqItem(row *exmdb.Row) {
	if s.enabled.condstore {
		s.out.Raw(" MODSEQ (")
		s.out.Num(modSeq(row.ModSeq))
		s.out.Byte(')')
	}
}

// showGone writes EXPUNGE for what vanished, from the highest number down so that each number is valid when it is
// read.
func (s *session) showGone() {
	f := s.selected
	if len(f.gone) == 0 {
		return
	}
	known := f.uids.within(f.gone)
	for i := len(known) - 1; i >= 0; i-- {
		first := f.uids.seq(known[i].First)
		for seq := f.uids.seq(known[i].Last); seq >= first; seq-- {
			s.out.Raw("* ")
			s.out.Num(uint64(seq))
			s.out.Raw(" EXPUNGE")
			s.out.CRLF()
		}
	}
	f.uids.remove(f.gone)
	f.saved = subtract(f.saved, f.gone)
	f.gone = nil
}

// subtract is ranges without what is in gone.
func subtract(ranges, gone []exmdb.UIDRange) []exmdb.UIDRange {
	if len(ranges) == 0 {
		return ranges
	}
	l := newUIDList(ranges)
	l.remove(gone)
	return l.ranges()
}

// showFresh writes EXISTS for new messages.
func (s *session) showFresh() {
	f := s.selected
	if len(f.fresh) == 0 {
		return
	}
	for _, r := range f.fresh {
		f.uids.add(r)
	}
	f.fresh = nil
	s.existsLine(f)
}

// catchUp stands in for OpChanges when its stamp is too old: it compares the UIDs with those the client knows, and
// reads the rows that changed.
func (s *session) catchUp(ctx context.Context) (*exmdb.ChangesResponse, error) {
	f := s.selected
	now, err := s.allUIDs(ctx, f.fid)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ChangesResponse{Folder: now.Folder, Stamp: now.Folder.ContentSeq, Sequence: now.Sequence}
	resp.Vanished = subtract(f.uids.ranges(), now.UIDs)
	err = s.rows(ctx, rowsQuery{since: f.stamp, fields: exmdb.RowFlags}, func(page []exmdb.Row) error {
		resp.Rows = append(resp.Rows, page...)
		return nil
	})
	return resp, err
}
