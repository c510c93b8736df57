package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// find reads a message by its MID.
func (v *view) find(mid mapi.MID) (mapi.FID, *message, error) {
	return v.findWhere(mid, func(fid mapi.FID) error {
		_, err := v.folderCounts(fid)
		return err
	})
}

// findShelved is find in soft-deleted folders.
func (v *view) findShelved(mid mapi.MID) (mapi.FID, *message, error) {
	return v.findWhere(mid, func(fid mapi.FID) error {
		_, err := v.deletedFolder(fid)
		return err
	})
}

// findWhere reads a message of a folder that is there, which there says. Every way to a message asks for its folder first: those
// of deleted folders are there for a while longer.
func (v *view) findWhere(mid mapi.MID, there func(mapi.FID) error) (mapi.FID, *message, error) {
	var at schema.Place
	if mid.Replica() != mapi.LocalReplica {
		return 0, nil, noMessage(mid)
	}
	found, err := load(v.r, schema.MIDKey(mid), &at)
	if err != nil || !found || at.Deleted != 0 {
		return 0, nil, orElse(err, noMessage(mid))
	}
	m := &message{uid: at.UID}
	fid, key := mapi.LocalFID(at.Folder), schema.RowKey
	if at.Associated {
		key = schema.AssociatedKey
	}
	if err := there(fid); err != nil {
		if cluster.KindOf(err) == exmdb.KindNoFolder {
			err = noMessage(mid)
		}
		return 0, nil, err
	}
	found, err = load(v.r, key(fid, uint64(at.UID)), &m.row)
	if err == nil && !found {
		err = cluster.Errorf(cluster.KindDamaged, "message %#x is not in its place", uint64(mid))
	}
	return fid, m, err
}

func noMessage(mid mapi.MID) error {
	return cluster.Errorf(exmdb.KindNoMessage, "no message %#x", uint64(mid))
}

// orElse is the first of two errors.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// state is a message as its clients know it.
func (v *view) state(fid mapi.FID, m *message) (exmdb.MessageState, error) {
	row := &m.row
	own, err := v.reader(fid)
	if err != nil {
		return exmdb.MessageState{}, err
	}
	st := exmdb.MessageState{Folder: fid, MID: row.MID, Object: row.Object, Associated: row.Bits&schema.RowAssociated != 0, CN: row.CN,
		ReadCN: own.readCN(row), ModSeq: own.modseq(row), Size: row.MessageSize(), Received: row.Received.Time(),
		Rendered: row.Bits&(schema.RowRendered|schema.RowReheaded) == schema.RowRendered}
	if row.Bits&(schema.RowAssociated|schema.RowUnrendered) == 0 {
		st.UID = m.uid
	}
	st.Flags.Bits = own.flags(row)
	if st.Flags.Keywords, err = v.keywordNames(row.Keywords); err != nil {
		return st, err
	}
	if st.ChangeKey, err = v.changeKey(versionOf(row)); err != nil {
		return st, err
	}
	list, err := v.predecessors(versionOf(row))
	st.PCL = list.Append(nil)
	return st, err
}

// createMessage is OpCreateMessage (MS-OXCMSG 3.2.5.2, 3.2.5.3).
func createMessage(t *tx, req *exmdb.CreateMessageRequest) (*exmdb.SavedMessage, error) {
	d, err := t.newDraft(req.Folder, &req.Payload)
	if err != nil {
		return nil, err
	}
	kind := schema.RowBits(0)
	if req.Associated {
		kind = schema.RowAssociated
	}
	d.begin(kind)
	if err := d.grantedMID(req.MID); err != nil {
		return nil, err
	}
	if err := d.apply(&req.Message); err != nil {
		return nil, err
	}
	if err := d.arrive(); err != nil {
		return nil, err
	}
	return d.saved()
}

// begin makes the draft one of a new message: an associated one, if kind says so, else a draft as clients know it.
func (d *draft) begin(kind schema.RowBits) {
	d.fresh = true
	d.after.row = schema.Row{Object: d.object(), Received: mapi.FileTimeOf(d.now), Creator: d.creator(),
		Bits: kind | schema.RowBorn | schema.RowBits(exmdb.FlagSeen)}
	if kind&schema.RowAssociated == 0 {
		d.after.row.Bits |= schema.RowUnrendered | schema.RowBits(exmdb.FlagDraft)
	}
}

// grantedMID takes a MID that the client drew of a range of ours, if he did.
func (d *draft) grantedMID(mid mapi.MID) error {
	if mid == 0 {
		return nil
	}
	d.after.row.MID = mid
	d.after.row.Bits |= schema.RowGrantedMID
	return d.freeMID(mid)
}

