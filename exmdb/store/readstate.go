package store

import (
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// In a public mailbox, and in another one by its setting, whether a message is read is each user's own (MAILBOX 4). The
// rows of messages are everybody's, so what an op shows of \Seen, modseq and readCN goes through the caller's reader, and
// what it changes of \Seen goes there. The bit in a row is what it is for whom nothing else is said. Who is nobody, and
// the system, see the row.

// reader is the read state of the caller in a folder where it is his own; a nil one is that of the rows.
type reader struct {
	schema.ReadState
	stored []byte
	// counted: Unread is true of the folder as the op has it.
	counted bool
}

// perUserRead reports whether read state is the caller's own.
func (v *view) perUserRead() bool {
	return (v.header.Kind == exmdb.MailboxPublic || v.header.PerUserRead) && !v.as.User.IsZero()
}

// reader is the caller's read state in a folder.
func (v *view) reader(fid mapi.FID) (*reader, error) {
	if !v.perUserRead() {
		return nil, nil
	}
	if r, known := v.readers[fid]; known {
		return r, nil
	}
	r := new(reader)
	if _, err := load(v.r, schema.ReadStateKey(v.as.User, fid), &r.ReadState); err != nil {
		return nil, err
	}
	r.stored = wire.Marshal(&r.ReadState)
	if v.readers == nil {
		v.readers = make(map[mapi.FID]*reader)
	}
	v.readers[fid] = r
	return r, nil
}

// seen reports whether a message is read.
func (r *reader) seen(row *schema.Row) bool {
	if r != nil {
		if at, said := r.Ranges.Find(row.MID.Counter()); said {
			return at.Read
		}
	}
	return row.Bits.Flags()&exmdb.FlagSeen != 0
}

// flags are the flags of a message.
func (r *reader) flags(row *schema.Row) exmdb.FlagBits {
	bits := row.Bits.Flags() &^ exmdb.FlagSeen
	if r.seen(row) {
		bits |= exmdb.FlagSeen
	}
	return bits
}

// moved is the stamp of the caller's own last change of a message, zero if there is none.
func (r *reader) moved(row *schema.Row) mapi.Stamp {
	if r == nil {
		return 0
	}
	at, _ := r.Ranges.Find(row.MID.Counter())
	return at.Stamp
}

// modseq and readCN are those stamps of a message (MAILBOX 2).
func (r *reader) modseq(row *schema.Row) mapi.Stamp { return max(row.ModSeq, r.moved(row)) }
func (r *reader) readCN(row *schema.Row) mapi.Stamp { return max(row.ReadCN, r.moved(row)) }

// newest is the last stamp of the caller's own changes in the folder.
func (r *reader) newest() mapi.Stamp {
	if r == nil {
		return 0
	}
	return r.ReadCN
}

// markRead says of a message that it is read or not, under a stamp.
func (t *tx) markRead(fid mapi.FID, r *reader, row *schema.Row, read bool, s mapi.Stamp) error {
	if !r.counted {
		c, err := t.edit(fid)
		if err != nil {
			return err
		}
		if r.Unread, err = t.countUnread(fid, c, r); err != nil {
			return err
		}
		r.CountedAt, r.Messages, r.Gone, r.counted = mapi.Stamp(t.counters.Global), c.Messages, c.DeletedTotal, true
	}
	was := r.seen(row)
	r.Ranges = r.Ranges.Set(schema.ReadRange{First: row.MID.Counter(), Last: row.MID.Counter(), Read: read, Stamp: s})
	r.ReadCN = s
	switch late := row.CameAt() > r.CountedAt; {
	case late || row.Bits&schema.RowAssociated != 0 || was == read: // what came after the count is counted when it is asked for
	case read:
		r.Unread--
	default:
		r.Unread++
	}
	return nil
}

// countUnread is how many messages of a folder are unread. What was counted last holds while none has left since, and
// those that came are the newest.
func (v *view) countUnread(fid mapi.FID, c *schema.FolderCounts, r *reader) (uint32, error) {
	if r == nil {
		return c.Unseen, nil
	}
	if r.CountedAt != 0 && r.Gone == c.DeletedTotal && r.Messages <= c.Messages {
		n, unread, err := v.arrived(fid, r, c.Messages-r.Messages)
		if err != nil || n == c.Messages-r.Messages {
			return r.Unread + unread, err
		}
	}
	unread := uint32(0)
	err := v.everyRow(fid, func(row *schema.Row) {
		if !r.seen(row) {
			unread++
		}
	})
	return unread, err
}

// arrived counts the messages that came into a folder after the caller's were counted, all of them and the unread ones. It
// looks at no more than so many.
func (v *view) arrived(fid mapi.FID, r *reader, most uint32) (n, unread uint32, err error) {
	it := v.r.Iter(schema.RowKey(fid, 0), schema.RowKey(fid, schema.EndOfUIDs))
	defer closing(it, &err)
	var row schema.Row
	for ok := it.Last(); ok && n < most; ok = it.Prev() {
		if err := row.UnmarshalWire(it.Value()); err != nil {
			return 0, 0, err
		}
		if row.CameAt() <= r.CountedAt {
			break
		}
		n++
		if !r.seen(&row) {
			unread++
		}
	}
	return n, unread, nil
}

// everyRow calls fn with every message of a folder, whosever it is.
func (v *view) everyRow(fid mapi.FID, fn func(row *schema.Row)) (err error) {
	it := v.r.Iter(schema.RowKey(fid, 0), schema.RowKey(fid, schema.EndOfUIDs))
	defer closing(it, &err)
	var row schema.Row
	for it.Next() {
		if err := row.UnmarshalWire(it.Value()); err != nil {
			return err
		}
		fn(&row)
	}
	return nil
}

// shownCounts are a folder's counts as the caller sees them: unread what is unread for him, and of the messages those that
// he may read.
func (v *view) shownCounts(fid mapi.FID, c *schema.FolderCounts) (*schema.FolderCounts, error) {
	r, err := v.reader(fid)
	if err != nil {
		return nil, err
	}
	rights, err := v.rightsIn(fid)
	if err != nil {
		return nil, err
	}
	shown := *c
	shown.ContentSeq = max(c.ContentSeq, r.newest())
	if rights&toRead.any != 0 && (r == nil || c.Unrendered == 0) {
		shown.Unseen, err = v.countUnread(fid, c, r)
		return &shown, err
	}
	sum := schema.FolderCounts{}
	err = v.everyRow(fid, func(row *schema.Row) {
		if rights&toRead.any != 0 || v.mine(row) {
			row.Bits = row.Bits&^schema.RowFlagMask | schema.RowBits(r.flags(row))
			enter(&sum, row)
		}
	})
	shown.Messages, shown.Unseen, shown.Deleted, shown.Octets, shown.Used = sum.Messages, sum.Unseen, sum.Deleted, sum.Octets, sum.Used
	shown.Unrendered, shown.UnrenderedUnseen, shown.UnrenderedDeleted = sum.Unrendered, sum.UnrenderedUnseen, sum.UnrenderedDeleted
	return &shown, err
}

// takeSeen puts into a row what the caller has read of it where it is, so that it is that for him where it goes.
func (t *tx) takeSeen(fid mapi.FID, row *schema.Row) error {
	r, err := t.reader(fid)
	if err == nil {
		row.Bits = row.Bits&^schema.RowFlagMask | schema.RowBits(r.flags(row))
	}
	return err
}

// keepSeen takes \Seen out of the row of a message that comes into a folder where it is the caller's own, and marks it for
// him once the message is there.
func (t *tx) keepSeen(fid mapi.FID, row *schema.Row) (later func() error, err error) {
	r, err := t.reader(fid)
	if err != nil || r == nil || row.Bits&schema.RowAssociated != 0 || row.Bits.Flags()&exmdb.FlagSeen == 0 {
		return func() error { return nil }, err
	}
	row.Bits &^= schema.RowBits(exmdb.FlagSeen)
	return func() error { return t.markRead(fid, r, row, true, row.CN) }, nil
}

// setSeen sets \Seen of the message in the row, or for the caller where it is his own. A message that is made is marked
// when it has its place.
func (d *draft) setSeen(on bool) {
	own, err := d.reader(d.fid)
	if err != nil || own == nil || d.fresh {
		d.fail(err)
		bit := mapi.Integer32(0)
		if on {
			bit = 1
		}
		d.mark(schema.RowBits(exmdb.FlagSeen), bit)
		return
	}
	if own.seen(&d.before.row) != on {
		d.fail(d.markRead(d.fid, own, &d.before.row, on, d.stamp()))
	}
}

const (
	// readRanges is up to how many ranges a read state is left alone. Beyond that those are joined between which there is
	// no other message, and it is left alone again up to twice what remains.
	readRanges = 1024
)

// endReaders writes what the op has changed of the caller's read state.
func (t *tx) endReaders() error {
	for fid, r := range t.readers {
		if len(r.Ranges) > max(readRanges, 2*int(r.Joined)) {
			if err := t.joinRanges(fid, r); err != nil {
				return err
			}
		}
		if b := wire.Marshal(&r.ReadState); string(b) != string(r.stored) {
			t.w.Set(schema.ReadStateKey(t.as.User, fid), b)
		}
	}
	return nil
}

// joinRanges makes the ranges anew from the messages that there are: neighbours of which the same is said become one, under
// the newer stamp. Then a client may be told of something that it knew.
func (t *tx) joinRanges(fid mapi.FID, r *reader) error {
	type mark struct {
		mid  mapi.GlobalCounter
		at   schema.ReadRange
		said bool
	}
	var marks []mark
	note := func(row *schema.Row) {
		at, said := r.Ranges.Find(row.MID.Counter())
		marks = append(marks, mark{row.MID.Counter(), at, said})
	}
	if err := t.everyRow(fid, note); err != nil {
		return err
	}
	slices.SortFunc(marks, func(a, b mark) int { return cmp.Compare(a.mid, b.mid) })
	var joined schema.ReadRanges
	open := false // the last range reaches up to the message before
	for _, m := range marks {
		last := len(joined) - 1
		switch {
		case !m.said:
		case open && joined[last].Read == m.at.Read:
			joined[last].Last = m.mid
			joined[last].Stamp = max(joined[last].Stamp, m.at.Stamp)
		default:
			joined = append(joined, schema.ReadRange{First: m.mid, Last: m.mid, Read: m.at.Read, Stamp: m.at.Stamp})
		}
		open = m.said
	}
	r.Ranges, r.Joined = joined, uint32(len(joined))
	return nil
}

// dropReaders forgets what anybody has read of a folder that is gone.
func (t *tx) dropReaders(fid mapi.FID) (err error) {
	delete(t.readers, fid)
	if t.header.Kind != exmdb.MailboxPublic && !t.header.PerUserRead {
		return nil
	}
	var keys [][]byte
	it := t.r.Iter(schema.ReadStateKey(mapi.GUID{}, 0), []byte{schema.PrefixReadState + 1})
	defer closing(it, &err)
	for ok := it.Next(); ok; {
		user, at, err := schema.ParseReadStateKey(it.Key())
		if err != nil {
			return err
		}
		switch {
		case at < fid:
			ok = it.SeekGE(schema.ReadStateKey(user, fid))
			continue
		case at == fid:
			keys = append(keys, slices.Clone(it.Key()))
		}
		ok = it.SeekGE(schema.ReadStateKey(user, mapi.LocalFID(mapi.MaxGlobalCounter)))
	}
	for _, k := range keys {
		t.w.Delete(k)
	}
	return nil
}

// ownChange is a message of which the caller's own read state moved.
type ownChange struct {
	uid    mapi.UID
	row    schema.Row
	modseq mapi.Stamp
}

// ownChanges are the messages of a folder whose modseq is above a stamp by the caller's own changes, in that order.
func (v *view) ownChanges(fid mapi.FID, r *reader, since mapi.Stamp) ([]ownChange, error) {
	var list []ownChange
	for _, at := range r.Ranges {
		if at.Stamp <= since {
			continue
		}
		lo, hi := schema.MIDKey(mapi.NewMID(mapi.LocalReplica, at.First)), schema.MIDKey(mapi.NewMID(mapi.LocalReplica, at.Last))
		places, err := v.placesIn(fid, lo, append(hi, 0))
		if err != nil {
			return nil, err
		}
		for _, uid := range places {
			c := ownChange{uid: uid}
			found, err := load(v.r, schema.RowKey(fid, uint64(uid)), &c.row)
			if err != nil {
				return nil, err
			}
			c.modseq = r.modseq(&c.row)
			if found && v.shows(fid, &c.row) {
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b ownChange) int { return cmp.Compare(a.modseq, b.modseq) })
	return list, nil
}

// placesIn are the UIDs of the messages of a folder whose MIDs are in a range.
func (v *view) placesIn(fid mapi.FID, lo, hi []byte) (uids []mapi.UID, err error) {
	it := v.r.Iter(lo, hi)
	defer closing(it, &err)
	for it.Next() {
		var at schema.Place
		if err := schema.Decode(it.Value(), &at); err != nil {
			return nil, err
		}
		if mapi.LocalFID(at.Folder) == fid && !at.Associated && at.Deleted == 0 {
			uids = append(uids, at.UID)
		}
	}
	return uids, nil
}

// setReadState is OpSetReadState.
func setReadState(t *tx, req *exmdb.SetReadStateRequest) (*exmdb.Empty, error) {
	t.header.PerUserRead = req.PerUser
	t.set(schema.HeaderKey(), &t.header)
	return &exmdb.Empty{}, nil
}
