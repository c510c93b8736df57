package store

import (
	"bytes"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A conversation's action that is made or changed is about the mail that is there as well (MS-OXOCFG 3.2.5.1). That may be
// anywhere in the mailbox, so it is looked for as work at a time, in small steps: folder by folder, in order of delivery from
// where the client says that it has got by itself. There is one such work for a conversation; what the action becomes
// while it runs is done behind it.

// DueConversation is the work at a time that does with a conversation what its action says. Its key is the conversation. The
// number is on disk.
const DueConversation uint16 = 9

const (
	conversationBytes = conversationEnd - conversationAt
	// batchPlaces is how many places of a folder's order are read before anything is written.
	batchPlaces = 256
)

// decision is what an action on a conversation says.
type decision struct {
	folder   []byte // as an entry id: not nil but empty for Deleted Items
	store    bool   // it is a folder of another store
	keywords []uint16
}

// decides is what an associated message with a bag says of a conversation, nothing if it is about another.
func (v *view) decides(bag *mapi.PropBag, keywords []uint16, conversation []byte) (d decision, err error) {
	if !bytes.Equal(actsOn(bag), conversation) {
		return d, nil
	}
	folder, err := v.named(bag, mapi.PidLidConversationActionMoveFolderEid)
	if err != nil {
		return d, err
	}
	if entry, is := folder.(mapi.Binary); is {
		d.folder = append([]byte{}, entry...)
	}
	store, err := v.named(bag, mapi.PidLidConversationActionMoveStoreEid)
	d.store, d.keywords = store != nil, keywords
	return d, err
}

// actOnPast notes what is to be done with the mail of a conversation when the action on it becomes another. Only who has the
// mailbox whole writes one (rightsIn). An action that is deleted leaves everything where it is: clients delete those
// that were not used for long (MS-OXOCFG 3.1.4.9).
func (d *draft) actOnPast(old, bag *mapi.PropBag) error {
	conversation := actsOn(bag)
	if conversation == nil || d.fid != schema.ConversationActions || d.after.row.Bits&schema.RowAssociated == 0 {
		return nil
	}
	was, err := d.decides(old, d.before.row.Keywords, conversation)
	if err != nil {
		return err
	}
	is, err := d.decides(bag, d.after.row.Keywords, conversation)
	if err != nil {
		return err
	}
	change, err := d.changeOf(was, is)
	if err != nil || change.Target == 0 && len(change.Add) == 0 && len(change.Remove) == 0 {
		return err
	}
	done, err := d.named(bag, mapi.PidLidConversationActionMaxDeliveryTime)
	if err != nil {
		return err
	}
	change.After, _ = done.(mapi.FileTime)
	return d.planChange(conversation, change)
}

// changeOf is what MS-OXOCFG 3.2.5.1 makes of the difference between two decisions.
func (v *view) changeOf(was, is decision) (c schema.ConversationChange, err error) {
	c.Last = v.counters.Global
	c.Add, c.Remove = without(is.keywords, was.keywords), without(was.keywords, is.keywords)
	if (was.folder == nil) == (is.folder == nil) && bytes.Equal(was.folder, is.folder) {
		return c, nil
	}
	switch {
	case is.folder == nil && len(was.folder) == 0:
		c.From, c.Target = schema.DeletedItems.Counter(), schema.Inbox.Counter()
	case is.folder == nil, is.store:
	case len(is.folder) == 0:
		c.Target = schema.DeletedItems.Counter()
	default:
		fid, err := v.folderNamed(is.folder)
		if err != nil || fid == 0 {
			return c, err
		}
		if fid, err = v.holdsMessages(fid); err != nil || fid == 0 {
			return c, err
		}
		c.Target = fid.Counter()
	}
	return c, nil
}

// without is what of ids is not among others.
func without(ids, others []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint16) bool { return slices.Contains(others, id) })
}

