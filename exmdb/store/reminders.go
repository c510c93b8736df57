package store

import (
	"bytes"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Reminders are properties of messages; when one is due, put off or dismissed is the client's matter (MS-OXORMDR 3.1.4). The
// store keeps the order in which they are due, by object, so that a move does not touch it.

// reminderIn is when the message with a bag wants a reminder, zero where it wants none. Named properties have other ids in
// each mailbox; a bag without any costs no look-up.
func (v *view) reminderIn(bag *mapi.PropBag) (mapi.FileTime, error) {
	all := bag.All()
	if len(all) == 0 || !all[len(all)-1].Tag.Named() {
		return 0, nil
	}
	set, err := v.named(bag, mapi.PidLidReminderSet)
	if wanted, _ := set.(mapi.Boolean); err != nil || !bool(wanted) {
		return 0, err
	}
	for _, name := range []mapi.NamedProperty{mapi.PidLidReminderSignalTime, mapi.PidLidReminderTime} {
		at, err := v.named(bag, name)
		if t, ok := at.(mapi.FileTime); err != nil || ok && t > 0 {
			return t, err
		}
	}
	return 0, nil
}

// named is a named property of a bag, nil where it has none.
func (v *view) named(bag *mapi.PropBag, name mapi.NamedProperty) (mapi.Value, error) {
	id, err := v.propertyID(name.PropertyName)
	if err != nil || id == 0 {
		return nil, err
	}
	return bag.Get(name.Tag(id)), nil
}

// noteReminder has the index follow a message whose bag was old and becomes another.
func (t *tx) noteReminder(row *schema.Row, old, bag *mapi.PropBag) error {
	if row.Bits&schema.RowAssociated != 0 {
		return nil
	}
	if row.Bits&schema.RowReminder != 0 && old != nil {
		was, err := t.reminderIn(old)
		if err != nil {
			return err
		}
		t.w.Delete(schema.ReminderKey(was, row.Object))
		row.Bits &^= schema.RowReminder
	}
	at, err := t.reminderIn(bag)
	if err == nil && at != 0 {
		row.Bits |= schema.RowReminder
		t.w.Set(schema.ReminderKey(at, row.Object), nil)
	}
	return err
}

// dropReminder takes a message that is destroyed out of the index.
func (t *tx) dropReminder(row *schema.Row) error {
	at, err := t.reminderOf(row)
	if err == nil && at != 0 {
		t.w.Delete(schema.ReminderKey(at, row.Object))
	}
	return err
}

// copyReminder enters the copy of a message as the message is.
func (t *tx) copyReminder(from *schema.Row, to mapi.ObjectNumber) error {
	at, err := t.reminderOf(from)
	if err == nil && at != 0 {
		t.w.Set(schema.ReminderKey(at, to), nil)
	}
	return err
}

// reminderOf is when a stored message wants a reminder, zero where it wants none.
func (v *view) reminderOf(row *schema.Row) (mapi.FileTime, error) {
	if row.Bits&schema.RowReminder == 0 {
		return 0, nil
	}
	bag, err := v.listed(row.Object)
	if err != nil {
		return 0, err
	}
	return v.reminderIn(bag)
}

// silent are the folders in which nothing reminds (MS-OXOSFLD 3.1.4.1.1), and what is in the others only as long as they are
// in the tree that users see.
var silent = map[mapi.FID]bool{schema.DeletedItems: true, schema.Junk: true, schema.Drafts: true, mapi.LocalFID(0x0C): true,
	mapi.LocalFID(0x19): true, mapi.LocalFID(0x1A): true, mapi.LocalFID(0x1B): true, mapi.LocalFID(0x1C): true}

// reminds reports whether what is in a folder may remind.
func (v *view) reminds(fid mapi.FID) (bool, error) {
	if silent[fid] {
		return false, nil
	}
	path, err := v.path(fid)
	return slices.Contains(path, schema.IPMSubtree), err
}

// maxRemindersSeen bounds how many entries of the index one request looks at: those of deleted messages are passed over.
const maxRemindersSeen = 20 * exmdb.MaxReminders

// reminders is OpReminders.
func reminders(v *view, req *exmdb.RemindersRequest) (resp *exmdb.RemindersResponse, err error) {
	limit := int(req.Limit)
	if limit == 0 || limit > exmdb.MaxReminders {
		limit = exmdb.MaxReminders
	}
	from := schema.ReminderKey(0, 0)
	if len(req.After) > 0 {
		if _, _, err := schema.ParseReminderKey(req.After); err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "reminders from %x on", req.After)
		}
		from = append(bytes.Clone(req.After), 0)
	}
	w := reminderWalk{view: v, folders: make(map[mapi.FID]bool), resp: &exmdb.RemindersResponse{Sequence: v.r.Sequence()}}
	it := v.r.Iter(from, []byte{schema.PrefixReminder + 1})
	for seen := 0; err == nil && it.Next(); seen++ {
		at, o, perr := schema.ParseReminderKey(it.Key())
		if perr != nil {
			err = perr
			break
		}
		late := !req.Until.IsZero() && at > mapi.FileTimeOf(req.Until)
		if late || len(w.resp.Reminders) == limit || seen == maxRemindersSeen {
			w.resp.Next, w.resp.After = at.Time(), w.last
			break
		}
		err = w.add(at, o)
		w.last = bytes.Clone(it.Key())
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return w.resp, err
}

// reminderWalk is a walk over the index.
type reminderWalk struct {
	*view
	folders map[mapi.FID]bool // those that may remind, as far as they were asked
	resp    *exmdb.RemindersResponse
	last    []byte
}

// add answers with one entry, unless its message is not to be seen.
func (w *reminderWalk) add(at mapi.FileTime, o mapi.ObjectNumber) error {
	counter, err := w.r.Get(schema.ObjectKey(o))
	if err != nil || counter == nil {
		return err
	}
	c, err := schema.ParseCounter(counter)
	if err != nil {
		return err
	}
	fid, m, err := w.find(mapi.NewMID(mapi.LocalReplica, c))
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoMessage { // it is soft-deleted
			err = nil
		}
		return err
	}
	shown, asked := w.folders[fid]
	if !asked {
		if shown, err = w.reminds(fid); err != nil {
			return err
		}
		w.folders[fid] = shown
	}
	if shown && !w.whole {
		if shown, err = w.mayOn(fid, m, toRead); err != nil {
			return err
		}
	}
	if shown {
		w.resp.Reminders = append(w.resp.Reminders, exmdb.Reminder{Due: at.Time(), Folder: fid, MID: m.row.MID, Object: o, CN: m.row.CN})
	}
	return nil
}