// freeMID refuses a MID that was not granted, or that a message has.
func (t *tx) freeMID(mid mapi.MID) error {
	drawn, err := t.drawn(mid.Counter())
	if err != nil {
		return err
	}
	if mid.Replica() != mapi.LocalReplica || !drawn {
		return cluster.Errorf(cluster.KindBadRequest, "MID %#x was not granted", uint64(mid))
	}
	b, err := t.r.Get(schema.MIDKey(mid))
	if err == nil && b != nil {
		err = cluster.Errorf(cluster.KindBadRequest, "MID %#x is taken", uint64(mid))
	}
	return err
}

// arrive puts a new message in its place.
func (d *draft) arrive() error {
	row := &d.after.row
	if err := d.render(); err != nil {
		return err
	}
	if err := d.fits(0); err != nil {
		return err
	}
	d.enter(row)
	place := d.place
	if row.MID != 0 {
		place = d.placeAs
	}
	uid, err := place(d.fid, d.counts, row)
	d.after.uid = uid
	return err
}

// fits refuses a message that has grown, from what it was, beyond the limit of a message or the quota. A conflict is
// several messages, and is not lost for its size.
func (d *draft) fits(was uint64) error {
	row := &d.after.row
	if row.MessageSize() <= was {
		return nil
	}
	if uint64(row.Props) > d.config.MaxMessage && row.Bits&schema.RowInConflict == 0 {
		return cluster.Errorf(exmdb.KindTooBig, "message of %d bytes, %d at most", row.Props, d.config.MaxMessage)
	}
	return d.room(row.MessageSize() - was)
}

// saveMessage is OpSaveMessage.
func saveMessage(t *tx, req *exmdb.SaveMessageRequest) (*exmdb.SavedMessage, error) {
	d, err := t.reopen(req.Message, &req.Payload)
	if err != nil {
		return nil, err
	}
	if !req.Force {
		if err := unmoved(req.Base, d.before.row.CN); err != nil {
			return nil, err
		}
	}
	if err := d.apply(&req.Edit); err != nil {
		return nil, err
	}
	if err := d.commit(); err != nil {
		return nil, err
	}
	return d.saved()
}

// unmoved refuses a change of a version that has another upon it.
func unmoved(base, cn mapi.Stamp) error {
	if base != 0 && base != cn {
		return cluster.Errorf(exmdb.KindConflict, "the object is at %d, the change is of %d", cn, base)
	}
	return nil
}

// reopen begins an edit of a message that is there.
func (t *tx) reopen(mid mapi.MID, p *exmdb.Payload) (*draft, error) {
	fid, m, err := t.find(mid)
	if err != nil {
		return nil, err
	}
	d, err := t.newDraft(fid, p)
	if err != nil {
		return nil, err
	}
	d.before = *m
	d.after = *m
	d.after.row.Keywords = append([]uint16(nil), m.row.Keywords...)
	return d, nil
}

// commit writes the row of an edited message, with the stamps that have moved; a message that is as it was stays so.
func (d *draft) commit() error {
	before, after := &d.before.row, &d.after.row
	moved := flagKinds(before, after)
	if d.edited || rowEdited(before, after) {
		moved |= schema.ChangeContent
	}
	if moved == 0 && before.Bits == after.Bits {
		return nil
	}
	if err := d.fits(before.MessageSize()); err != nil {
		return err
	}
	if d.edited && d.after.associated() && !d.byMailbox {
		after.Strange = !d.whole
	}
	if d.shown || d.edited && before.Bits&schema.RowUnrendered != 0 {
		if err := d.reform(); err != nil {
			return err
		}
	}
	d.moveInTime(d.fid, &d.before, &d.after)
	leave(d.counts, before)
	enter(d.counts, after)
	d.leave(before)
	d.enter(after)
	d.restamp(d.fid, d.counts, &d.after, moved)
	if v := d.foreign; v != nil {
		after.ChangeKey, after.PCL, after.Modified = v.changeKey.Append(nil), v.pcl.Append(nil), v.modified
	}
	d.w.Set(d.after.key(d.fid), after.AppendWire(nil))
	return nil
}

// rowEdited reports whether something in the row has changed that MAPI sees as content, flags aside.
func rowEdited(before, after *schema.Row) bool {
	const marks = schema.RowFlagComplete | schema.RowInConflict | schema.RowSubmitted
	same := before.Verb == after.Verb && before.Icon == after.Icon && before.Received == after.Received &&
		before.Bits&marks == after.Bits&marks && len(before.Keywords) == len(after.Keywords)
	for i := 0; same && i < len(before.Keywords); i++ {
		same = before.Keywords[i] == after.Keywords[i]
	}
	return !same
}

func (d *draft) saved() (*exmdb.SavedMessage, error) {
	st, err := d.state(d.fid, &d.after)
	return &exmdb.SavedMessage{State: st, Problems: d.problems}, err
}
