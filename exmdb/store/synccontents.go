package store

import (
	"cmp"
	"math"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// syncChanges is how many changes a page has at most, syncLooked how many records are looked at for it: both bound what
	// one request takes.
	syncChanges = 1000
	syncLooked  = 20_000
	// syncFew is up to how many unseen changes are put in order of delivery in memory; more are looked for in the order that
	// is stored.
	syncFew = 4096
)

// syncContents is OpSyncContents.
func syncContents(v *view, req *exmdb.SyncContentsRequest) (*exmdb.SyncContentsResponse, error) {
	s, err := v.newContentsSync(req)
	if err != nil {
		return nil, err
	}
	at := &s.resp.Next
	if at.Phase == exmdb.SyncBegin {
		if err := s.begin(); err != nil {
			return nil, err
		}
		if at.Phase == exmdb.SyncCompare && req.Holds {
			s.resp.More = true // the next request brings what the client has
			return s.resp, nil
		}
	}
	for at.Phase != exmdb.SyncEnd && !s.resp.More {
		if err := s.run(at.Phase); err != nil {
			return nil, err
		}
	}
	return s.answer()
}

// begin chooses how to go.
func (s *contentsSync) begin() error {
	at := &s.resp.Next
	at.Phase = exmdb.SyncChanged
	if !s.sure || s.asks(exmdb.SyncStateOnly) {
		at.Phase = exmdb.SyncCompare
	}
	if !s.asks(exmdb.SyncProgress) {
		return nil
	}
	return s.foresee()
}

// foresee says how much is to come. Where that is much, it is said of all that there is.
func (s *contentsSync) foresee() error {
	all := &exmdb.SyncToCome{}
	if s.asks(exmdb.SyncNormal) {
		all.Messages, all.Size = s.counts.Messages, s.counts.Used
	}
	if s.asks(exmdb.SyncAssociated) {
		all.Associated, all.AssociatedSize = s.counts.Associated, s.counts.AssociatedUsed
	}
	s.resp.Progress = all
	if !s.sure {
		return nil
	}
	some, n := &exmdb.SyncToCome{}, 0
	whole, err := s.glance(s.normal.Union(s.associated), func(m *message) bool {
		if m.associated() {
			some.Associated++
			some.AssociatedSize += m.row.MessageSize()
		} else {
			some.Messages++
			some.Size += m.row.MessageSize()
		}
		n++
		return n < syncFew
	})
	if whole {
		s.resp.Progress = some
	}
	return err
}

// glance calls fn with the messages that the client has not seen, and reports whether it got to their end: not where fn
// stopped it, or where there is much to look at.
func (s *contentsSync) glance(of mapi.GLOBSET, fn func(m *message) bool) (whole bool, err error) {
	before, at := s.looked, uint64(0)
	whole = true
	err = s.unseen(of, &at, func(m *message) (bool, error) {
		whole = fn(m)
		return whole, nil
	})
	whole = whole && !s.resp.More
	s.looked, s.resp.More = before, false
	return whole, err
}

// phase is a part of a download; run goes on at the cursor and sets it, and what comes after when it is done.
type phase struct {
	run  func(s *contentsSync) error
	next exmdb.SyncPhase
}

var phases = map[exmdb.SyncPhase]phase{
	exmdb.SyncChanged:           {(*contentsSync).changed, exmdb.SyncChangedByTime},
	exmdb.SyncChangedByTime:     {(*contentsSync).changedByTime, exmdb.SyncGone},
	exmdb.SyncGone:              {(*contentsSync).goneSince, exmdb.SyncRead},
	exmdb.SyncCompare:           {(*contentsSync).compareNormal, exmdb.SyncCompareAssociated},
	exmdb.SyncCompareAssociated: {(*contentsSync).compareAssociated, exmdb.SyncRead},
	exmdb.SyncRead:              {(*contentsSync).readSince, exmdb.SyncOwnRead},
	exmdb.SyncOwnRead:           {(*contentsSync).ownReadSince, exmdb.SyncEnd},
}

// run goes through a phase as far as the page allows.
func (s *contentsSync) run(p exmdb.SyncPhase) error {
	s.resp.Next.Compared = s.resp.Next.Compared || p.Compares()
	if err := phases[p].run(s); err != nil || s.resp.More {
		return err
	}
	s.resp.Next = exmdb.SyncCursor{Phase: phases[p].next, Stamp: s.resp.Next.Stamp, Compared: s.resp.Next.Compared}
	return nil
}

// full reports whether the page is, and then says that there is more.
func (s *contentsSync) full() bool {
	limit := syncChanges
	if s.req.Limit != 0 {
		limit = min(limit, int(s.req.Limit))
	}
	s.looked++
	s.resp.More = len(s.resp.Changes) >= limit || s.size >= answerBytes || s.looked > syncLooked
	return s.resp.More
}

