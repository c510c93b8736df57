package store

import (
	"encoding/binary"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

const day = 24 * time.Hour

// keptDays is how many days of delivery keys are kept beside today: the window of 72 hours (MAILBOX 7).
const keptDays = 3

func dayOf(t time.Time) uint32 { return uint32(t.Unix() / int64(day/time.Second)) }

// deliver stores a mail in the Inbox unless its key is known (MAILBOX 7).
func deliver(t *tx, q *exmdb.DeliverRequest) (*exmdb.DeliverResponse, error) {
	known := q.Key != [32]byte{}
	today := dayOf(t.w.Now())
	if known {
		if first, err := t.delivered(q.Key, today); err != nil || first != nil {
			return first, err
		}
	}
	resp, err := t.add(schema.Inbox, &q.Message, &schema.Row{Received: mapi.FileTimeOf(q.Received)}, nil)
	if err != nil || !known {
		return resp, err
	}
	t.w.Set(schema.DeliveryKey(today, q.Key), wire.Marshal(&schema.Delivery{Time: t.w.Now(), Folder: resp.Folder.Counter(),
		UIDValidity: resp.UIDValidity, UID: resp.UID, MID: resp.MID.Counter(), Object: resp.Object, ModSeq: resp.ModSeq}))
	t.forgetDeliveries(today)
	return resp, nil
}

// delivered looks a key up in the days of the window.
func (t *tx) delivered(key [32]byte, today uint32) (*exmdb.DeliverResponse, error) {
	for d := today; d+keptDays >= today && d >= t.counters.DeliveryDay; d-- {
		var first schema.Delivery
		ok, err := get(t.r, schema.DeliveryKey(d, key), &first)
		if err != nil {
			return nil, err
		}
		if ok && t.w.Now().Sub(first.Time) < keptDays*day {
			return &exmdb.DeliverResponse{Folder: mapi.LocalFID(first.Folder), UIDValidity: first.UIDValidity, UID: first.UID,
				MID: mapi.NewMID(mapi.LocalReplica, first.MID), Object: first.Object, ModSeq: first.ModSeq, Duplicate: true}, nil
		}
	}
	return nil, nil
}

func (t *tx) forgetDeliveries(today uint32) {
	switch oldest := today - keptDays; {
	case t.counters.DeliveryDay == 0:
		t.counters.DeliveryDay = oldest
	case t.counters.DeliveryDay < oldest:
		t.w.DeleteRange(schema.DeliveryDayKey(t.counters.DeliveryDay), schema.DeliveryDayKey(oldest))
		t.counters.DeliveryDay = oldest
	}
}

func appendMessage(t *tx, q *exmdb.AppendRequest) (*exmdb.DeliverResponse, error) {
	if q.Received.IsZero() {
		q.Received = t.w.Now()
	}
	row := &schema.Row{Received: mapi.FileTimeOf(q.Received), Bits: schema.RowBits(q.Flags.Bits) & schema.RowFlagMask}
	if row.Bits.Flags()&exmdb.FlagDraft != 0 {
		row.Bits |= schema.RowBorn
	}
	return t.add(q.Folder, &q.Message, row, q.Flags.Keywords)
}

// add stores a message in a folder under a new object, MID and UID.
func (t *tx) add(f mapi.FID, m *exmdb.NewMessage, row *schema.Row, names []string) (*exmdb.DeliverResponse, error) {
	counts, err := t.countsOf(f)
	if err != nil {
		return nil, err
	}
	inline, err := content.Check(m, exmdb.MaxMessage)
	if err != nil {
		return nil, err
	}
	row.Size, row.Prefix, row.Props = m.Recipe.Size(), uint32(len(m.Recipe.Prefix)), uint32(len(m.Props))
	if err := t.admit(row.MessageSize()); err != nil {
		return nil, err
	}
	if row.Keywords, err = t.keywordIDs(names); err != nil {
		return nil, err
	}
	t.counters.Object++
	row.Object = t.counters.Object
	hashes := content.Hashes(&m.Recipe)
	if len(hashes) > 0 {
		row.Bits |= schema.RowContent
	}
	if err := content.Hold(t.w, hashes, inline); err != nil {
		return nil, err
	}
	t.w.Set(schema.RecipeKey(row.Object), wire.Marshal(&m.Recipe))
	if len(m.Digest) > 0 {
		t.w.Set(schema.DigestKey(row.Object), m.Digest)
	}
	if len(m.Props) > 0 {
		t.w.Set(schema.BagKey(row.Object), m.Props)
	}
	uid := t.place(f, counts, row)
	return &exmdb.DeliverResponse{Folder: f, UIDValidity: counts.UIDValidity, UID: uid, MID: row.MID, Object: row.Object, ModSeq: row.ModSeq}, nil
}

// place gives a row its MID, UID and stamps in a folder and counts it.
func (t *tx) place(f mapi.FID, counts *schema.FolderCounts, row *schema.Row) mapi.UID {
	row.MID = mapi.NewMID(mapi.LocalReplica, t.draw(1))
	s := t.stamp()
	row.CN, row.ModSeq, row.ReadCN = s, s, 0
	row.ChangeKey, row.PCL = nil, nil
	row.Saved = t.w.Now().Unix()
	uid := counts.UIDNext
	counts.UIDNext++
	counts.ContentSeq = s
	t.w.Set(schema.RowKey(f, uint64(uid)), row.AppendWire(nil))
	t.w.Set(schema.MIDKey(row.MID), wire.Marshal(&schema.Place{Folder: f.Counter(), UID: uid}))
	t.w.Set(schema.ObjectKey(row.Object), schema.AppendCounter(row.MID.Counter()))
	t.w.Set(schema.ChangeKey(f, s), wire.Marshal(&schema.Change{Kinds: schema.ChangeContent | schema.ChangeStatus, UID: uid}))
	t.count(counts, row, 1)
	return uid
}

// count adds a row to the counts of its folder and mailbox, or with -1 takes it out.
func (t *tx) count(c *schema.FolderCounts, row *schema.Row, by int) {
	n, size, used := uint32(by), uint64(by)*row.Size, uint64(by)*row.MessageSize()
	c.Messages += n
	if row.Bits.Flags()&exmdb.FlagSeen == 0 {
		c.Unseen += n
	}
	if row.Bits.Flags()&exmdb.FlagDeleted != 0 {
		c.Deleted += n
	}
	c.Octets += size
	c.Used += used
	t.counters.Messages += uint64(by)
	t.counters.Used += used
}

// unplace removes a row's keys; its object and body stay.
func (t *tx) unplace(f mapi.FID, uid mapi.UID, c *schema.FolderCounts, row *schema.Row) {
	t.w.Delete(schema.RowKey(f, uint64(uid)))
	t.w.Delete(schema.MIDKey(row.MID))
	for _, s := range []mapi.Stamp{row.CN, row.ReadCN, row.ModSeq} {
		if s != 0 {
			t.w.Delete(schema.ChangeKey(f, s))
		}
	}
	t.count(c, row, -1)
}

// dropObject removes what belongs to the object, and its body when no copy has it any more.
func (t *tx) dropObject(row *schema.Row) error {
	t.w.Delete(schema.ObjectKey(row.Object))
	if row.Props > 0 {
		t.w.Delete(schema.BagKey(row.Object))
	}
	body := row.BodyNumber()
	n, err := t.sharers(body)
	if err != nil {
		return err
	}
	if n > 1 {
		t.setSharers(body, n-1)
		return nil
	}
	if row.Bits&schema.RowContent != 0 {
		var recipe exmdb.Recipe
		if _, err := get(t.r, schema.RecipeKey(body), &recipe); err != nil {
			return err
		}
		if err := content.Release(t.w, content.Hashes(&recipe)); err != nil {
			return err
		}
	}
	t.w.Delete(schema.RecipeKey(body))
	t.w.Delete(schema.DigestKey(body))
	return nil
}

// sharers is how many messages have a body: one unless there is a record.
func (t *tx) sharers(body mapi.ObjectNumber) (uint64, error) {
	b, err := t.r.Get(schema.ShareKey(body))
	if err != nil || b == nil {
		return 1, err
	}
	n, size := binary.Uvarint(b)
	if size != len(b) || n < 2 {
		return 0, schema.ErrBadRecord
	}
	return n, nil
}

func (t *tx) setSharers(body mapi.ObjectNumber, n uint64) {
	if n < 2 {
		t.w.Delete(schema.ShareKey(body))
		return
	}
	t.w.Set(schema.ShareKey(body), binary.AppendUvarint(nil, n))
}

func readBytes(v *view, q *exmdb.ReadBytesRequest) (*exmdb.ReadBytesResponse, error) {
	row, err := v.row(q.Folder, q.UID)
	if err != nil {
		return nil, err
	}
	var recipe exmdb.Recipe
	if _, err := get(v.r, schema.RecipeKey(row.BodyNumber()), &recipe); err != nil {
		return nil, err
	}
	b, err := content.Read(v.r, &recipe, q.Offset, min(q.Length, exmdb.MaxReadBytes))
	return &exmdb.ReadBytesResponse{Data: b}, err
}
