package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxMIDsAsked bounds the messages that one request names.
const maxMIDsAsked = 100_000

// messageSet is a bounded step through messages that a request names by MID. What the caller has not all of the grants
// on is passed over, as in the walk over a folder's rows.
type messageSet struct {
	*tx
	fid    mapi.FID
	grants []grant
	into   mapi.FID // where messages are carried, if they are
	// look finds a message; limit is how many a step takes, and work what it may ask of the space.
	look    func(mapi.MID) (mapi.FID, *message, error)
	limit   int
	work    *work
	counts  *schema.FolderCounts
	goes    bool // the messages are deleted
	missing []mapi.MID
	next    uint32
}

func (t *tx) newSet(fid mapi.FID, mids []mapi.MID, grants ...grant) (*messageSet, error) {
	if len(mids) > maxMIDsAsked {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d messages at once, %d at most", len(mids), maxMIDsAsked)
	}
	counts, err := t.edit(fid)
	return &messageSet{tx: t, fid: fid, grants: grants, counts: counts, look: t.find, limit: stepMessages, work: t.measure(toCarry)}, err
}

// destroys bounds the steps of a set whose messages go.
func (s *messageSet) destroys() {
	s.limit, s.work.bounds, s.goes = stepItems, toDestroy, true
}

// each calls fn with the messages in turn until the step is full, and then notes where to go on.
func (s *messageSet) each(mids []mapi.MID, fn func(m *message) error) error {
	for i, id := range mids {
		if i == s.limit || s.work.full() {
			s.next = uint32(i)
			return nil
		}
		fid, m, err := s.look(id)
		if cluster.KindOf(err) == exmdb.KindNoMessage && err != nil || err == nil && fid != s.fid {
			s.missing = append(s.missing, id)
			continue
		}
		if err != nil {
			return err
		}
		if may, err := s.may(m); err != nil || !may {
			if err != nil {
				return err
			}
			continue
		}
		if s.goes && s.notifyUnread {
			if err := s.tellUnread(&m.row); err != nil {
				return err
			}
		}
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}

// may reports whether the caller has the grants on a message, and remembers that there was one that he has not.
func (s *messageSet) may(m *message) (bool, error) {
	for _, g := range s.grants {
		if ok, err := s.mayOn(s.fid, m, g); err != nil || !ok {
			s.passedOver = true
			return false, err
		}
	}
	if s.into == 0 {
		return true, nil
	}
	ok, err := s.mayOn(s.into, m, toCreate)
	s.passedOver = s.passedOver || !ok
	return ok, err
}

// flagGrants is what a change of flags needs on each message: \Deleted that of a deletion.
func (v *view) flagGrants(mode exmdb.FlagMode, f exmdb.Flags) []grant {
	var needed []grant
	if v.perUserRead() { // what one has read is one's own
		f.Bits &^= exmdb.FlagSeen
	}
	if mode == exmdb.FlagsReplace || f.Bits&^exmdb.FlagDeleted != 0 || len(f.Keywords) > 0 {
		needed = append(needed, toEdit)
	}
	if f.Bits&exmdb.FlagDeleted != 0 {
		needed = append(needed, toDelete)
	}
	return needed
}

// markMessages is OpMarkMessages.
func markMessages(t *tx, req *exmdb.MarkMessagesRequest) (*exmdb.MarkMessagesResponse, error) {
	if err := checkFlags(req.Mode, req.Flags.Bits); err != nil {
		return nil, err
	}
	s, err := t.newSet(req.Folder, req.Messages, t.flagGrants(req.Mode, req.Flags)...)
	if err != nil {
		return nil, err
	}
	ids, err := t.keywordIDs(req.Flags.Keywords, req.Mode)
	if err != nil {
		return nil, err
	}
	s.work.bounds = toMark
	setter := flagSetter{tx: t, req: &exmdb.SetFlagsRequest{Folder: req.Folder}, counts: s.counts, want: wanted{req.Mode, req.Flags.Bits, ids}}
	if setter.own, err = t.reader(req.Folder); err != nil {
		return nil, err
	}
	err = s.each(req.Messages, setter.one)
	return &exmdb.MarkMessagesResponse{Changed: setter.resp.Changed, Missing: s.missing, Next: s.next, Denied: s.passedOver}, err
}

// copyByMID is OpCopyMessages.
func copyByMID(t *tx, req *exmdb.CarryMessagesRequest) (*exmdb.CarryMessagesResponse, error) {
	s, err := t.newSet(req.Folder, req.Messages, toRead)
	if err != nil {
		return nil, err
	}
	s.into = req.Target
	target, err := t.edit(req.Target)
	if err != nil {
		return nil, err
	}
	if err := t.roomFor(req.Folder, req.Messages); err != nil {
		return nil, err
	}
	resp := &exmdb.CarryMessagesResponse{}
	carried := carriage{from: req.Folder, to: req.Target}
	err = s.each(req.Messages, func(m *message) error {
		was := m.row.MID
		if err := t.room(m.row.MessageSize()); err != nil {
			return err
		}
		resp.From = append(resp.From, was)
		if err := t.takeSeen(req.Folder, &m.row); err != nil {
			return err
		}
		if err := t.duplicate(&m.row); err != nil {
			return err
		}
		t.enter(&m.row)
		_, err := t.place(req.Target, target, &m.row)
		resp.To = append(resp.To, m.row.MID)
		carried.add(t, was, &m.row)
		return err
	})
	t.copied(&carried)
	resp.Missing, resp.Next, resp.Denied = s.missing, s.next, s.passedOver
	return resp, err
}

// roomFor refuses a copy for which there is no room, before its first step and not in the middle.
func (v *view) roomFor(fid mapi.FID, mids []mapi.MID) error {
	if all, err := v.roomForAll(fid); err != nil || all {
		return err
	}
	total := uint64(0)
	for _, id := range mids {
		at, m, err := v.find(id)
		switch {
		case err == nil && at == fid:
			total += m.row.MessageSize()
		case err != nil && cluster.KindOf(err) != exmdb.KindNoMessage:
			return err
		}
	}
	return v.room(total)
}

// moveByMID is OpMoveMessages.
func moveByMID(t *tx, req *exmdb.CarryMessagesRequest) (*exmdb.CarryMessagesResponse, error) {
	s, err := t.newSet(req.Folder, req.Messages, toRead, toDelete)
	if err != nil {
		return nil, err
	}
	s.into = req.Target
	if _, err := t.edit(req.Target); err != nil { // refused before anything is looked at
		return nil, err
	}
	resp := &exmdb.CarryMessagesResponse{}
	var gone schema.Tombstone
	carried := carriage{from: req.Folder, to: req.Target}
	err = s.each(req.Messages, func(m *message) error {
		resp.From = append(resp.From, m.row.MID)
		err := t.carry(&carried, &gone, m)
		resp.To = append(resp.To, m.row.MID)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp.Missing, resp.Next, resp.Denied = s.missing, s.next, s.passedOver
	return resp, t.moved(s.counts, gone, &carried)
}

// locate is OpLocate.
func locate(v *view, req *exmdb.LocateRequest) (*exmdb.LocateResponse, error) {
	if len(req.Messages)+len(req.Objects) > maxIDsAsked {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d messages at once, %d at most", len(req.Messages)+len(req.Objects), maxIDsAsked)
	}
	mids := req.Messages
	for _, object := range req.Objects {
		b, err := v.r.Get(schema.ObjectKey(object))
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		c, err := schema.ParseCounter(b)
		if err != nil {
			return nil, err
		}
		mids = append(mids, mapi.NewMID(mapi.LocalReplica, c))
	}
	resp := &exmdb.LocateResponse{}
	for _, id := range mids {
		fid, m, err := v.find(id)
		if err != nil && cluster.KindOf(err) == exmdb.KindNoMessage {
			continue
		}
		if err != nil {
			return nil, err
		}
		if may, err := v.mayOn(fid, m, toRead); err != nil || !may {
			if err != nil {
				return nil, err
			}
			continue
		}
		st, err := v.state(fid, m)
		if err != nil {
			return nil, err
		}
		resp.Messages = append(resp.Messages, st)
	}
	return resp, nil
}
