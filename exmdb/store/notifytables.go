package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// tableEvents is OpTableEvents: what OpTableChanges says, in the terms of a client who shows the rows. It does not know
// which rows he had. Where a row that is shown now may not have been, he is told that it went and that it came.
func tableEvents(v *view, req *exmdb.TableEventsRequest) (*exmdb.TableEventsResponse, error) {
	a, state, err := v.table(&req.Table)
	if a == nil {
		return &exmdb.TableEventsResponse{State: state}, err
	}
	spec := &req.Table.Spec
	if folders, is := a.Source.(*folderSource); is && folders.deleted == nil {
		a.Source = &folderFeed{folderSource: folders}
	}
	changes, err := a.Changes(&exmdb.TableChangesRequest{Table: req.Table, Since: req.Since})
	if err != nil {
		return nil, err
	}
	resp := &exmdb.TableEventsResponse{State: changes.State, Reload: changes.Reload || v.forgotten(req.Since)}
	if spread(spec) && len(changes.Rows)+len(changes.Gone) > 0 { // it is not known how many rows an object had
		resp.Reload = true
	}
	if resp.Reload {
		return resp, nil
	}
	for _, id := range changes.Gone {
		if others, err := v.others(spec, id); err != nil || others {
			if err != nil {
				return nil, err
			}
			continue
		}
		resp.Events = append(resp.Events, deletedRow(id))
	}
	_, search := a.Source.(*searchFeed)
	sure := len(spec.Restriction) == 0 && !search && (v.whole || spec.Kind != exmdb.TableHierarchy)
	for i := range changes.Rows {
		c := &changes.Rows[i]
		e := exmdb.TableEvent{Kind: exmdb.TableRowModified, Row: c.Row, Index: c.Index, First: c.First, Behind: c.Behind}
		known := sure
		if known && !c.New && spec.Kind != exmdb.TableHierarchy {
			if known, err = v.ownMID(mapi.MID(c.Row.ID.ID)); err != nil {
				return nil, err
			}
		}
		if c.New || !known {
			e.Kind = exmdb.TableRowAdded
		}
		if !c.New && !known {
			resp.Events = append(resp.Events, deletedRow(c.Row.ID.ID))
		}
		resp.Events = append(resp.Events, e)
	}
	return resp, nil
}

// ownMID reports whether the MID of a message says when it came.
func (v *view) ownMID(mid mapi.MID) (bool, error) {
	_, m, err := v.find(mid)
	return err == nil && m.row.Bits&schema.RowGrantedMID == 0, err
}

// others reports whether an object of a table that has no row is a message there that the caller may not see.
func (v *view) others(s *exmdb.TableSpec, id uint64) (bool, error) {
	if !v.confined[s.Object.Folder] {
		return false, nil
	}
	fid, m, err := v.findRow(id)
	if err != nil || m == nil {
		return false, err
	}
	return fid == s.Object.Folder && !v.mine(&m.row), nil
}

func deletedRow(id uint64) exmdb.TableEvent {
	return exmdb.TableEvent{Kind: exmdb.TableRowDeleted, Row: exmdb.TableRow{ID: exmdb.TableRowID{ID: id}}}
}

// spread reports whether an object may have several rows.
func spread(s *exmdb.TableSpec) bool {
	several := s.Spread != 0
	for _, o := range s.Sort.Orders {
		several = several || o.Tag.Type()&mapi.MultiInstance != 0
	}
	return several
}

// folderFeed is the folders below one with what happened to them: unlike the source it stands for it is moved by counts of
// messages too, and is not for views that are kept.
type folderFeed struct{ *folderSource }

// Stamp implements query.Source.
func (s *folderFeed) Stamp() mapi.Stamp { return s.counters.Stamp }

// feedEvents is how many events a hierarchy table is told from; with more it is read again.
const feedEvents = 1000

// Since implements query.Source.
func (s *folderFeed) Since(after mapi.Stamp, fn func(query.Touched) (bool, error)) error {
	if s.forgotten(after) {
		return query.ErrForgotten
	}
	if err := s.load(); err != nil {
		return err
	}
	w, err := s.newEventWalk(&exmdb.EventsRequest{Since: after, Limit: feedEvents})
	if err != nil {
		return err
	}
	w.foldersOnly = true
	if err := w.all(); err != nil {
		return err
	}
	if w.page.cut {
		return query.ErrForgotten
	}
	told, err := w.told()
	if err != nil {
		return err
	}
	told = slices.DeleteFunc(told, func(e exmdb.Event) bool { return e.Kind == exmdb.EventSearchComplete }) // no row shows it
	return s.touch(told, fn)
}

// touch tells of the rows that events are about. A folder that takes others along with it in the order of all levels is
// too much to tell.
func (s *folderFeed) touch(told []exmdb.Event, fn func(query.Touched) (bool, error)) error {
	fresh := make(map[mapi.FID]bool)
	for i := range told {
		e := &told[i]
		if takes, err := s.takesAlong(e); err != nil || takes {
			return orElse(err, query.ErrForgotten)
		}
		if e.Kind == exmdb.EventModified {
			continue
		}
		switch came, known := fresh[e.Folder]; {
		case !known:
			fresh[e.Folder] = s.cameIn(e)
		case e.Whole && !came:
			return query.ErrForgotten // it went and came, and may have come and gone before
		}
	}
	for i := range told {
		e := &told[i]
		for _, fid := range []mapi.FID{e.Folder, e.Parent, e.OldParent} {
			if fid == 0 || fid != e.Folder && e.Kind == exmdb.EventModified {
				continue
			}
			if more, err := s.touchRow(fid, fresh[fid], e.Stamp, fn); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// takesAlong reports whether an event may move rows of other folders than those it names.
func (s *folderFeed) takesAlong(e *exmdb.Event) (bool, error) {
	switch {
	case !s.depth || e.Kind == exmdb.EventModified && len(e.Tags) > 0:
		return false, nil
	case e.Kind == exmdb.EventMoved:
		return true, nil
	case e.Kind != exmdb.EventModified:
		return false, nil
	}
	below, err := s.children(e.Folder)
	return len(below) > 0, err
}

// cameIn reports whether the first thing that happened to a folder brought it into the table.
func (s *folderFeed) cameIn(e *exmdb.Event) bool {
	return e.Kind == exmdb.EventCreated || e.Kind == exmdb.EventCopied || e.Kind == exmdb.EventMoved && e.OldParent != s.top
}

func (s *folderFeed) touchRow(fid mapi.FID, fresh bool, at mapi.Stamp, fn func(query.Touched) (bool, error)) (bool, error) {
	t := query.Touched{Stamp: at, ID: uint64(fid), New: fresh}
	row, err := s.Row(uint64(fid))
	if err != nil {
		return false, err
	}
	if row != nil {
		t.Row = row
	}
	return fn(t)
}
