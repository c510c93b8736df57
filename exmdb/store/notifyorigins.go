package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// origins is a noted step, read for looking up.
type origins struct {
	schema.Origin
	stamp    mapi.Stamp
	old, new []mapi.MID
	has      map[mapi.MID]bool // of new
}

func midsIn(runs schema.Runs) (list []mapi.MID) {
	runs.Each(func(c uint64) bool {
		list = append(list, mapi.NewMID(mapi.LocalReplica, mapi.GlobalCounter(c)))
		return true
	})
	return list
}

// readOrigin is the step noted with a stamp, nil for none.
func (w *eventWalk) readOrigin(key, stored []byte) (*origins, error) {
	if o, known := w.origins[string(key)]; known || stored == nil {
		return o, nil
	}
	s, err := schema.ParseStampKey(key)
	if err != nil {
		return nil, err
	}
	o := &origins{stamp: s, has: make(map[mapi.MID]bool)}
	if err := schema.Decode(stored, &o.Origin); err != nil {
		return nil, err
	}
	o.old, o.new = midsIn(o.Old), midsIn(o.New)
	for _, mid := range o.new {
		o.has[mid] = true
	}
	w.origins[string(key)] = o
	return o, nil
}

// nextOrigin is the first step noted of a folder from a stamp on.
func (w *eventWalk) nextOrigin(fid mapi.FID, f *eventFolder, s mapi.Stamp) (_ *origins, err error) {
	if f.sought && f.soughtFrom <= s && (f.next == nil || s <= f.next.stamp) {
		return f.next, nil
	}
	it := w.r.Iter(schema.OriginKey(fid, s), schema.OriginKey(fid+1, 0))
	defer closing(it, &err)
	f.sought, f.soughtFrom, f.next = true, s, nil
	if it.Next() {
		f.next, err = w.readOrigin(it.Key(), it.Value())
	}
	return f.next, err
}

// originOf is the step that is noted of a message from a stamp on, nil if the next one is of others: the numbers that a
// step draws lie in front of the stamp it is noted with, and those of others do not lie between.
func (w *eventWalk) originOf(fid mapi.FID, mid mapi.MID, s mapi.Stamp) (*origins, error) {
	f, err := w.at(fid)
	if err != nil {
		return nil, err
	}
	o, err := w.nextOrigin(fid, f, s)
	if err != nil || o == nil || !o.has[mid] {
		return nil, err
	}
	return o, nil
}

// here is a message that is in a folder now and of which the caller is told, nil if it is not.
func (w *eventWalk) here(fid mapi.FID, f *eventFolder, mid mapi.MID) (*message, error) {
	var at schema.Place
	found, err := load(w.r, schema.MIDKey(mid), &at)
	if err != nil || !found || at.Deleted != 0 || mapi.LocalFID(at.Folder) != fid || !f.there {
		return nil, err
	}
	m, err := w.placed(fid, &at)
	if err != nil || !w.tells(f, &m.row) {
		return nil, err
	}
	return m, nil
}

// carriedMessages walks what is noted of messages that came into a folder.
func (w *eventWalk) carriedMessages(fid mapi.FID, f *eventFolder) error {
	return w.walkStamps(schema.OriginKey, fid, func(s mapi.Stamp, stored []byte) error {
		o, err := w.readOrigin(schema.OriginKey(fid, s), stored)
		if err != nil || s < f.whole {
			return err
		}
		kind, source := exmdb.EventCreated, mapi.LocalFID(o.From)
		if o.Kind != schema.OriginArrived {
			from, err := w.at(source)
			if err != nil {
				return err
			}
			switch {
			case !from.there: // he is not told where it came from
			case o.Kind == schema.OriginMoved:
				kind = exmdb.EventMoved
			case o.Kind == schema.OriginCopied:
				kind = exmdb.EventCopied
			}
		}
		for i, mid := range o.new {
			m, err := w.here(fid, f, mid)
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			e := &event{Event: exmdb.Event{Kind: kind, Folder: fid, Message: mid}, m: m}
			if kind != exmdb.EventCreated {
				e.OldFolder, e.OldMessage = source, o.old[i]
			}
			w.page.add(s, e)
		}
		return nil
	})
}