// planChange has a change done, behind what is at work on the conversation.
func (t *tx) planChange(conversation []byte, c schema.ConversationChange) error {
	var w schema.ConversationWork
	key := schema.ConversationWorkKey(conversation)
	found, err := load(t.r, key, &w)
	if err != nil {
		return err
	}
	if len(w.Changes) < 2 {
		w.Changes = append(w.Changes, c)
	} else {
		w.Changes[1] = both(w.Changes[1], c)
	}
	t.set(key, &w)
	if !found {
		t.w.Schedule(conversationDue(t, conversation))
	}
	return nil
}

// both is one change in the place of two, the first of which has not begun.
func both(first, then schema.ConversationChange) schema.ConversationChange {
	c := then
	if c.Target == 0 {
		c.Target, c.From = first.Target, first.From
	}
	add := wanted{mode: exmdb.FlagsAdd, keywords: then.Add}
	c.Add = add.newKeywords(without(first.Add, then.Remove))
	add.keywords = then.Remove
	c.Remove = add.newKeywords(without(first.Remove, then.Add))
	c.After = min(first.After, then.After)
	return c
}

func conversationDue(t *tx, conversation []byte) space.Due {
	return space.Due{At: t.now, Op: DueConversation, Key: slices.Clone(conversation)}
}

// conversationStep is DueConversation.
func (t *tx) conversationStep(key []byte) error {
	if len(key) != conversationBytes {
		return cluster.Errorf(cluster.KindInternal, "conversation of %d bytes", len(key))
	}
	var w schema.ConversationWork
	found, err := load(t.r, schema.ConversationWorkKey(key), &w)
	if err != nil || !found || len(w.Changes) == 0 {
		return err
	}
	p := &pastMail{tx: t, conversation: key, change: &w.Changes[0], at: &w, work: t.measure(toCarry)}
	done, err := p.step()
	if err != nil {
		return err
	}
	if done {
		w = schema.ConversationWork{Changes: w.Changes[1:], Unknown: w.Unknown}
		for i := range w.Changes {
			w.Changes[i].Last = t.counters.Global // what has just moved is older than what was decided meanwhile
		}
	}
	if len(w.Changes) == 0 {
		t.w.Delete(schema.ConversationWorkKey(key))
		return nil
	}
	t.set(schema.ConversationWorkKey(key), &w)
	t.w.Schedule(conversationDue(t, key))
	return nil
}

// pastMail is a step through the mail of a mailbox that looks for a conversation's.
type pastMail struct {
	*tx
	conversation []byte
	change       *schema.ConversationChange
	at           *schema.ConversationWork // where to go on
	work         *work
}

// step goes on until the step is full, and reports whether that was all.
func (p *pastMail) step() (done bool, err error) {
	for !p.work.full() {
		fid, err := p.mailFolder()
		if err != nil || fid == 0 {
			return err == nil, err
		}
		if fid.Counter() != p.at.Folder {
			p.at.Folder, p.at.Received, p.at.UID = fid.Counter(), 0, 0
		}
		if over, err := p.folder(fid); err != nil || !over {
			return false, err
		}
		p.at.Folder, p.at.Received, p.at.UID = fid.Counter()+1, 0, 0
	}
	return false, nil
}

// mailFolder is the next folder that holds mail of the user's, from the one that the work has come to; zero for none.
func (p *pastMail) mailFolder() (_ mapi.FID, err error) {
	it := p.r.Iter(schema.FolderKey(mapi.LocalFID(p.at.Folder)), []byte{schema.PrefixFolder + 1})
	defer closing(it, &err)
	for it.Next() {
		fid, err := schema.ParseFolderKey(it.Key())
		if err != nil {
			return 0, err
		}
		if holds, err := p.holdsMail(fid); err != nil || holds {
			return fid, err
		}
	}
	return 0, nil
}

// holdsMail reports whether a folder is one of mail that the user sees.
func (v *view) holdsMail(fid mapi.FID) (bool, error) {
	f, err := v.folder(fid)
	if err != nil || !isMail(f.Class) {
		return false, err
	}
	if fid, err = v.holdsMessages(fid); err != nil || fid == 0 {
		return false, err
	}
	path, err := v.path(fid)
	return slices.Contains(path[min(1, len(path)):], schema.IPMSubtree), err
}

