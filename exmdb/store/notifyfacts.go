package store

import (
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Most of what notifications tell is in rows, change index and tombstones. What is not is where something came from, and
// where a folder was that is gone: that is recorded here, once for a step and never for a delivery.

// carriage is messages that an op brings from one folder into another.
type carriage struct {
	from, to mapi.FID
	old, new schema.Runs
	last     mapi.Stamp
}

// add is a message that was old and has its place now.
func (g *carriage) add(t *tx, old mapi.MID, row *schema.Row) {
	g.old = g.old.Add(uint64(old.Counter()))
	g.new = g.new.Add(uint64(row.MID.Counter()))
	g.last = row.CN
	if row.Bits&schema.RowGrantedMID != 0 { // it did not arrive by itself, as placeAs noted
		t.w.Delete(schema.OriginKey(g.to, row.CN))
	}
}

// carry moves a message on its way, and buries it where it was; moved ends the way of all.
func (t *tx) carry(g *carriage, gone *schema.Tombstone, m *message) error {
	source, err := t.edit(g.from)
	if err != nil {
		return err
	}
	target, err := t.edit(g.to)
	if err != nil {
		return err
	}
	was := m.row.MID
	bury(gone, m)
	t.take(g.from, source, m)
	if err := t.takeSeen(g.from, &m.row); err != nil {
		return err
	}
	if _, err := t.place(g.to, target, &m.row); err != nil {
		return err
	}
	g.add(t, was, &m.row)
	return nil
}

func (t *tx) noteOrigin(kind schema.OriginKind, s mapi.Stamp, g *carriage) {
	t.set(schema.OriginKey(g.to, s), &schema.Origin{Kind: kind, From: g.from.Counter(), Old: g.old, New: g.new})
}

// copied notes where copies came from, with the stamp of the last.
func (t *tx) copied(g *carriage) {
	if g.last != 0 {
		t.noteOrigin(schema.OriginCopied, g.last, g)
	}
}

// moved buries messages where they were and notes where they went, with one stamp that is the newest in both folders:
// so whoever has not seen the one has not seen the other.
func (t *tx) moved(c *schema.FolderCounts, gone schema.Tombstone, g *carriage) error {
	gone.Parts = []schema.TombstonePart{{Target: g.to.Counter()}}
	s, err := t.tombstone(g.from, c, gone)
	if err != nil || s == 0 {
		return err
	}
	target, err := t.edit(g.to)
	if err != nil {
		return err
	}
	t.advance(target, s)
	t.noteOrigin(schema.OriginMoved, s, g)
	return nil
}

// noteGranted notes the arrival of a message whose MID does not say when it came.
func (t *tx) noteGranted(fid mapi.FID, row *schema.Row) {
	if row.Bits&schema.RowGrantedMID == 0 {
		return
	}
	t.set(schema.OriginKey(fid, row.CN), &schema.Origin{Kind: schema.OriginArrived, New: schema.Runs{}.Add(uint64(row.MID.Counter()))})
}

func (t *tx) noteFolders(kind schema.OriginKind, s mapi.Stamp, traces ...schema.FolderTrace) {
	t.set(schema.OriginKey(schema.Hierarchy, s), &schema.FolderOrigin{Kind: kind, Folders: traces})
}

// leaves remembers where a folder is that is about to get another place.
func (t *tx) leaves(fid mapi.FID, from, to mapi.GlobalCounter) {
	if from == to {
		return
	}
	if t.relocated == nil {
		t.relocated = make(map[mapi.FID]mapi.GlobalCounter)
	}
	t.relocated[fid] = from
}

// noteMoved notes where a folder was that has another place, with the stamp that it got with it.
func (t *tx) noteMoved(fid mapi.FID, f *schema.Folder) {
	if from, moved := t.relocated[fid]; moved {
		t.noteFolders(schema.OriginMoved, f.CN, schema.FolderTrace{Folder: fid.Counter(), Parent: from, To: f.Parent})
		delete(t.relocated, fid)
	}
}

// noteArrived notes a folder that came with its last stamp, which its FID does not say: it was recovered, or a client gave
// it the FID. from is what it was soft-deleted below, zero where that is nothing to tell. The caller writes the folder.
func (t *tx) noteArrived(fid mapi.FID, f *schema.Folder, from mapi.GlobalCounter) {
	f.Recovered = f.CN
	t.noteFolders(schema.OriginArrived, f.CN, schema.FolderTrace{Folder: fid.Counter(), Parent: from})
}

// noteSearched notes that the search of a search folder begins. Whom it finds is settled with that (search-folders.md), so it is
// complete, with a stamp of its own: the folder changes with the next.
func (t *tx) noteSearched(fid mapi.FID) {
	t.noteFolders(schema.OriginSearched, t.stamp(), schema.FolderTrace{Folder: fid.Counter()})
}

// noteGone notes where folders are that are about to be deleted with a stamp, and who sees them. Some may never have been
// there: a client had made and deleted them before he brought them.
func (t *tx) noteGone(fids []mapi.FID, s mapi.Stamp) error {
	traces := make([]schema.FolderTrace, 0, len(fids))
	for _, fid := range fids {
		var f schema.Folder
		if found, err := load(t.r, schema.FolderKey(fid), &f); err != nil || !found {
			if err != nil {
				return err
			}
			continue
		}
		trace, err := t.lastTrace(fid, &f)
		if err != nil {
			return err
		}
		traces = append(traces, trace)
	}
	if len(traces) > 0 {
		t.noteFolders(schema.OriginGone, s, traces...)
	}
	return nil
}

// lastTrace is where a folder is that goes, and who has which rights in it.
func (t *tx) lastTrace(fid mapi.FID, f *schema.Folder) (schema.FolderTrace, error) {
	list, err := t.r.Get(schema.PermissionsKey(fid))
	return schema.FolderTrace{Folder: fid.Counter(), Parent: f.Parent, Permissions: list}, err
}

// dropOrigins forgets what is noted of a folder below a stamp, as its tombstones.
func (t *tx) dropOrigins(fid mapi.FID, below mapi.Stamp) {
	t.w.DeleteRange(schema.OriginKey(fid, 0), schema.OriginKey(fid, below))
}
