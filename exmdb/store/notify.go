package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Events are derived from what the mailbox keeps anyway, and each has one stamp at which it is told: what was created, the
// one after its number, whatever became of it since; what was modified, its last step in the change index; what was
// deleted, its part of a tombstone; what moved or was copied, the step that is noted of it (notifyfacts.go). So whoever
// reads from a stamp on is told of everything above it and of nothing twice, in pages of any size and from any owner.

const (
	// eventLimit is how many events an answer has if nobody says.
	eventLimit = 1000
	// eventsLooked is how many new messages are looked at for one answer, and leastLooked how many of each folder all the same,
	// so that every answer gets on.
	eventsLooked = 20_000
	leastLooked  = 256
)

// notifyHandlers are the ops on notifications.
func (s *Store) notifyHandlers() []Handler {
	return []Handler{
		read(s, exmdb.OpEvents, rightRead, events),
		read(s, exmdb.OpTableEvents, may(in("Table", toRead)), tableEvents),
	}
}

// EventsSince is OpEvents without the waiting.
func (s *Store) EventsSince(r space.Reader, as *exmdb.Identity, req *exmdb.EventsRequest) (*exmdb.EventsResponse, error) {
	v, err := s.open(r, as, rightRead)
	if err != nil {
		return nil, err
	}
	resp, err := events(v, req)
	if err != nil {
		return nil, opError(exmdb.OpEvents.OpInfo, err)
	}
	return resp, nil
}

// events is OpEvents.
func events(v *view, req *exmdb.EventsRequest) (*exmdb.EventsResponse, error) {
	w, err := v.newEventWalk(req)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.EventsResponse{Stamp: v.counters.Stamp, Sequence: v.r.Sequence()}
	switch {
	case v.forgotten(req.Since):
		resp.Overflow = true
		return resp, nil
	case req.Since == v.counters.Stamp:
		return resp, nil
	}
	if err := w.all(); err != nil {
		return nil, err
	}
	if w.page.cut {
		resp.Stamp, resp.More = w.page.bound, true
	}
	resp.Events, err = w.told()
	return resp, err
}

// forgotten reports whether it is not known what happened since a stamp: tombstones are gone, or the stamp was given in a
// past that has not been (MAILBOX 2).
func (v *view) forgotten(since mapi.Stamp) bool {
	return since < v.counters.Floor || since < v.header.EpochStart || since > v.counters.Stamp
}

// eventWalk gathers the events above a stamp.
type eventWalk struct {
	*view
	after mapi.Stamp
	// scope are the folders asked for, nil for all.
	scope map[mapi.FID]bool
	// foldersOnly leaves out messages.
	foldersOnly bool
	page        *eventPage
	folders     map[mapi.FID]*eventFolder
	// origins are those that were looked at, by key.
	origins map[string]*origins
	// looked is how many new messages were looked at.
	looked int
}

// eventFolder is a folder as the walk knows it.
type eventFolder struct {
	// there: it is, and the caller sees it. asked: it is one of those asked for.
	there, asked bool
	// reads: every message in it, else only the caller's own. recovers: he may see what is soft-deleted in it.
	reads, recovers bool
	// whole is the stamp with which it came back, if that is above the walk's: what was in it before is told with that.
	whole  mapi.Stamp
	counts schema.FolderCounts
	own    *reader
	// next is the first step noted from soughtFrom on, if it was sought; nil for none.
	sought     bool
	soughtFrom mapi.Stamp
	next       *origins
}

func (v *view) newEventWalk(req *exmdb.EventsRequest) (*eventWalk, error) {
	limit := eventLimit
	if req.Limit != 0 {
		limit = min(int(req.Limit), exmdb.MaxEvents)
	}
	w := &eventWalk{view: v, after: req.Since, page: newEventPage(limit), folders: make(map[mapi.FID]*eventFolder), origins: make(map[string]*origins)}
	if len(req.Folders) > exmdb.EventFolders {
		return nil, cluster.Errorf(cluster.KindBadRequest, "events of %d folders, of %d at most", len(req.Folders), exmdb.EventFolders)
	}
	for _, fid := range req.Folders {
		if fid.Replica() != mapi.LocalReplica {
			return nil, cluster.Errorf(cluster.KindBadRequest, "events of folder %#x of another mailbox", uint64(fid))
		}
		if w.scope == nil {
			w.scope = make(map[mapi.FID]bool, len(req.Folders))
		}
		w.scope[fid] = true
	}
	return w, nil
}

// asks reports whether any of some folders is asked for; zero is none.
func (w *eventWalk) asks(fids ...mapi.FID) bool {
	for _, fid := range fids {
		if fid != 0 && w.scope[fid] {
			return true
		}
	}
	return w.scope == nil
}

