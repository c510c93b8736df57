package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Who created a message is the index of MIDs: of those that came out of the mailbox's one counter, in the order of the whole
// mailbox; of those out of a folder's ranges, folder by folder (midranges.go).

// createdMessages walks the messages whose MIDs the counter gave above the stamp. Blocks of folders it passes over.
func (w *eventWalk) createdMessages() (err error) {
	it := w.r.Iter(counterKey(mapi.GlobalCounter(w.after)), []byte{schema.PrefixMID + 1})
	defer closing(it, &err)
	block := mapi.GlobalCounter(0) // that is no folder's
	for ok := it.Next(); ok; {
		c, err := schema.ParseMIDKey(it.Key())
		if err != nil {
			return err
		}
		if at := blockOf(c); at != block {
			b, err := w.r.Get(schema.MIDBlockKey(at))
			if err != nil {
				return err
			}
			if b != nil {
				ok = it.SeekGE(counterKey(at + schema.MIDBlockLength))
				continue
			}
			block = at
		}
		if more, err := w.looks(eventsLooked, mapi.Stamp(c)+1); err != nil || !more {
			return err
		}
		fid, m, err := w.arrived(it)
		if err != nil {
			return err
		}
		if m != nil {
			if err := w.created(fid, m); err != nil {
				return err
			}
		}
		ok = it.Next()
	}
	return nil
}

// looks reports whether one more new message is looked at, which came with a stamp, of so many.
func (w *eventWalk) looks(budget int, s mapi.Stamp) (bool, error) {
	if w.page.beyond(s) {
		return false, nil
	}
	if w.looked >= budget {
		w.page.end(s - 1)
		return false, nil
	}
	w.looked++
	return true, nil
}

// arrived is the message to which a pair of the index of MIDs leads, nil if it is soft-deleted or in a folder of which the
// caller is not told.
func (w *eventWalk) arrived(it space.Iterator) (mapi.FID, *message, error) {
	var at schema.Place
	if err := schema.Decode(it.Value(), &at); err != nil {
		return 0, nil, err
	}
	fid := mapi.LocalFID(at.Folder)
	f, err := w.at(fid)
	if err != nil || at.Deleted != 0 || !f.there || !f.asked {
		return 0, nil, err
	}
	m, err := w.placed(fid, &at)
	return fid, m, err
}

// created tells of a message that came, unless that is told where it is noted.
func (w *eventWalk) created(fid mapi.FID, m *message) error {
	s := m.row.CameAt()
	f, err := w.at(fid)
	if err != nil || s < f.whole || m.row.Bits&schema.RowGrantedMID != 0 || !w.tells(f, &m.row) {
		return err
	}
	if from, err := w.originOf(fid, m.row.MID, s); err != nil || from != nil {
		return err
	}
	w.page.add(s, &event{Event: exmdb.Event{Kind: exmdb.EventCreated, Folder: fid, Message: m.row.MID}, m: m})
	return nil
}

// arrivedMessages walks the messages that came into a folder above the stamp and have MIDs of its ranges.
func (w *eventWalk) arrivedMessages(fid mapi.FID, f *eventFolder) error {
	if !f.asked {
		return nil
	}
	blocks, err := w.blocksSince(fid, f.counts.MIDLast)
	if err != nil {
		return err
	}
	budget := max(eventsLooked, w.looked+leastLooked)
	for _, first := range slices.Backward(blocks) {
		if more, err := w.arrivedIn(fid, first, f.counts.MIDLast, budget); err != nil || !more {
			return err
		}
	}
	return nil
}

// blocksSince are the blocks of a folder, back from that of its last MID, up to the one in which messages came at the stamp.
func (w *eventWalk) blocksSince(fid mapi.FID, last mapi.GlobalCounter) (blocks []mapi.GlobalCounter, err error) {
	for first := blockOf(last); first != 0; {
		var b schema.MIDBlock
		found, err := load(w.r, schema.MIDBlockKey(first), &b)
		if err == nil && (!found || mapi.LocalFID(b.Folder) != fid || b.Previous >= first) {
			err = cluster.Errorf(cluster.KindDamaged, "block %d of MIDs of folder %#x is %+v", first, uint64(fid), b)
		}
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, first)
		if b.Since <= w.after {
			break
		}
		first = b.Previous
	}
	return blocks, nil
}

// arrivedIn walks what came above the stamp with MIDs of a block.
func (w *eventWalk) arrivedIn(fid mapi.FID, first, last mapi.GlobalCounter, budget int) (more bool, err error) {
	it := w.r.Iter(counterKey(first), counterKey(min(last+1, first+schema.MIDBlockLength)))
	defer closing(it, &err)
	from, err := w.firstArrived(it, fid, first, min(last+1, first+schema.MIDBlockLength))
	if err != nil {
		return false, err
	}
	for ok := it.SeekGE(counterKey(from)); ; ok = it.Next() {
		m, err := w.nextRanged(it, fid, ok)
		if err != nil || m == nil {
			return true, err
		}
		if more, err := w.looks(budget, m.row.Came); err != nil || !more {
			return false, err
		}
		if err := w.created(fid, m); err != nil {
			return false, err
		}
	}
}

// firstArrived is from which number on the messages of a block came above the stamp. It looks back from the end in steps twice
// as long each time, and then halves the last.
func (w *eventWalk) firstArrived(it space.Iterator, fid mapi.FID, lo, hi mapi.GlobalCounter) (mapi.GlobalCounter, error) {
	for step, passed := mapi.GlobalCounter(1), false; lo < hi; {
		if passed {
			step = (hi - lo + 1) / 2
		}
		probe := hi - min(step, hi-lo)
		m, err := w.nextRanged(it, fid, it.SeekGE(counterKey(probe)))
		switch {
		case err != nil:
			return 0, err
		case m != nil && m.row.MID.Counter() < hi && m.row.Came <= w.after:
			lo, passed = m.row.MID.Counter()+1, true
		default:
			hi, step = probe, 2*step
		}
	}
	return hi, nil
}

// nextRanged is the next message of a folder in the walk over a block, from where it is, if it is at one; nil if there is none
// of which the caller is told.
func (w *eventWalk) nextRanged(it space.Iterator, fid mapi.FID, ok bool) (*message, error) {
	for ; ok; ok = it.Next() {
		at, m, err := w.arrived(it)
		if err != nil || m != nil && at == fid && m.row.Came != 0 {
			return m, err
		}
	}
	return nil, nil
}

func counterKey(c mapi.GlobalCounter) []byte { return schema.MIDKey(mapi.NewMID(mapi.LocalReplica, c)) }
