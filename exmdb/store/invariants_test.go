package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	mailflow "github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// ledger is what a mailbox should hold by its rows: every record, and how often each body and content is held.
type ledger struct {
	*view
	keys   map[string]bool
	bodies map[mapi.ObjectNumber]uint64
	held   map[space.Hash]uint64
	counts map[mapi.FID]*schema.FolderCounts
	total  schema.Counters
	// shelved are the soft-deleted folders: their rows are in their places, and nothing finds them.
	shelved map[mapi.FID]*schema.DeletedFolder
	// times are the places of messages in their folders' orders of delivery.
	times map[mapi.FID][]schema.TimePlace
	// ranged are the messages with MIDs of their folder's ranges.
	ranged map[mapi.FID][]schema.Row
	wrong  []string
}

func (l *ledger) wrongf(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *ledger) expect(key []byte) { l.keys[string(key)] = true }

func (l *ledger) hold(hashes []space.Hash) {
	for _, h := range hashes {
		l.held[h]++
	}
}

// audit reads all rows and compares with what is there.
func audit(v *view) ([]string, error) {
	l := &ledger{view: v, keys: map[string]bool{}, bodies: map[mapi.ObjectNumber]uint64{}, held: map[space.Hash]uint64{}, counts: map[mapi.FID]*schema.FolderCounts{}, shelved: map[mapi.FID]*schema.DeletedFolder{},
		times: map[mapi.FID][]schema.TimePlace{}, ranged: map[mapi.FID][]schema.Row{}}
	err := v.eachDeletedFolder(0, func(fid mapi.FID, d *schema.DeletedFolder) error {
		l.shelved[fid] = d
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, prefix := range []byte{schema.PrefixRow, schema.PrefixAssociated} {
		it := v.r.Iter([]byte{prefix}, []byte{prefix + 1})
		for it.Next() {
			if err := l.message(it.Key(), it.Value()); err != nil {
				return nil, err
			}
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
	if err := l.softDeleted(); err != nil {
		return nil, err
	}
	if err := l.outgoing(); err != nil {
		return nil, err
	}
	if err := l.sharedBodies(); err != nil {
		return nil, err
	}
	if err := l.records(); err != nil {
		return nil, err
	}
	if b, err := v.r.Get(schema.AutomationKey()); err != nil || v.counters.Plain == (b != nil) {
		l.wrong = append(l.wrong, fmt.Sprintf("the mailbox is plain: %v, with a record of %d bytes, %v", v.counters.Plain, len(b), err))
	}
	if err := l.folders(); err != nil {
		return nil, err
	}
	it := v.r.Iter(schema.MIDBlockKey(0), []byte{schema.PrefixMIDBlock + 1})
	for it.Next() {
		if _, known := l.keys[string(it.Key())]; !known {
			l.wrongf("nothing leads to block %x", it.Key())
		}
	}
	return l.wrong, it.Close()
}

// ranges looks at the blocks of a folder, and at the messages whose MIDs are of them.
func (l *ledger) ranges(fid mapi.FID, c *schema.FolderCounts) {
	blocks := map[mapi.GlobalCounter]schema.MIDBlock{}
	for first := blockOf(c.MIDLast); first != 0; {
		var b schema.MIDBlock
		found, err := load(l.r, schema.MIDBlockKey(first), &b)
		if err != nil || !found || mapi.LocalFID(b.Folder) != fid || b.Previous >= first || len(blocks) > 0 && first+schema.MIDBlockLength > c.MIDLast {
			l.wrongf("block %d of folder %#x: %v %+v, %v", first, uint64(fid), found, b, err)
			return
		}
		l.keys[string(schema.MIDBlockKey(first))] = false
		blocks[first], first = b, b.Previous
	}
	if c.MIDEnd < c.MIDLast || c.MIDEnd > l.counters.Global || c.MIDEnd-c.MIDLast > 2*maxRange {
		l.wrongf("folder %#x has drawn %d of a range up to %d, the counter is at %d", uint64(fid), c.MIDLast, c.MIDEnd, l.counters.Global)
	}
	rows := l.ranged[fid]
	slices.SortFunc(rows, func(a, b schema.Row) int { return cmp.Compare(a.MID, b.MID) })
	for i := range rows {
		n := rows[i].MID.Counter()
		b, found := blocks[blockOf(n)]
		if !found || n > c.MIDLast || rows[i].Came <= b.Since || rows[i].Came <= mapi.Stamp(n) || i > 0 && rows[i].Came <= rows[i-1].Came {
			l.wrongf("message %#x of folder %#x came at %d, block %v %+v, the last is %d", uint64(rows[i].MID), uint64(fid), rows[i].Came, found, b, c.MIDLast)
		}
	}
}

// message enters one row, and looks at what leads to it.
func (l *ledger) message(key, value []byte) error {
	fid, uid, err := schema.ParseRowKey(key)
	if err != nil {
		return err
	}
	m := &message{uid: uid}
	if err := m.row.UnmarshalWire(value); err != nil {
		return err
	}
	l.expect(key)
	if !bytes.Equal(m.key(fid), key) {
		l.wrongf("row %x says it is of the other kind", key)
	}
	at, found, err := l.find(m.row.MID)
	switch {
	case l.shelved[fid] != nil:
		if cluster.KindOf(err) != exmdb.KindNoMessage {
			l.wrongf("message %#x of a deleted folder is found: %v", m.row.MID, err)
		}
		l.total.Retained += m.row.MessageSize()
	case err != nil || at != fid || found.uid != uid:
		l.wrongf("message %#x of row %x: %v", m.row.MID, key, err)
	default:
		l.total.Used += m.row.MessageSize()
		if !m.associated() {
			l.total.Messages++
		}
	}
	if !m.associated() {
		l.expect(schema.TimeKey(fid, timePlace(m)))
		l.times[fid] = append(l.times[fid], timePlace(m))
	}
	if m.row.Came != 0 {
		l.ranged[fid] = append(l.ranged[fid], m.row)
	}
	enter(l.countsOf(fid), &m.row)
	for _, s := range stampsOf(&m.row) {
		if s != 0 {
			l.step(fid, m, s)
		}
	}
	return l.object(&m.row)
}

func (l *ledger) countsOf(fid mapi.FID) *schema.FolderCounts {
	if l.counts[fid] == nil {
		l.counts[fid] = &schema.FolderCounts{}
	}
	return l.counts[fid]
}

// object enters what belongs to a message's object, wherever its row is.
func (l *ledger) object(row *schema.Row) error {
	l.expect(schema.MIDKey(row.MID))
	l.expect(schema.ObjectKey(row.Object))
	for _, body := range row.Bodies() {
		l.bodies[body]++
	}
	return l.props(row)
}

// softDeleted enters the messages that were deleted and are kept, and what folders hold themselves.
func (l *ledger) softDeleted() error {
	of := func(fid mapi.FID, _ []byte) error {
		return l.deletedBetween(fid, schema.DeletedKey(fid, 0, 0), schema.DeletedKey(fid+1, 0, 0), l.deleted(fid))
	}
	for _, d := range l.shelved {
		if err := l.folderBag(&d.Folder); err != nil {
			return err
		}
	}
	if err := l.each([]byte{schema.PrefixDeletedFolder}, []byte{schema.PrefixDeletedFolder + 1}, schema.ParseFolderKey, of); err != nil {
		return err
	}
	return l.each([]byte{schema.PrefixFolder}, []byte{schema.PrefixFolder + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		f, err := l.folder(fid)
		if err != nil {
			return err
		}
		if err := l.folderBag(f); err != nil {
			return err
		}
		return of(fid, b)
	})
}

// folderBag enters what a folder's properties hold.
func (l *ledger) folderBag(f *schema.Folder) error {
	bag, err := folderBag(f)
	if err == nil {
		l.hold(content.BagHashes(bag))
	}
	return err
}

func (l *ledger) deleted(fid mapi.FID) func(*discarded) (bool, error) {
	return func(d *discarded) (bool, error) {
		at, again, err := l.findDeleted(d.row.MID)
		switch {
		case l.shelved[fid] != nil && cluster.KindOf(err) == exmdb.KindNoMessage:
		case err != nil || at != fid || again.deleted != d.deleted:
			l.wrongf("deleted message %#x: %v", d.row.MID, err)
		}
		c := l.countsOf(fid)
		c.Retained++
		c.RetainedUsed += d.row.MessageSize()
		l.total.Retained += d.row.MessageSize()
		l.expect(schema.DeletedKey(fid, d.deleted, d.row.MID))
		return true, l.object(&d.row)
	}
}

// step looks for a message's stamp in the change index.
func (l *ledger) step(fid mapi.FID, m *message, s mapi.Stamp) {
	var c schema.Change
	found, err := load(l.r, schema.ChangeKey(fid, s), &c)
	if err != nil || !found || c.UID != m.uid || c.Associated != m.associated() {
		l.wrongf("step %d of message %#x: %v %+v %v", s, m.row.MID, found, c, err)
	}
	l.expect(schema.ChangeKey(fid, s))
}

// props enters the records of a message and adds up their size.
func (l *ledger) props(row *schema.Row) error {
	size := uint64(0)
	bag, err := l.bag(row)
	if err != nil {
		return err
	}
	listed, texts := bag, new(mapi.PropBag)
	if row.Bits&schema.RowConverted != 0 {
		listed, texts = split(bag)
	}
	for _, r := range []struct {
		key []byte
		bag *mapi.PropBag
	}{{schema.BagKey(row.Object), listed}, {schema.TextsKey(row.Object), texts}} {
		if r.bag.Len() > 0 {
			l.expect(r.key)
			size += weight(r.bag.AppendWire(nil), r.bag.References())
			l.hold(content.BagHashes(r.bag))
		}
	}
	if waits, err := l.submitted(row); err != nil || waits != nil {
		if err != nil {
			return err
		}
		l.expect(schema.SubmittedKey(row.Object))
	}
	at, err := l.reminderIn(bag)
	if err != nil {
		return err
	}
	if reminds := at != 0 && row.Bits&schema.RowAssociated == 0; reminds {
		l.expect(schema.ReminderKey(at, row.Object))
	} else if row.Bits&schema.RowReminder != 0 {
		l.wrongf("object %d is marked as one that reminds", row.Object)
	}
	list, err := l.storedRecipients(row)
	if err != nil {
		return err
	}
	if row.Bits&schema.RowRecipients != 0 {
		l.expect(schema.RecipientsKey(row.Object))
		refs := references(each(list.Bags))
		stored, err := l.r.Get(schema.RecipientsKey(row.Object))
		if err != nil {
			return err
		}
		size += weight(stored, refs)
		l.hold(content.ReferenceHashes(refs))
	}
	attachments, err := l.attachments(row)
	if err != nil {
		return err
	}
	for i := range attachments {
		a := &attachments[i]
		l.expect(schema.AttachmentKey(row.Object, a.Number))
		size += weight(storedAttachment(a), references(inside(a)))
		l.hold(content.ReferenceHashes(references(inside(a))))
	}
	if size != uint64(row.Props) {
		l.wrongf("object %d has %d bytes of properties, the row says %d", row.Object, size, row.Props)
	}
	return nil
}

// outgoing enters the bodies that what goes out has a share in.
func (l *ledger) outgoing() (err error) {
	it := l.r.Iter([]byte{schema.PrefixOutgoing}, []byte{schema.PrefixOutgoing + 1})
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.Next() {
		var out schema.Outgoing
		if err := schema.Decode(it.Value(), &out); err != nil {
			return err
		}
		l.bodies[out.Body]++
	}
	return nil
}

func (l *ledger) sharedBodies() error {
	for body, n := range l.bodies {
		recipe, err := l.recipe(body)
		if err != nil {
			return err
		}
		l.expect(schema.RecipeKey(body))
		l.keys[string(schema.DigestKey(body))] = false // may be there
		l.hold(content.Hashes(recipe))
		shares, err := l.shares(body)
		if err != nil {
			return err
		}
		if max(shares, 1) != n {
			l.wrongf("body %d is of %d messages, its count says %d", body, n, shares)
		}
		if n > 1 {
			l.expect(schema.ShareKey(body))
		}
	}
	for h, n := range l.held {
		b, err := l.r.Get(schema.ContentKey(h))
		if err != nil {
			return err
		}
		if got, _ := binary.Uvarint(b); got != n {
			l.wrongf("content %x is held %d times, its count says %d", h[:4], n, got)
		}
		l.expect(schema.ContentKey(h))
		if _, err := l.r.Content(h); err != nil {
			l.wrongf("content %x: %v", h[:4], err)
		}
	}
	return nil
}

// records looks for records that nothing leads to, and for those that are not there.
func (l *ledger) records() error {
	for _, of := range [][2]byte{{schema.PrefixRow, schema.PrefixTexts}, {schema.PrefixAssociated, schema.PrefixAssociated}, {schema.PrefixChange, schema.PrefixChange},
		{schema.PrefixDeleted, schema.PrefixDeleted}, {schema.PrefixTime, schema.PrefixTime}, {schema.PrefixReminder, schema.PrefixSubmitted}} {
		it := l.r.Iter([]byte{of[0]}, []byte{of[1] + 1})
		for it.Next() {
			key := string(it.Key())
			if _, known := l.keys[key]; !known && !bytes.HasPrefix(it.Key(), schema.ChangeKey(schema.Hierarchy, 0)[:7]) {
				l.wrongf("nothing leads to %x", it.Key())
			}
			delete(l.keys, key)
		}
		if err := it.Close(); err != nil {
			return err
		}
	}
	for key, must := range l.keys {
		if must {
			l.wrongf("no record %x", key)
		}
	}
	return nil
}

func (l *ledger) folders() error {
	if l.total.Used != l.counters.Used || l.total.Messages != l.counters.Messages || l.total.Retained != l.counters.Retained {
		l.wrongf("mailbox counts %d bytes, %d messages and %d bytes deleted, there are %d, %d and %d", l.counters.Used, l.counters.Messages, l.counters.Retained,
			l.total.Used, l.total.Messages, l.total.Retained)
	}
	for fid, d := range l.shelved {
		l.compare(fid, &d.Counts)
	}
	return l.each([]byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		var c schema.FolderCounts
		err := schema.Decode(b, &c)
		l.compare(fid, &c)
		return err
	})
}

// compare looks at what a folder counts.
func (l *ledger) compare(fid mapi.FID, c *schema.FolderCounts) {
	want := l.countsOf(fid)
	got := schema.FolderCounts{Messages: c.Messages, Unseen: c.Unseen, Deleted: c.Deleted, Octets: c.Octets, Used: c.Used, Associated: c.Associated,
		AssociatedUsed: c.AssociatedUsed, Unrendered: c.Unrendered, UnrenderedUnseen: c.UnrenderedUnseen, UnrenderedDeleted: c.UnrenderedDeleted, Retained: c.Retained, RetainedUsed: c.RetainedUsed}
	if fmt.Sprint(got) != fmt.Sprint(*want) {
		l.wrongf("folder %#x counts %+v, there are %+v", uint64(fid), got, *want)
	}
	l.ranges(fid, c)
	slices.SortFunc(l.times[fid], schema.TimePlace.Compare)
	if _, err := checkOrder(l.r, fid, l.times[fid], c); err != nil {
		l.wrongf("folder %#x: %v", uint64(fid), err)
	}
}

func (b *box) audit(when string) {
	b.t.Helper()
	b.view(func(v *view) error {
		wrong, err := audit(v)
		for _, w := range wrong {
			b.t.Errorf("%s: %s", when, w)
		}
		return err
	})
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// chaos is a client that does anything.
type chaos struct {
	*box
	rng     *rand.Rand
	folders []mapi.FID
	mids    []mapi.MID
}

func (c *chaos) folderAt() mapi.FID { return c.folders[c.rng.IntN(len(c.folders))] }

// some is a few of the messages that were ever made, present or not.
func (c *chaos) some() []mapi.MID {
	var list []mapi.MID
	for range c.rng.IntN(4) {
		if len(c.mids) > 0 {
			list = append(list, c.mids[c.rng.IntN(len(c.mids))])
		}
	}
	return list
}

func (c *chaos) value() mapi.Value {
	return mapi.Binary(bytes.Repeat([]byte{byte(c.rng.IntN(3))}, []int{0, 10, 9000, 20_000}[c.rng.IntN(4)]))
}

func (c *chaos) edit(depth int) exmdb.MessageEdit {
	e := exmdb.MessageEdit{Clear: c.rng.IntN(5) == 0, Set: bagOf(mapi.PidTagHtml, c.value(), mapi.PidTagMessageFlags, mapi.Integer32(c.rng.IntN(16)))}
	if c.rng.IntN(2) == 0 {
		e.Set = bagOf(mapi.PidTagReplyRequested, mapi.Boolean(true), mapi.PidTagRoamingDictionary, c.value(), mapi.PidTagFlagStatus, mapi.Integer32(c.rng.IntN(3)))
	}
	if c.rng.IntN(3) == 0 {
		c.reminder(&e.Set)
	}
	if c.rng.IntN(3) == 0 {
		e.ReplaceRecipients = true
		for i := range c.rng.IntN(3) {
			r := recipient(int32(i+1), "anna")
			r.Set(mapi.PidTagRoamingDictionary, c.value())
			e.Recipients = append(e.Recipients, r)
		}
	}
	for range c.rng.IntN(3) {
		a := exmdb.AttachmentEdit{Number: uint32(c.rng.IntN(3)), Remove: c.rng.IntN(3) == 0, Set: bagOf(mapi.PidTagAttachDataBinary, c.value())}
		if depth > 0 && c.rng.IntN(2) == 0 {
			inner := c.edit(depth - 1)
			a.Embedded = &inner
		}
		e.Attachments = append(e.Attachments, a)
	}
	return e
}

// reminder asks for one, puts it off or wants none any more.
func (c *chaos) reminder(set *mapi.PropBag) {
	ids := call(c.box, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{mapi.PidLidReminderSet.PropertyName,
		mapi.PidLidReminderSignalTime.PropertyName}}).IDs
	set.Set(mapi.PidLidReminderSet.Tag(ids[0]), mapi.Boolean(c.rng.IntN(3) > 0))
	set.Set(mapi.PidLidReminderSignalTime.Tag(ids[1]), mapi.FileTime(c.rng.IntN(3)))
}

// step does one thing; refusals for what is not there are part of it.
func (c *chaos) step() error {
	*c.first = c.rng.IntN(4) == 0
	switch c.rng.IntN(15) {
	case 14:
		return c.sendLater()
	case 0:
		r, err := try(c.box, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: c.folderAt(), Associated: c.rng.IntN(3) == 0, Message: c.edit(2)})
		if err == nil {
			c.mids = append(c.mids, r.State.MID)
		}
		return err
	case 1:
		c.mids = append(c.mids, c.deliver(sample(c.t)).MID, c.deliver(asReceived(c.t, c.rng)).MID)
	case 2:
		c.mids = append(c.mids, c.deliver(large(byte(c.rng.IntN(3)), 9000)).MID)
	case 3, 4:
		for _, id := range c.some() {
			if _, err := try(c.box, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: id, Edit: c.edit(2)}); err != nil {
				return err
			}
		}
	case 5:
		_, err := try(c.box, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: c.folderAt(), Messages: c.some(), Mode: exmdb.FlagMode(1 + c.rng.IntN(3)),
			Flags: exmdb.Flags{Bits: exmdb.FlagBits(c.rng.IntN(64))}})
		return err
	case 6:
		r, err := try(c.box, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: c.folderAt(), Messages: c.some(), Target: c.folderAt()})
		if err == nil {
			c.mids = append(c.mids, r.To...)
		}
		return err
	case 7:
		r, err := try(c.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: c.folderAt(), Messages: c.some(), Target: c.folderAt()})
		if err == nil {
			c.mids = append(c.mids, r.To...)
		}
		return err
	case 8:
		return c.byUID()
	case 9:
		client := offline{guid: mapi.GUID{byte(1 + c.rng.IntN(3))}, last: mapi.CN(c.rng.IntN(1000))}
		for _, id := range c.some() {
			if _, err := c.bring(id, client.edit(nil, c.now), c.edit(1), false); err != nil {
				return err
			}
		}
	case 10:
		_, err := try(c.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: c.folderAt(), Messages: c.some(), Hard: c.rng.IntN(3) == 0})
		return err
	case 11:
		r, err := try(c.box, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: c.folderAt(), Messages: c.some(), Target: c.folderAt()})
		if err == nil {
			c.mids = append(c.mids, r.To...)
		}
		return err
	case 12:
		return c.byFolder()
	case 13:
		c.now = c.now.Add(time.Duration(c.rng.IntN(100)) * time.Hour)
		c.work()
	}
	return nil
}