// steps calls fn with the steps of the folder's change index in a set of stamps, from behind at on, until the page is
// full, and notes how far it came.
func (s *contentsSync) steps(of mapi.GLOBSET, at *uint64, fn func(stamp mapi.Stamp, step *schema.Change) (bool, error)) (err error) {
	ranges := of.Ranges()
	if len(ranges) == 0 {
		return nil
	}
	it := s.r.Iter(schema.ChangeKey(s.req.Folder, mapi.Stamp(*at)+1), schema.ChangeKey(s.req.Folder, mapi.Stamp(of.Highest())+1))
	defer closing(it, &err)
	for ok := it.Next(); ok; {
		stamp, step, err := changeStep(it.Key(), it.Value())
		if err != nil {
			return err
		}
		n, _ := slices.BinarySearchFunc(ranges, stamp, func(r mapi.GlobRange, at mapi.Stamp) int { return cmp.Compare(mapi.Stamp(r.High), at) })
		if ranges = ranges[n:]; len(ranges) == 0 {
			return nil
		}
		if low := mapi.Stamp(ranges[0].Low); low > stamp {
			ok = it.SeekGE(schema.ChangeKey(s.req.Folder, low))
			continue
		}
		if s.full() {
			return nil
		}
		if more, err := fn(stamp, &step); err != nil || !more {
			return err
		}
		*at = uint64(stamp)
		ok = it.Next()
	}
	return nil
}

// unseen calls fn with the messages whose change numbers are in a set and not seen, from behind at on.
func (s *contentsSync) unseen(of mapi.GLOBSET, at *uint64, fn func(m *message) (bool, error)) error {
	return s.steps(of, at, func(stamp mapi.Stamp, step *schema.Change) (bool, error) {
		kind := &s.normal
		if step.Associated {
			kind = &s.associated
		}
		if step.Kinds&schema.ChangeContent == 0 || !kind.Contains(mapi.GlobalCounter(stamp)) {
			return true, nil
		}
		m, err := s.messageOf(step)
		if err != nil || m == nil || m.row.CN != stamp {
			return true, err
		}
		return fn(m)
	})
}

// messageOf is the message of a step, nil if it is not there any more, or not shown.
func (s *contentsSync) messageOf(step *schema.Change) (*message, error) {
	m := &message{uid: step.UID}
	if step.Associated {
		m.row.Bits = schema.RowAssociated
	}
	found, err := load(s.r, m.key(s.req.Folder), &m.row)
	if err != nil || !found || !s.shows(s.req.Folder, &m.row) {
		return nil, err
	}
	return m, nil
}

// changed brings what the client has not seen, in the order of the changes; in order of delivery the FAI messages only.
func (s *contentsSync) changed() error {
	wanted, byTime := s.associated, s.asks(exmdb.SyncByDeliveryTime)
	if !byTime {
		wanted = wanted.Union(s.normal)
	}
	return s.unseen(wanted, &s.resp.Next.At, func(m *message) (bool, error) {
		if byTime && !m.associated() {
			return true, nil
		}
		return true, s.bring(m)
	})
}

// changedByTime brings messages that the client has not seen, the latest delivered first.
func (s *contentsSync) changedByTime() error {
	at := &s.resp.Next
	if !s.asks(exmdb.SyncByDeliveryTime) || s.normal.IsEmpty() {
		return nil
	}
	if at.Stored {
		return s.changedInOrder()
	}
	var few []*message
	whole, err := s.glance(s.normal, func(m *message) bool {
		if !m.associated() {
			few = append(few, m)
		}
		return len(few) <= syncFew
	})
	if err != nil || !whole {
		at.Stored = true
		return orElse(err, s.changedInOrder())
	}
	slices.SortFunc(few, func(a, b *message) int { return timePlace(b).Compare(timePlace(a)) })
	for _, m := range few {
		if more, err := s.bringAt(m); err != nil || !more {
			return err
		}
	}
	return nil
}

// placeOfCursor is the message that was brought last, behind all where none was.
func (s *contentsSync) placeOfCursor() schema.TimePlace {
	at := &s.resp.Next
	if at.At == 0 {
		return schema.TimePlace{Received: math.MaxUint64, UID: math.MaxUint32}
	}
	return schema.TimePlace{Received: at.Received, UID: mapi.UID(at.At)}
}

// bringAt brings a message that comes after the cursor.
func (s *contentsSync) bringAt(m *message) (more bool, err error) {
	place := timePlace(m)
	if place.Compare(s.placeOfCursor()) >= 0 {
		return true, nil
	}
	if s.full() {
		return false, nil
	}
	s.resp.Next.Received, s.resp.Next.At = place.Received, uint64(place.UID)
	return true, s.bring(m)
}

