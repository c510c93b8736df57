package store

import (
	"bytes"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// view is a mailbox as one op reads it.
type view struct {
	r        space.Reader
	as       *exmdb.Identity
	config   Config
	header   schema.Header
	counters schema.Counters
	// whole: the caller has everything the mailbox's owner has. rights is what else he has, by folder, as far as it was
	// asked; confined are the folders in which he may touch his own items only, and passedOver says that the op has met
	// another's there.
	whole      bool
	rights     map[mapi.FID]exmdb.FolderRights
	confined   map[mapi.FID]bool
	passedOver bool
	// readers are the caller's own read states, by folder, as far as they were asked.
	readers map[mapi.FID]*reader
	// beyondQuota: what the op stores has room whatever the quota.
	beyondQuota bool
	// What follows is loaded when it is first needed.
	keywords    *keywordTable
	replicaRows *replicaTable
	propNames   *nameTable
	shelved     *shelf
	// compiled remembers rules between ops, tables views of tables, changes what the full-text index does not know yet.
	compiled *compiledRules
	tables   *query.Cache
	changes  *textChanges
}

// tx is a mailbox as one op changes it. Counters and folder counts are written by end, where they have changed.
type tx struct {
	view
	w              space.Writer
	now            time.Time
	storedCounters []byte
	counts         map[mapi.FID]*openCounts
	times          map[mapi.FID][]timeStep
	// relocated are the folders above those that the op has given another place, as they were.
	relocated map[mapi.FID]mapi.GlobalCounter
	// below are the folders below which others have moved, with how many came or left.
	below map[mapi.GlobalCounter]uint32
	// notifyUnread: whose mail is deleted unread is told, if he asked.
	notifyUnread bool
	coded        []byte // scratch of set
}

// openCounts is a folder's counts with what is stored of them.
type openCounts struct {
	schema.FolderCounts
	stored []byte
}

// load reads the record at key; false means there is none.
func load(r space.Reader, key []byte, record any) (bool, error) {
	b, err := r.Get(key)
	if err != nil || b == nil {
		return false, err
	}
	if err := schema.Decode(b, record); err != nil {
		return false, fmt.Errorf("key %x: %w", key, err)
	}
	return true, nil
}

// open reads a mailbox for a caller who holds a right in it.
func (s *Store) open(r space.Reader, as *exmdb.Identity, need right) (*view, error) {
	return s.openFor(r, as, need.access(), nil)
}

// openFor reads a mailbox for a caller who has what an op needs for its request.
func (s *Store) openFor(r space.Reader, as *exmdb.Identity, need access, req any) (*view, error) {
	v := &view{r: r, as: as, config: s.config, compiled: s.compiled, tables: s.tables, changes: s.changes}
	found, err := load(r, schema.HeaderKey(), &v.header)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, cluster.Errorf(exmdb.KindNoMailbox, "mailbox does not exist")
	}
	if v.gone() && !need.afterlife {
		return nil, errGone(v.mailbox())
	}
	if _, err = load(r, schema.CountersKey(), &v.counters); err != nil {
		return nil, err
	}
	v.whole = whole(as, v.header.Owner)
	return v, v.admit(need, req)
}

// begin is open for changes.
func (s *Store) begin(w space.Writer, as *exmdb.Identity, need right) (*tx, error) {
	return s.beginFor(w, as, need.access(), nil)
}

// beginFor is openFor for changes.
func (s *Store) beginFor(w space.Writer, as *exmdb.Identity, need access, req any) (*tx, error) {
	v, err := s.openFor(w, as, need, req)
	if err != nil {
		return nil, err
	}
	return &tx{view: *v, w: w, now: w.Now(), storedCounters: wire.Marshal(&v.counters), counts: make(map[mapi.FID]*openCounts)}, nil
}

// end writes what the op has moved in the counts.
func (t *tx) end() error {
	if err := t.countTimes(); err != nil {
		return err
	}
	if err := t.countBelow(); err != nil {
		return err
	}
	t.watchQuota()
	if err := t.endReaders(); err != nil {
		return err
	}
	for fid, c := range t.counts {
		if b := wire.Marshal(&c.FolderCounts); !bytes.Equal(b, c.stored) {
			t.w.Set(schema.FolderCountsKey(fid), b)
		}
	}
	if b := wire.Marshal(&t.counters); !bytes.Equal(b, t.storedCounters) {
		t.w.Set(schema.CountersKey(), b)
	}
	return nil
}

// set writes a record; the writer keeps a copy.
func (t *tx) set(key []byte, record any) {
	t.coded = wire.Append(t.coded[:0], record)
	t.w.Set(key, t.coded)
}

