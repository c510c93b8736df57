package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

func deliver(t *tx, req *exmdb.DeliverRequest) (*exmdb.DeliverResponse, error) {
	if req.Source != (cluster.SpaceID{}) {
		done, err := space.Once(t.w, req.Source, req.Number)
		if err != nil || done {
			return &exmdb.DeliverResponse{Duplicate: done}, err
		}
	}
	first, err := t.delivered(req.Key)
	if err != nil || first != nil {
		return first, err
	}
	row := schema.Row{Bits: schema.RowDelivered, Received: mapi.FileTimeOf(orNow(req.Received, t.now))}
	in, err := t.receive(req, &row)
	if err != nil {
		return nil, err
	}
	resp, err := in.arrive(&row)
	if err != nil {
		return nil, err
	}
	t.remember(req.Key, resp)
	return resp, nil
}

func orNow(at, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	return at
}

func appendMessage(t *tx, req *exmdb.AppendRequest) (*exmdb.DeliverResponse, error) {
	row := schema.Row{Received: mapi.FileTimeOf(orNow(req.Received, t.now)), Creator: t.creator()}
	ids, err := t.internKeywords(req.Flags.Keywords)
	if err != nil {
		return nil, err
	}
	if req.Flags.Bits&exmdb.FlagDraft != 0 {
		row.Bits |= schema.RowBorn
	}
	m, err := t.arrival(&req.Message, &row)
	if err != nil {
		return nil, err
	}
	applyFlags(&row, wanted{exmdb.FlagsReplace, req.Flags.Bits, ids}) // whoever appends says which flags it has
	return t.store(req.Folder, m, &row)
}

// store checks a message and puts it into a folder with its properties and the flags and times of row.
func (t *tx) store(fid mapi.FID, m *arrival, row *schema.Row) (*exmdb.DeliverResponse, error) {
	c, err := t.edit(fid)
	if err != nil {
		return nil, err
	}
	inline, err := content.Check(m.NewMessage, t.config.MaxMessage)
	if err != nil {
		return nil, err
	}
	row.Size, row.Prefix = m.Recipe.Size(), uint32(len(m.Recipe.Prefix))
	row.Object = t.object()
	if err := t.storeView(m, row, inline); err != nil {
		return nil, err
	}
	if err := t.room(row.MessageSize()); err != nil {
		return nil, err
	}
	hasContent, err := t.putBody(row.Object, m.NewMessage, inline)
	if err != nil {
		return nil, err
	}
	if hasContent {
		row.Bits |= schema.RowContent
	}
	t.enter(row)
	uid, err := t.place(fid, c, row)
	if err != nil {
		return nil, err
	}
	return &exmdb.DeliverResponse{Folder: fid, UIDValidity: c.UIDValidity, UID: uid, MID: row.MID, Object: row.Object, ModSeq: row.ModSeq}, nil
}

// putBody writes the octets of a message as a body, and reports whether it holds content for it.
func (t *tx) putBody(body mapi.ObjectNumber, m *exmdb.NewMessage, inline map[space.Hash][]byte) (hasContent bool, err error) {
	if hashes := content.Hashes(&m.Recipe); len(hashes) > 0 {
		hasContent = true
		if err := content.Hold(t.w, hashes, inline); err != nil {
			return false, err
		}
	}
	t.set(schema.RecipeKey(body), &m.Recipe)
	if len(m.Digest) > 0 {
		t.w.Set(schema.DigestKey(body), m.Digest)
	}
	return hasContent, nil
}

// place puts a row that has an object into a folder: with a new UID, MID and stamp, and its counts.
func (t *tx) place(fid mapi.FID, c *schema.FolderCounts, row *schema.Row) (mapi.UID, error) {
	if row.MID != 0 { // it was somewhere before
		row.Bits &^= schema.RowDelivered
	}
	row.MID = t.drawMID(fid, c)
	row.Bits &^= schema.RowGrantedMID
	row.ChangeKey, row.PCL, row.Modified = nil, nil, 0
	return t.placeAs(fid, c, row)
}