// buriedMessages walks the tombstones of a folder.
func (w *eventWalk) buriedMessages(fid mapi.FID, f *eventFolder) error {
	return w.eachBurial(fid, w.after, func(part *schema.TombstonePart, mids []burial) (bool, error) {
		if part.Stamp < f.whole {
			return true, nil
		}
		if w.page.beyond(part.Stamp) {
			return false, nil
		}
		return true, w.buried(fid, part, mids)
	})
}

// burial is a message that left a folder, and when it had come.
type burial struct {
	mid  mapi.MID
	came mapi.Stamp
}

func burialsIn(ts *schema.Tombstone) []burial {
	list := make([]burial, 0, ts.MIDs.Len())
	ts.MIDs.Each(func(c uint64) bool {
		list = append(list, burial{mid: mapi.NewMID(mapi.LocalReplica, mapi.GlobalCounter(c))})
		return true
	})
	i := 0
	ts.CameAt().Each(func(s uint64) bool {
		if i < len(list) {
			list[i].came = mapi.Stamp(s)
		}
		i++
		return i < len(list)
	})
	return list
}

// eachBurial calls fn with what left a folder with each step above a stamp, in order, until it says stop.
func (v *view) eachBurial(fid mapi.FID, after mapi.Stamp, fn func(part *schema.TombstonePart, of []burial) (more bool, err error)) (err error) {
	it := v.r.Iter(schema.TombstoneKey(fid, after+1), schema.TombstoneKey(fid+1, 0))
	defer closing(it, &err)
	for it.Next() {
		s, err := schema.ParseStampKey(it.Key())
		if err != nil {
			return err
		}
		var ts schema.Tombstone
		if err := schema.Decode(it.Value(), &ts); err != nil {
			return err
		}
		left := burialsIn(&ts)
		for _, part := range ts.PartsAt(s) {
			n := min(part.Count, uint64(len(left)))
			of := left[:n]
			if left = left[n:]; part.Stamp <= after {
				continue
			}
			if more, err := fn(&part, of); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// buried tells of messages that left a folder with one step. Those that moved where the caller sees them are told of there,
// if that folder is asked for too; what came and went above the stamp was never told. Whose a message was that is gone for
// good is not known, so that is told to whoever sees the folder.
func (w *eventWalk) buried(fid mapi.FID, part *schema.TombstonePart, left []burial) error {
	into := mapi.LocalFID(part.Target)
	var target *eventFolder
	var went *origins
	if part.Target != 0 {
		var err error
		if target, err = w.at(into); err != nil {
			return err
		}
		key := schema.OriginKey(into, part.Stamp)
		stored, err := w.r.Get(key)
		if err != nil {
			return err
		}
		if went, err = w.readOrigin(key, stored); err != nil {
			return err
		}
	}
	for i, b := range left {
		mid := b.mid
		e := exmdb.Event{Kind: exmdb.EventDeleted, Folder: fid, Message: mid}
		var m *message
		if went != nil && i < len(went.new) && part.Stamp >= target.whole {
			var err error
			if m, err = w.here(into, target, went.new[i]); err != nil {
				return err
			}
		}
		others, err := w.othersDeleted(fid, mid)
		switch {
		case err != nil:
			return err
		case m != nil && target.asked || others:
			continue
		case m != nil:
			e = exmdb.Event{Kind: exmdb.EventMoved, Folder: into, Message: m.row.MID, OldFolder: fid, OldMessage: mid}
		case b.came > w.after:
			continue
		}
		w.page.add(part.Stamp, &event{Event: e, m: m})
	}
	return nil
}

// othersDeleted reports whether a message is in the soft-deleted set of a folder where the caller sees his own only, and
// is not his.
func (w *eventWalk) othersDeleted(fid mapi.FID, mid mapi.MID) (bool, error) {
	f, err := w.at(fid)
	if err != nil || f.reads {
		return false, err
	}
	_, d, err := w.findDeleted(mid)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoMessage {
			err = nil
		}
		return false, err
	}
	return !w.mine(&d.row), nil
}
