package store

import (
	"crypto/sha256"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A client's state names changes by replica GUID and number. Since stamps of one epoch lie above those of the epochs
// before, what it has seen is one set of stamps, and what it has not seen are a few gaps in which the change index is
// read: a download costs what has changed. See docs/design/sync.md.

// reign is a replica GUID of this mailbox with the stamps that were given under it.
type reign struct {
	guid     mapi.GUID
	from, to mapi.GlobalCounter
}

// reigns are all of them up to a stamp, in order.
func (v *view) reigns(upTo mapi.Stamp) ([]reign, error) {
	table, err := v.replicas()
	if err != nil {
		return nil, err
	}
	var list []reign
	next := mapi.GlobalCounter(1)
	for _, r := range table.former {
		if last := mapi.GlobalCounter(r.Last); last >= next {
			list = append(list, reign{r.GUID, next, last})
			next = last + 1
		}
	}
	if last := mapi.GlobalCounter(upTo); last >= next {
		list = append(list, reign{v.header.ReplicaGUID, next, last})
	}
	return list, nil
}

// stampsIn are the changes of this mailbox in a client's set. lost says that some of them were given and then lost with a
// restore (MAILBOX 2): nothing that such a client has seen need be what there is.
func stampsIn(list []reign, seen mapi.IDSET) (stamps mapi.GLOBSET, lost bool) {
	for i, r := range list {
		said := seen.Of(r.guid)
		lost = lost || i < len(list)-1 && said.Highest() > r.to
		var mine mapi.GLOBSET
		mine.AddRange(r.from, r.to)
		stamps = stamps.Union(mine.Intersect(said))
	}
	return stamps, lost
}

// allOf is every change of the mailbox, as a client's set.
func allOf(list []reign) mapi.IDSET {
	parts := make([]mapi.ReplicaSet, len(list))
	for i, r := range list {
		parts[i].Replica = r.guid
		parts[i].Set.AddRange(r.from, r.to)
	}
	return mapi.IDSETOfReplicas(parts)
}

// appendIDs names counters of the mailbox to its clients, from first to last.
func appendIDs(parts []mapi.ReplicaSet, list []reign, first, last mapi.GlobalCounter) []mapi.ReplicaSet {
	for _, r := range list {
		if low, high := max(first, r.from), min(last, r.to); low <= high {
			part := mapi.ReplicaSet{Replica: r.guid}
			part.Set.AddRange(low, high)
			parts = append(parts, part)
		}
	}
	return parts
}

// prefix is the stamp up to which nothing is missing.
func prefix(stamps mapi.GLOBSET) mapi.Stamp {
	if r := stamps.Ranges(); len(r) > 0 && r[0].Low <= 1 {
		return mapi.Stamp(r[0].High)
	}
	return 0
}

// What the store enters in a client's sets beside the changes: that all of a scope was told to the client, in the items,
// in the deletions, and in what left the restriction. Without the mark for what is asked, the state alone does not say
// what the client is to be told.
const (
	markItems     mapi.GlobalCounter = 1
	markDeletions mapi.GlobalCounter = 2
	markScope     mapi.GlobalCounter = 3
)

// contentsSync is one page of a download of a folder's contents.
type contentsSync struct {
	*view
	req    *exmdb.SyncContentsRequest
	resp   *exmdb.SyncContentsResponse
	match  mapi.Restriction // nil for all
	reader *reader
	counts *schema.FolderCounts
	reigns []reign
	// scope is the namespace of the marks.
	scope mapi.GUID
	// normal, associated and read are the stamps that the client has not seen, empty where they are not asked for; since is up
	// to where it has seen everything that is asked for.
	normal, associated, read mapi.GLOBSET
	since                    mapi.Stamp
	// sure: what the client has seen says what it is to be told.
	sure bool

	// looked counts what was looked at, size is about how long the page is.
	looked, size  int
	gone, outside []mapi.GID
	on, off       []mapi.GID
	present       []mapi.GID
	bags          []*mapi.PropBag
}

// allSyncFlags are the bits that a client may name.
const allSyncFlags = exmdb.SyncStateOnly<<1 - 1

// maxSyncTags bounds the properties asked for.
const maxSyncTags = 4096

func (v *view) newContentsSync(req *exmdb.SyncContentsRequest) (*contentsSync, error) {
	if req.Scope.Flags&^allSyncFlags != 0 || len(req.Scope.Tags) > maxSyncTags || req.Cursor.Phase >= exmdb.SyncEnd {
		return nil, cluster.Errorf(cluster.KindBadRequest, "synchronisation flags %#x, %d properties, phase %d", req.Scope.Flags, len(req.Scope.Tags), req.Cursor.Phase)
	}
	s := &contentsSync{view: v, req: req, resp: &exmdb.SyncContentsResponse{Sequence: v.r.Sequence(), Next: req.Cursor}}
	var err error
	if s.match, err = query.Filter(req.Scope.Restriction); err != nil {
		return nil, err
	}
	if s.counts, err = v.folderCounts(req.Folder); err != nil {
		return nil, err
	}
	if s.reader, err = v.reader(req.Folder); err != nil {
		return nil, err
	}
	now := v.counters.Stamp
	if at := &s.resp.Next; at.Phase == exmdb.SyncBegin {
		*at = exmdb.SyncCursor{Stamp: now}
	} else if at.Stamp > now || at.Stamp < v.header.EpochStart {
		// Another state than the one the download began with: after a restore it is to begin anew.
		return nil, cluster.Errorf(exmdb.KindStaleToken, "a download at stamp %d, the mailbox is at %d", at.Stamp, now)
	}
	if s.reigns, err = v.reigns(s.resp.Next.Stamp); err != nil {
		return nil, err
	}
	s.scope = s.scopeMark()
	s.takeState()
	return s, nil
}

// scopeMark names what the caller synchronises: the restriction, and whether he sees all or his own.
func (s *contentsSync) scopeMark() mapi.GUID {
	h := sha256.New()
	if s.confined[s.req.Folder] {
		h.Write(s.as.User[:])
	} else {
		h.Write(make([]byte, len(s.as.User)))
	}
	h.Write(s.req.Scope.Restriction)
	return mapi.GUID(h.Sum(nil)[:16])
}

func (s *contentsSync) asks(f exmdb.SyncFlags) bool { return s.req.Scope.Flags&f != 0 }

// marks are what has to be, and will be, entered in the client's sets.
func (s *contentsSync) marks() (needed []mapi.GlobalCounter) {
	needed = append(needed, markItems)
	if s.asks(exmdb.SyncNoDeletions) {
		return needed
	}
	needed = append(needed, markDeletions)
	if s.match != nil && !s.asks(exmdb.SyncKeepOutOfScope) {
		needed = append(needed, markScope)
	}
	return needed
}

// takeState makes of the client's sets what it has not seen.
func (s *contentsSync) takeState() {
	all := mapi.GLOBSET{}
	all.AddRange(1, max(mapi.GlobalCounter(s.resp.Next.Stamp), 1))
	s.since, s.sure = s.resp.Next.Stamp, true
	seenNothing, anyLost := true, false
	for _, each := range []struct {
		flag   exmdb.SyncFlags
		seen   mapi.IDSET
		unseen *mapi.GLOBSET
	}{{exmdb.SyncNormal, s.req.Seen, &s.normal}, {exmdb.SyncAssociated, s.req.SeenFAI, &s.associated}} {
		if !s.asks(each.flag) {
			continue
		}
		stamps, lost := stampsIn(s.reigns, each.seen)
		anyLost = anyLost || lost
		*each.unseen = all.Minus(stamps)
		s.since = min(s.since, prefix(stamps))
		seenNothing = seenNothing && stamps.IsEmpty()
		for _, mark := range s.marks() {
			s.sure = s.sure && each.seen.Contains(mapi.GID{Replica: s.scope, Counter: mark})
		}
	}
	if s.asks(exmdb.SyncReadState) {
		stamps, lost := stampsIn(s.reigns, s.req.Read)
		s.read = all.Minus(stamps)
		if anyLost = anyLost || lost; anyLost {
			s.read = all
		}
	}
	if anyLost {
		s.normal, s.associated = s.onlyIf(exmdb.SyncNormal, all), s.onlyIf(exmdb.SyncAssociated, all)
	}
	s.sure = s.sure && !anyLost && s.since >= s.counters.Floor && s.since >= s.header.EpochStart
	s.sure = s.sure || seenNothing && !s.req.Holds
}

func (s *contentsSync) onlyIf(f exmdb.SyncFlags, set mapi.GLOBSET) mapi.GLOBSET {
	if s.asks(f) {
		return set
	}
	return mapi.GLOBSET{}
}

// finalSets are the client's sets after the last page.
func (s *contentsSync) finalSets() {
	seen := allOf(s.reigns)
	s.resp.Read = seen.Clone()
	for _, mark := range s.marks() {
		seen.AddRange(s.scope, mark, mark)
	}
	s.resp.Seen, s.resp.SeenFAI = seen, seen
}