// changedInOrder is changedByTime over the folder's order.
func (s *contentsSync) changedInOrder() (err error) {
	fid := s.req.Folder
	it := s.r.Iter(schema.TimeKey(fid, schema.TimePlace{}), schema.TimeKey(fid, s.placeOfCursor()))
	defer closing(it, &err)
	for ok := it.Last(); ok; ok = it.Prev() {
		place, err := schema.ParseTimeKey(it.Key())
		if err != nil {
			return err
		}
		m, err := s.messageOf(&schema.Change{UID: place.UID})
		if err != nil {
			return err
		}
		if m == nil || !s.normal.Contains(mapi.GlobalCounter(m.row.CN)) {
			if s.full() {
				return nil
			}
			s.resp.Next.Received, s.resp.Next.At = place.Received, uint64(place.UID)
			continue
		}
		if more, err := s.bringAt(m); err != nil || !more {
			return err
		}
	}
	return nil
}

// bring puts a message into the page, or its id where it is outside the restriction.
func (s *contentsSync) bring(m *message) error {
	in, err := s.inScope(m)
	if err != nil {
		return err
	}
	source, err := s.gid(m.row.MID.Counter())
	if err != nil {
		return err
	}
	if !in {
		s.outside = append(s.outside, source)
		return nil
	}
	out := exmdb.SyncedMessage{Source: source}
	if out.Change, err = s.gid(mapi.GlobalCounter(m.row.CN)); err != nil {
		return err
	}
	if out.State, err = s.state(s.req.Folder, m); err != nil {
		return err
	}
	shown := s.show(s.req.Folder, m)
	out.Modified = shown.modified().Time()
	if out.Content, err = s.contentOf(m, shown); err != nil {
		return err
	}
	s.size += 4 * rowBytes
	if out.Content != nil {
		s.size += int(m.row.Props)
		s.bags = append(s.bags, out.Content.Bags()...)
	}
	s.resp.Changes = append(s.resp.Changes, out)
	return nil
}

// inScope reports whether a message meets the restriction.
func (s *contentsSync) inScope(m *message) (bool, error) {
	if s.match == nil {
		return true, nil
	}
	row := s.messageRow(s.req.Folder, m)
	in := s.match.Match(row)
	return in, row.Err()
}

// contentOf is as much of a message as is asked for.
func (s *contentsSync) contentOf(m *message, shown *shownMessage) (*exmdb.MessageContent, error) {
	whole := s.asks(exmdb.SyncWhole)
	if m.associated() {
		whole = s.asks(exmdb.SyncWholeAssociated)
	}
	out := &exmdb.MessageContent{}
	switch {
	case whole:
		return out, s.readWhole(s.req.Folder, m, &exmdb.ReadMessageRequest{Nested: true}, out)
	case len(s.req.Scope.Tags) == 0:
		return nil, nil
	}
	bag, err := shown.some(s.req.Scope.Tags)
	if err == nil {
		out.Props = *bag
	}
	return out, err
}

// goneSince names what has left the folder since the client saw all.
func (s *contentsSync) goneSince() (err error) {
	if !s.req.Holds || s.asks(exmdb.SyncNoDeletions) {
		return nil
	}
	at := &s.resp.Next
	from := max(s.since, mapi.Stamp(at.At))
	it := s.r.Iter(schema.TombstoneKey(s.req.Folder, from+1), schema.TombstoneKey(s.req.Folder, at.Stamp+1))
	defer closing(it, &err)
	for it.Next() {
		if s.full() {
			return nil
		}
		stamp, err := schema.ParseStampKey(it.Key())
		if err != nil {
			return err
		}
		if at.Within != stamp { // what it stood in before was taken in by a later one, which the next download meets
			at.Within, at.Offset = stamp, 0
		}
		if err := s.goneBy(it); err != nil || s.resp.More {
			return err
		}
		at.At = uint64(stamp)
	}
	return nil
}

// goneBy names the messages of one tombstone from the cursor's offset on.
func (s *contentsSync) goneBy(it space.Iterator) (err error) {
	var ts schema.Tombstone
	if err := schema.Decode(it.Value(), &ts); err != nil {
		return err
	}
	skip := s.resp.Next.Offset
	ts.MIDs.Each(func(c uint64) bool {
		if skip > 0 {
			skip--
			return true
		}
		if s.full() {
			return false
		}
		err = s.goneOne(mapi.GlobalCounter(c))
		s.resp.Next.Offset++
		return err == nil
	})
	return err
}

// goneOne names a message of a tombstone.
func (s *contentsSync) goneOne(c mapi.GlobalCounter) error {
	if there, err := s.has(mapi.NewMID(mapi.LocalReplica, c)); err != nil || there {
		return err
	}
	id, err := s.gid(c)
	s.gone = append(s.gone, id)
	return err
}