// refusals are what a client that does anything may meet.
var refusals = []cluster.Kind{exmdb.KindNoMessage, exmdb.KindTooBig, exmdb.KindNoFolder, exmdb.KindFixedFolder, exmdb.KindFolderExists, exmdb.KindSubmitted,
	exmdb.KindNotWaiting, cluster.KindBadRequest}

// treeRefusals are what one may meet who also makes, moves and deletes folders below each other.
var treeRefusals = slices.Concat(refusals, []cluster.Kind{exmdb.KindCycle, exmdb.KindHasChildren, exmdb.KindBadName})

// sendLater submits messages, for a time that does not come here, and takes others back.
func (c *chaos) sendLater() error {
	for _, id := range c.some() {
		if c.rng.IntN(2) == 0 {
			if _, err := try(c.box, exmdb.OpAbortSubmit, &exmdb.AbortSubmitRequest{Message: id}); err != nil {
				return err
			}
			continue
		}
		_, err := try(c.box, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: id, Edit: exmdb.MessageEdit{ReplaceRecipients: true,
			Recipients: []mapi.PropBag{recipient(1, "anna")}, Set: bagOf(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(c.now.AddDate(9, 0, 0)))}})
		if err == nil {
			_, err = try(c.box, exmdb.OpSubmitMessage, &exmdb.SubmitRequest{Message: id, Own: []string{"own@example.test"}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// byFolder deletes and recovers folders.
func (c *chaos) byFolder() error {
	fid := c.folderAt()
	_, err := try(c.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: fid, Parent: schema.IPMSubtree})
	if cluster.KindOf(err) == exmdb.KindNoFolder && err != nil {
		_, err = try(c.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Hard: c.rng.IntN(9) == 0})
	}
	return err
}

// byUID does what an IMAP client does.
func (c *chaos) byUID() error {
	fid := c.folderAt()
	c.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 1, 2, 3)
	_, err := try(c.box, exmdb.OpCopy, &exmdb.CopyRequest{Folder: fid, UIDs: ranges(2, 5), Target: c.folderAt()})
	if err == nil {
		_, err = try(c.box, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: fid, UIDs: []exmdb.UIDRange{{First: 1, Last: mapi.UID(1 + c.rng.IntN(8))}}, All: c.rng.IntN(4) == 0})
	}
	return err
}