// draw takes the next value of the mailbox's one counter (MAILBOX 2).
func (t *tx) draw() mapi.GlobalCounter {
	if t.counters.Global >= mapi.MaxGlobalCounter {
		invariant.Failf("the counter of a mailbox is used up")
	}
	t.counters.Global++
	return t.counters.Global
}

func (t *tx) stamp() mapi.Stamp {
	t.counters.Stamp = mapi.Stamp(t.draw())
	return t.counters.Stamp
}

func (t *tx) object() mapi.ObjectNumber {
	t.counters.Object++
	return t.counters.Object
}

func noFolder(fid mapi.FID) error {
	return cluster.Errorf(exmdb.KindNoFolder, "no folder %#x", uint64(fid))
}

// folder reads a folder's record.
func (v *view) folder(fid mapi.FID) (*schema.Folder, error) {
	f := new(schema.Folder)
	if fid.Replica() != mapi.LocalReplica {
		return nil, noFolder(fid)
	}
	found, err := load(v.r, schema.FolderKey(fid), f)
	if err == nil && !found {
		err = noFolder(fid)
	}
	return f, err
}

// folderCounts reads a folder's counts. Where they are, the folder is.
func (v *view) folderCounts(fid mapi.FID) (*schema.FolderCounts, error) {
	c := new(schema.FolderCounts)
	if fid.Replica() != mapi.LocalReplica {
		return nil, noFolder(fid)
	}
	found, err := load(v.r, schema.FolderCountsKey(fid), c)
	if err == nil && !found {
		err = noFolder(fid)
	}
	return c, err
}

// edit gives a folder's counts to be changed; end writes them.
func (t *tx) edit(fid mapi.FID) (*schema.FolderCounts, error) {
	if c := t.counts[fid]; c != nil {
		return &c.FolderCounts, nil
	}
	c, err := t.folderCounts(fid)
	if err != nil {
		return nil, err
	}
	open := &openCounts{*c, wire.Marshal(c)}
	t.counts[fid] = open
	return &open.FolderCounts, nil
}

// scan calls fn with every stored row of a folder in ranges (nil for all) in ascending UID, until it says stop. The
// value is valid during the call only, and fn does not write.
func (v *view) scan(fid mapi.FID, ranges []exmdb.UIDRange, fn scanFunc) error {
	return v.scanRows(schema.RowKey, fid, ranges, fn)
}

type scanFunc func(uid mapi.UID, stored []byte) (more bool, err error)

// rowKeys is schema.RowKey, or schema.AssociatedKey for associated messages.
type rowKeys func(fid mapi.FID, uid uint64) []byte

// scanRows is scan over either kind of rows.
func (v *view) scanRows(key rowKeys, fid mapi.FID, ranges []exmdb.UIDRange, fn scanFunc) (err error) {
	if ranges == nil {
		ranges = []exmdb.UIDRange{{First: 1, Last: schema.EndOfUIDs - 1}}
	}
	if len(ranges) == 0 {
		return nil
	}
	it := v.r.Iter(key(fid, uint64(ranges[0].First)), key(fid, uint64(ranges[len(ranges)-1].Last)+1))
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	for ok := it.Next(); ok; {
		_, uid, err := schema.ParseRowKey(it.Key())
		if err != nil {
			return err
		}
		for len(ranges) > 0 && uid > ranges[0].Last {
			ranges = ranges[1:]
		}
		if len(ranges) == 0 {
			return nil
		}
		if uid < ranges[0].First {
			ok = it.SeekGE(key(fid, uint64(ranges[0].First)))
			continue
		}
		if shown, err := v.showsStored(fid, it.Value()); err != nil || !shown {
			if err != nil {
				return err
			}
			ok = it.Next()
			continue
		}
		if more, err := fn(uid, it.Value()); err != nil || !more {
			return err
		}
		ok = it.Next()
	}
	return nil
}

// checkRanges refuses lists that scan could not walk.
func checkRanges(ranges []exmdb.UIDRange) error {
	last := mapi.UID(0)
	for _, r := range ranges {
		if r.First <= last || r.Last < r.First {
			return cluster.Errorf(cluster.KindBadRequest, "uid range %d to %d after %d", r.First, r.Last, last)
		}
		last = r.Last
	}
	return nil
}

// addUID appends to ranges in the making. UIDs come in the order of the list.
func addUID(ranges []exmdb.UIDRange, uid mapi.UID) []exmdb.UIDRange {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == uid {
		ranges[n-1].Last = uid
		return ranges
	}
	return append(ranges, exmdb.UIDRange{First: uid, Last: uid})
}