// has reports whether a message is in the folder: one that was deleted may have come back under its id.
func (s *contentsSync) has(mid mapi.MID) (bool, error) {
	var at schema.Place
	found, err := load(s.r, schema.MIDKey(mid), &at)
	return found && at.Deleted == 0 && mapi.LocalFID(at.Folder) == s.req.Folder, err
}

func (s *contentsSync) compareNormal() error { return s.compare(schema.RowKey, exmdb.SyncNormal) }
func (s *contentsSync) compareAssociated() error {
	return s.compare(schema.AssociatedKey, exmdb.SyncAssociated)
}

// compare looks at every message of a kind: it is brought where the client has not seen it, or does not have it.
func (s *contentsSync) compare(key rowKeys, kind exmdb.SyncFlags) error {
	at := &s.resp.Next.At
	if *at+1 >= schema.EndOfUIDs || !s.asks(kind) && !s.req.Holds {
		return nil
	}
	rest := []exmdb.UIDRange{{First: mapi.UID(*at + 1), Last: schema.EndOfUIDs - 1}}
	return s.scanRows(key, s.req.Folder, rest, func(uid mapi.UID, stored []byte) (bool, error) {
		if s.full() {
			return false, nil
		}
		m := &message{uid: uid}
		if err := m.row.UnmarshalWire(stored); err != nil {
			return false, err
		}
		*at = uint64(uid)
		return true, s.compareOne(m, kind)
	})
}

func (s *contentsSync) compareOne(m *message, kind exmdb.SyncFlags) error {
	source, err := s.gid(m.row.MID.Counter())
	if err != nil {
		return err
	}
	given := s.req.Given.Contains(source)
	if !s.asks(kind) || m.row.CN > s.resp.Next.Stamp {
		if given { // not asked for, or of the next download: the client keeps what it has
			s.present = append(s.present, source)
		}
		return nil
	}
	unseen := s.normal
	if m.associated() {
		unseen = s.associated
	}
	if !s.asks(exmdb.SyncStateOnly) && (!given || unseen.Contains(mapi.GlobalCounter(m.row.CN))) {
		return s.bring(m)
	}
	in, err := s.inScope(m)
	if in {
		s.present = append(s.present, source)
	} else {
		s.outside = append(s.outside, source)
	}
	return err
}

// readSince names the messages that were read or unread since the client saw all such changes.
func (s *contentsSync) readSince() error {
	return s.steps(s.unread(), &s.resp.Next.At, func(stamp mapi.Stamp, step *schema.Change) (bool, error) {
		if step.Kinds&schema.ChangeRead == 0 {
			return true, nil
		}
		m, err := s.messageOf(step)
		if err != nil || m == nil || m.row.ReadCN != stamp {
			return true, err
		}
		source, err := s.gid(m.row.MID.Counter())
		if s.reader.seen(&m.row) {
			s.on = append(s.on, source)
		} else {
			s.off = append(s.off, source)
		}
		return true, err
	})
}

// unread are the stamps of which the client wants to know what was read.
func (s *contentsSync) unread() mapi.GLOBSET {
	if !s.req.Holds || s.asks(exmdb.SyncStateOnly) {
		return mapi.GLOBSET{}
	}
	return s.read
}

// ownReadSince is readSince where that is the caller's own: his ranges say it of all messages of the folder in them.
func (s *contentsSync) ownReadSince() error {
	unread := s.unread()
	if s.reader == nil || unread.IsEmpty() {
		return nil
	}
	var on, off []mapi.ReplicaSet
	for _, r := range s.reader.Ranges {
		if !unread.Contains(mapi.GlobalCounter(r.Stamp)) {
			continue
		}
		if r.Read {
			on = appendIDs(on, s.reigns, r.First, r.Last)
		} else {
			off = appendIDs(off, s.reigns, r.First, r.Last)
		}
	}
	s.resp.MarkedRead, s.resp.MarkedUnread = mapi.IDSETOfReplicas(on), mapi.IDSETOfReplicas(off)
	return nil
}

// answer makes the page of what was gathered.
func (s *contentsSync) answer() (*exmdb.SyncContentsResponse, error) {
	r := s.resp
	r.Gone, r.OutOfScope, r.Present = mapi.IDSETOfIDs(s.gone), mapi.IDSETOfIDs(s.outside), mapi.IDSETOfIDs(s.present)
	r.MarkedRead, r.MarkedUnread = r.MarkedRead.Union(mapi.IDSETOfIDs(s.on)), r.MarkedUnread.Union(mapi.IDSETOfIDs(s.off))
	r.Compared = r.Next.Compared && !r.Next.Phase.Compares()
	if !r.More {
		s.finalSets()
	}
	var err error
	if len(s.bags) > 0 {
		r.Names, err = s.namesIn(s.bags...)
	}
	return r, err
}