// folder does what is to be done in a folder while the step lasts, and reports whether that was all.
func (p *pastMail) folder(fid mapi.FID) (over bool, err error) {
	counts, err := p.edit(fid)
	if err != nil {
		return false, err
	}
	in := &pastFolder{pastMail: p, counts: counts, carried: carriage{from: fid}}
	if err := in.aim(); err != nil {
		return false, err
	}
	for more := true; more && err == nil; {
		var places []schema.TimePlace
		if places, err = p.places(fid); err == nil {
			more, err = in.some(places)
		}
		if err == nil && len(places) < batchPlaces && more {
			over, more = true, false
		}
	}
	if err == nil && in.carried.last != 0 {
		err = p.moved(counts, in.gone, &in.carried)
	}
	return over, err
}

// places are the next places in the order of a folder.
func (p *pastMail) places(fid mapi.FID) (list []schema.TimePlace, err error) {
	from := schema.TimePlace{Received: p.at.Received, UID: p.at.UID}
	if after := p.change.After; after != 0 && from.Received <= after {
		from = schema.TimePlace{Received: after + 1}
	}
	it := p.r.Iter(schema.TimeKey(fid, from), schema.TimeKey(fid+1, schema.TimePlace{}))
	defer closing(it, &err)
	for len(list) < batchPlaces && it.Next() {
		place, err := schema.ParseTimeKey(it.Key())
		if err != nil {
			return nil, err
		}
		list = append(list, place)
	}
	return list, nil
}

// pastFolder is the part of a step that is in one folder.
type pastFolder struct {
	*pastMail
	counts  *schema.FolderCounts
	target  *schema.FolderCounts // of where mail moves to from here, nil where it stays
	gone    schema.Tombstone
	carried carriage
}

// aim finds where mail of the folder moves to. A target that is gone meanwhile is none.
func (f *pastFolder) aim() error {
	from, to := f.carried.from, mapi.LocalFID(f.change.Target)
	leaves := from != schema.Sent
	if f.change.From != 0 {
		leaves = from.Counter() == f.change.From
	}
	if f.change.Target == 0 || !leaves || from == to {
		return nil
	}
	to, err := f.holdsMessages(to)
	if err != nil || to == 0 {
		return err
	}
	f.carried.to = to
	f.target, err = f.edit(to)
	return err
}

// some takes the messages at places in turn until the step is full, and then reports that no more is to come.
func (f *pastFolder) some(places []schema.TimePlace) (more bool, err error) {
	for _, place := range places {
		if f.work.full() {
			return false, nil
		}
		if err := f.one(place.UID); err != nil {
			return false, err
		}
		f.at.Received, f.at.UID = place.Received, place.UID+1
	}
	return true, nil
}

// one takes a message if it is of the conversation and was here when the change was made. A draft was delivered at no time
// (MS-OXOCFG 3.2.5.1 asks for one), and stays with whoever writes it.
func (f *pastFolder) one(uid mapi.UID) error {
	m := &message{uid: uid}
	found, err := load(f.r, schema.RowKey(f.carried.from, uint64(uid)), &m.row)
	if err != nil || !found || m.row.CameAt() > mapi.Stamp(f.change.Last) || m.row.Bits.Flags()&exmdb.FlagDraft != 0 {
		return err
	}
	bag, err := f.bag(&m.row)
	if err != nil || !bytes.Equal(conversationOf(bag), f.conversation) {
		return err
	}
	f.categorise(m)
	if f.target == nil {
		return nil
	}
	return f.carry(&f.carried, &f.gone, m)
}

// categorise gives a message the categories that the action has got, and takes those that it has lost. One that has as many
// as a message may have keeps those.
func (f *pastFolder) categorise(m *message) {
	keywords := without(m.row.Keywords, f.change.Remove)
	if more := (wanted{mode: exmdb.FlagsAdd, keywords: f.change.Add}).newKeywords(keywords); len(more) <= maxRowKeywords {
		keywords = more
	}
	if !slices.Equal(keywords, m.row.Keywords) {
		m.row.Keywords = keywords
		f.touch(f.carried.from, f.counts, m, keywordMoves)
	}
}