// at is what there is to know of a folder.
func (w *eventWalk) at(fid mapi.FID) (*eventFolder, error) {
	if f := w.folders[fid]; f != nil {
		return f, nil
	}
	f := &eventFolder{asked: w.asks(fid)}
	w.folders[fid] = f
	found, err := load(w.r, schema.FolderCountsKey(fid), &f.counts)
	if err != nil || !found {
		return f, err
	}
	rights, err := w.rightsIn(fid)
	if err != nil {
		return f, err
	}
	f.there, f.reads, f.recovers = rights&canSee != 0, rights&toRead.any != 0, rights&(toDelete.any|toDelete.own) != 0
	if !f.there {
		return f, nil
	}
	if f.own, err = w.reader(fid); err != nil {
		return f, err
	}
	folder, err := w.folder(fid)
	if err == nil && folder.Recovered > w.after {
		f.whole = folder.Recovered
	}
	return f, err
}

// tells reports whether the caller is told of a message.
func (w *eventWalk) tells(f *eventFolder, row *schema.Row) bool {
	return f.there && (f.reads || w.mine(row))
}

// all walks everything above the stamp.
func (w *eventWalk) all() error {
	if err := w.hierarchyEvents(); err != nil {
		return err
	}
	if !w.foldersOnly {
		if err := w.createdMessages(); err != nil {
			return err
		}
	}
	if w.scope == nil {
		return w.each([]byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1}, schema.ParseFolderKey, w.movedFolder)
	}
	for fid := range w.scope {
		if err := w.folderEvents(fid); err != nil {
			return err
		}
	}
	return nil
}

// movedFolder walks a folder of which the counts are given, if anything happened in it. Most folders it passes over at once.
func (w *eventWalk) movedFolder(fid mapi.FID, stored []byte) error {
	var c schema.FolderCounts
	if err := schema.Decode(stored, &c); err != nil {
		return err
	}
	if max(c.ContentSeq, c.Released) <= w.after && !w.perUserRead() {
		return nil
	}
	return w.folderEvents(fid)
}

// placed reads the message in a place.
func (w *eventWalk) placed(fid mapi.FID, at *schema.Place) (*message, error) {
	m := &message{uid: at.UID, row: schema.Row{Bits: associatedBit(at.Associated)}}
	found, err := load(w.r, m.key(fid), &m.row)
	if err == nil && !found {
		err = cluster.Errorf(cluster.KindDamaged, "message %d of folder %#x is not in its place", at.UID, uint64(fid))
	}
	return m, err
}

// associatedBit is the mark that says where a row is.
func associatedBit(associated bool) schema.RowBits {
	if associated {
		return schema.RowAssociated
	}
	return 0
}

// folderEvents walks what happened in a folder, if anything did.
func (w *eventWalk) folderEvents(fid mapi.FID) error {
	f, err := w.at(fid)
	if err != nil || !f.there {
		return err
	}
	if newest := max(f.counts.ContentSeq, f.own.newest()); newest > w.after {
		if err := orElse(w.contentEvents(fid, f), w.countsMoved(fid, f, newest)); err != nil {
			return err
		}
	}
	return w.setReleased(fid, f)
}

// contentEvents walks what happened to messages of a folder.
func (w *eventWalk) contentEvents(fid mapi.FID, f *eventFolder) error {
	walks := []func(mapi.FID, *eventFolder) error{w.arrivedMessages, w.modifiedMessages, w.readMessages, w.buriedMessages, w.carriedMessages}
	if w.foldersOnly {
		walks = nil
	}
	for _, walk := range walks {
		if err := walk(fid, f); err != nil {
			return err
		}
	}
	return nil
}

// walkStamps walks records whose keys end in a stamp, from one above the walk's stamp up to what the page takes.
func (w *eventWalk) walkStamps(key func(mapi.FID, mapi.Stamp) []byte, fid mapi.FID, fn func(s mapi.Stamp, stored []byte) error) (err error) {
	it := w.r.Iter(key(fid, w.after+1), key(fid+1, 0))
	defer closing(it, &err)
	for it.Next() {
		s, err := schema.ParseStampKey(it.Key())
		if err != nil {
			return err
		}
		if w.page.beyond(s) {
			return nil
		}
		if err := fn(s, it.Value()); err != nil {
			return err
		}
	}
	return nil
}

// modifiedMessages walks the change index of a folder. A message is told of with its last step, unless that is the one it
// came with.
func (w *eventWalk) modifiedMessages(fid mapi.FID, f *eventFolder) error {
	return w.walkStamps(schema.ChangeKey, fid, func(s mapi.Stamp, stored []byte) error {
		var step schema.Change
		if err := schema.Decode(stored, &step); err != nil {
			return err
		}
		m := &message{uid: step.UID, row: schema.Row{Bits: associatedBit(step.Associated)}}
		found, err := load(w.r, m.key(fid), &m.row)
		if err != nil || !found || m.row.ModSeq != s || s < f.whole || f.own.moved(&m.row) > s || !w.tells(f, &m.row) {
			return err
		}
		came, err := w.cameWith(fid, &m.row, s)
		if err != nil || came {
			return err
		}
		w.modified(fid, f, m, s)
		return nil
	})
}