// placeAs is place with the MID, and the changes of foreign clients, that the row has.
func (t *tx) placeAs(fid mapi.FID, c *schema.FolderCounts, row *schema.Row) (mapi.UID, error) {
	if c.Search && row.Bits&schema.RowAssociated == 0 {
		return 0, errSearchFolder(fid)
	}
	if err := t.adopt(row); err != nil {
		return 0, err
	}
	uid, err := nextUID(c, row)
	if err != nil {
		return 0, err
	}
	m := message{uid: uid}
	mark, err := t.keepSeen(fid, row)
	if err != nil {
		return 0, err
	}
	row.CN = t.stamp()
	row.ModSeq, row.ReadCN = row.CN, 0
	row.Saved = t.now.Unix()
	if row.Came = row.CN; row.Bits&schema.RowGrantedMID != 0 || row.CN == mapi.Stamp(row.MID.Counter())+1 {
		row.Came = 0
	}
	m.row = *row
	associated := row.Bits&schema.RowAssociated != 0
	t.w.Set(m.key(fid), row.AppendWire(nil))
	t.set(schema.MIDKey(row.MID), &schema.Place{Folder: fid.Counter(), UID: uid, Associated: associated})
	t.w.Set(schema.ObjectKey(row.Object), schema.AppendCounter(row.MID.Counter()))
	t.set(schema.ChangeKey(fid, row.CN), &schema.Change{Kinds: schema.ChangeContent | schema.ChangeStatus, UID: uid, Associated: associated})
	t.noteGranted(fid, row)
	t.putInTime(fid, &m)
	enter(c, row)
	t.advance(c, row.CN)
	return uid, mark()
}

// nextUID draws the UID of a message, or the number of an associated one.
func nextUID(c *schema.FolderCounts, row *schema.Row) (mapi.UID, error) {
	next := c.UIDNext
	if row.Bits&schema.RowAssociated != 0 {
		next = mapi.UID(c.AssociatedLast) + 1
	}
	if next == schema.EndOfUIDs-1 {
		return 0, cluster.Errorf(cluster.KindTooLarge, "folder has given out all UIDs")
	}
	if row.Bits&schema.RowAssociated != 0 {
		c.AssociatedLast++
		return next, nil
	}
	c.UIDNext++
	if planted.Is(planted.SameUID) && next%10 == 0 {
		return next - 1, nil
	}
	return next, nil
}

const dayLength = 24 * time.Hour

func dayOf(at time.Time) uint32 { return uint32(max(0, at.Unix()/int64(dayLength/time.Second))) }

// delivered is the first answer to a delivery that was made within the window, nil when there was none.
func (t *tx) delivered(key [32]byte) (*exmdb.DeliverResponse, error) {
	if key == [32]byte{} || t.config.DuplicateWindow <= 0 {
		return nil, nil
	}
	since := t.now.Add(-t.config.DuplicateWindow)
	for day := dayOf(t.now); day >= dayOf(since); day-- {
		var d schema.Delivery
		found, err := load(t.r, schema.DeliveryKey(day, key), &d)
		if err != nil {
			return nil, err
		}
		if found && d.Time.After(since) {
			return &exmdb.DeliverResponse{Folder: mapi.LocalFID(d.Folder), UIDValidity: d.UIDValidity, UID: d.UID,
				MID: mapi.NewMID(mapi.LocalReplica, d.MID), Object: d.Object, ModSeq: d.ModSeq, Duplicate: true}, nil
		}
		if day == 0 {
			break
		}
	}
	return nil, nil
}

// remember keeps the answer to a delivery, and forgets the days that have left the window, whole.
func (t *tx) remember(key [32]byte, r *exmdb.DeliverResponse) {
	if key == [32]byte{} || t.config.DuplicateWindow <= 0 {
		return
	}
	if oldest := dayOf(t.now.Add(-t.config.DuplicateWindow)); t.counters.DeliveryDay < oldest {
		t.w.DeleteRange(schema.DeliveryDayKey(t.counters.DeliveryDay), schema.DeliveryDayKey(oldest))
		t.counters.DeliveryDay = oldest
	}
	t.w.Set(schema.DeliveryKey(dayOf(t.now), key), wire.Marshal(&schema.Delivery{Time: t.now, Folder: r.Folder.Counter(),
		UIDValidity: r.UIDValidity, UID: r.UID, MID: r.MID.Counter(), Object: r.Object, ModSeq: r.ModSeq}))
}