// TestAnythingKeepsTheBooks: whatever clients do, counts are the sums of rows, content is held as often as records name
// it, every stamp is in the index, and no record is left that nothing leads to.
func TestAnythingKeepsTheBooks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds, steps := 6, 120
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		c := &chaos{box: newBox(t, 0), rng: rand.New(rand.NewPCG(seed, uint64(round)))}
		c.folders = []mapi.FID{schema.Inbox, schema.Drafts, schema.Sent}
		for _, name := range []string{"a", "b"} {
			c.folders = append(c.folders, call(c.box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: name}).Folder.FID)
		}
		for i := range steps {
			if err := c.step(); err != nil && !slices.Contains(refusals, cluster.KindOf(err)) {
				t.Fatalf("seed %d, round %d, step %d: %v", seed, round, i, err)
			}
			if i%10 == 9 {
				c.audit(fmt.Sprintf("seed %d, round %d, step %d", seed, round, i))
			}
		}
	}
}

// asReceived is a mail as the mail flow brings it: converted, with texts that are apart, files that are content and files that
// are not, and a message inside.
func asReceived(t testing.TB, rng *rand.Rand) exmdb.NewMessage {
	t.Helper()
	file := func(size int) string {
		return "Content-Type: application/pdf\r\n\r\n" + strings.Repeat(fmt.Sprintf("line %d\r\n", rng.IntN(3)), size/8)
	}
	m, err := mailflow.Short([]byte("From: Anna <anna@example.test>\r\nTo: bert@example.test\r\nSubject: from outside\r\nX-Mailer: test\r\nKeywords: red\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + strings.Repeat("text of a mail\r\n", rng.IntN(100)) +
		"--b\r\n" + file(10_000) + "--b\r\n" + file(100) + "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n" + file(9_500) + "\r\n--b--\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