// cameWith reports whether a message came into its folder with a step.
func (w *eventWalk) cameWith(fid mapi.FID, row *schema.Row, s mapi.Stamp) (bool, error) {
	if row.Bits&schema.RowGrantedMID == 0 {
		return s == row.CameAt(), nil
	}
	from, err := w.originOf(fid, row.MID, s)
	return from != nil, err
}

func (w *eventWalk) modified(fid mapi.FID, f *eventFolder, m *message, s mapi.Stamp) {
	e := &event{Event: exmdb.Event{Kind: exmdb.EventModified, Folder: fid, Message: m.row.MID, Associated: m.associated()}}
	switch {
	case m.row.CN > w.after && m.row.CN != m.row.CameAt(): // it is not known what of its content
	case f.own.readCN(&m.row) > w.after:
		e.Tags = []mapi.Tag{mapi.PidTagMessageFlags, mapi.PidTagMessageStatus}
	default:
		e.Tags = []mapi.Tag{mapi.PidTagMessageStatus}
	}
	w.page.add(s, e)
}

// readMessages walks what the caller has read, where that is his own.
func (w *eventWalk) readMessages(fid mapi.FID, f *eventFolder) error {
	if f.own.newest() <= w.after {
		return nil
	}
	list, err := w.ownChanges(fid, f.own, w.after)
	for i := range list {
		m := &message{uid: list[i].uid, row: list[i].row}
		s := f.own.moved(&m.row)
		if s >= max(m.row.ModSeq, f.whole) && s != m.row.CameAt() && w.tells(f, &m.row) && !w.page.beyond(s) {
			w.modified(fid, f, m, s)
		}
	}
	return err
}

// countsMoved is that there are other messages in a folder, or other ones unread, unless that is told with the folder.
func (w *eventWalk) countsMoved(fid mapi.FID, f *eventFolder, newest mapi.Stamp) error {
	with, err := w.r.Get(schema.ChangeKey(schema.Hierarchy, newest))
	if err != nil || with != nil {
		return err
	}
	return w.countsAt(newest, fid, f, mapi.PidTagContentCount, mapi.PidTagContentUnreadCount)
}

// setReleased is that something has left the soft-deleted set of a folder: recovered, purged, or too old. What came into it
// is told as deletions.
func (w *eventWalk) setReleased(fid mapi.FID, f *eventFolder) error {
	if !f.recovers || f.counts.Released <= w.after {
		return nil
	}
	return w.countsAt(f.counts.Released, fid, f, mapi.PidTagDeletedMessageCount)
}

// countsAt tells that counts of a folder have moved with a stamp.
func (w *eventWalk) countsAt(s mapi.Stamp, fid mapi.FID, f *eventFolder, counts ...mapi.Tag) error {
	if s < f.whole || w.page.beyond(s) {
		return nil
	}
	e := &event{Event: exmdb.Event{Kind: exmdb.EventModified, Folder: fid, Tags: counts}}
	folder, err := w.folder(fid)
	if err != nil {
		return err
	}
	if folder.Parent != 0 {
		e.Parent = mapi.LocalFID(folder.Parent)
	}
	e.count(f)
	w.page.add(s, e)
	return nil
}

// count says how many messages a folder has, where the caller may read them all. How many are unread for himself is not
// counted for each event.
func (e *event) count(f *eventFolder) {
	if !f.reads {
		return
	}
	e.Counts, e.Total = true, f.counts.Messages
	if f.own == nil {
		e.Unread, e.UnreadKnown = f.counts.Unseen, true
	}
}

// told are the events of the page, with what is read of those only that are in it.
func (w *eventWalk) told() ([]exmdb.Event, error) {
	list := w.page.sorted()
	out := make([]exmdb.Event, len(list))
	for i, e := range list {
		if m := e.m; m != nil {
			e.Associated = m.associated()
			if e.NewMail = e.Kind == exmdb.EventCreated && m.row.Bits&schema.RowDelivered != 0; e.NewMail {
				shown := w.show(e.Folder, m)
				class, _ := shown.value(mapi.PidTagMessageClass)
				flags, _ := shown.value(mapi.PidTagMessageFlags)
				if shown.err != nil {
					return nil, shown.err
				}
				name, _ := class.Value.(mapi.String)
				e.Class, e.Flags = string(name), uint32(asInt(flags.Value))
			}
		}
		out[i] = e.Event
	}
	return out, nil
}
