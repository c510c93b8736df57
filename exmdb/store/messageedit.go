package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxRecipients bounds the recipients of a message, maxAttachments its attachments.
	maxRecipients  = 10_000
	maxAttachments = 4_000
	// maxEmbedded bounds how deep messages are embedded in each other.
	maxEmbedded = 20
	// maxRecord bounds bag, recipients, and each attachment with what is inside it, in bytes without their content;
	// maxRecords bounds all attachments of a message, so that an effect has room for them.
	maxRecord  = content.MaxProps
	maxRecords = 8 << 20
)

// draft is a message in the middle of an edit: its row as it was and as it becomes.
type draft struct {
	*tx
	*bagEditor
	fid    mapi.FID
	counts *schema.FolderCounts
	before message
	after  message
	// fresh: the message is being made, so it has no place yet.
	fresh bool
	// byMailbox: the mailbox itself makes the edit, out of what it knows.
	byMailbox bool
	// foreign is the client's version that the message becomes, nil for a change of the mailbox's own.
	foreign *foreignVersion
	// contents is the message's bag as it becomes.
	contents *mapi.PropBag
	// edited: a record has changed. shown: something that MIME shows has; body: something of the body.
	edited, shown, body bool
	// header: the form is that of the received mail under another header.
	header bool
	err    error
}

func (t *tx) newDraft(fid mapi.FID, p *exmdb.Payload) (*draft, error) {
	e, err := t.newEditor(p)
	if err != nil {
		return nil, err
	}
	counts, err := t.edit(fid)
	return &draft{tx: t, bagEditor: e, fid: fid, counts: counts}, err
}

// apply makes the edit, in the records and in the row; nothing of the row is written yet.
func (d *draft) apply(edit *exmdb.MessageEdit) error {
	if waits, err := d.submitted(&d.before.row); err != nil || waits != nil {
		return orElse(err, cluster.Errorf(exmdb.KindSubmitted, "message %#x waits to be sent", uint64(d.before.row.MID)))
	}
	old, err := d.bag(&d.after.row)
	if err != nil {
		return err
	}
	bag := new(mapi.PropBag)
	if !edit.Clear {
		bag = clone(old)
	}
	d.contents = bag
	if err := d.delegatesOf(old, edit); err != nil {
		return err
	}
	if edit.ReplaceRecipients || edit.Clear {
		if err := d.replaceRecipients(bag, edit); err != nil {
			return err
		}
	}
	if len(edit.Attachments) > 0 || edit.Clear {
		if err := d.editAttachments(bag, edit); err != nil {
			return err
		}
	}
	if err := d.change(bag, &edit.Set, edit.Delete, d.apart); err != nil {
		return err
	}
	if d.err != nil {
		return d.err
	}
	if d.fresh {
		d.initialise(bag)
	}
	if err := checkRecord(bag.AppendWire(nil)); err != nil {
		return err
	}
	if !sameBag(*old, *bag) {
		d.edited = true
		d.shown = d.shown || differs(mimeShows, old, bag)
		d.body = d.body || differs(bodyProps, old, bag)
	}
	if err := d.actOnPast(old, bag); err != nil {
		return err
	}
	return d.setBag(&d.after.row, old, bag, d.staged.inline)
}

// clone copies a bag; values are not changed in place.
func clone(bag *mapi.PropBag) *mapi.PropBag {
	out := new(mapi.PropBag)
	for _, p := range bag.All() {
		out.Set(p.Tag, p.Value)
	}
	return out
}

func checkRecord(stored []byte) error {
	if len(stored) > maxRecord {
		return cluster.Errorf(exmdb.KindTooBig, "properties of %d bytes, %d at most", len(stored), maxRecord)
	}
	return nil
}

// initialise gives a new message what it has from the start (MS-OXCMSG 3.2.5.2).
func (d *draft) initialise(bag *mapi.PropBag) {
	if bag.Get(mapi.PidTagCreationTime) == nil {
		bag.Set(mapi.PidTagCreationTime, mapi.FileTimeOf(d.now))
	}
	if bag.Get(mapi.PidTagSearchKey) == nil {
		key := mapi.NewGUID()
		bag.Set(mapi.PidTagSearchKey, mapi.Binary(key[:]))
	}
}

func (d *draft) replaceRecipients(bag *mapi.PropBag, edit *exmdb.MessageEdit) error {
	if len(edit.Recipients) > maxRecipients {
		return cluster.Errorf(exmdb.KindTooBig, "%d recipients, %d at most", len(edit.Recipients), maxRecipients)
	}
	shown, err := d.recipients(&d.after.row)
	if err != nil {
		return err
	}
	old, err := d.storedRecipients(&d.after.row)
	if err != nil {
		return err
	}
	list := &schema.Recipients{Unknown: old.Unknown}
	if list.Bags, err = d.recipientBags(edit.Recipients); err != nil {
		return err
	}
	oxcmsg.SetDisplayLists(bag, list.Bags)
	if slices.EqualFunc(shown, list.Bags, sameBag) {
		return nil
	}
	d.edited, d.shown = true, true
	return d.setRecipients(&d.after.row, old, list, d.staged.inline)
}

func sameBag(a, b mapi.PropBag) bool { return string(a.AppendWire(nil)) == string(b.AppendWire(nil)) }

// nowhere is for bags of which every property is in the bag.
func nowhere(mapi.Tag, mapi.Value) (mapi.ErrorCode, bool) { return 0, false }

// recipientBags are recipients as they are stored: with row ids, which clients use to tell them apart.
func (e *bagEditor) recipientBags(asked []mapi.PropBag) ([]mapi.PropBag, error) {
	bags := make([]mapi.PropBag, len(asked))
	size := 0
	for i := range asked {
		if err := e.change(&bags[i], &asked[i], nil, nowhere); err != nil {
			return nil, err
		}
		if bags[i].Get(mapi.PidTagRowid) == nil {
			bags[i].Set(mapi.PidTagRowid, mapi.Integer32(i))
		}
		if size += len(bags[i].AppendWire(nil)); size > maxRecord {
			return nil, cluster.Errorf(exmdb.KindTooBig, "recipients of more than %d bytes", maxRecord)
		}
	}
	return bags, nil
}

// editAttachments changes, makes and removes attachments, and says in the bag whether there are any to be seen.
func (d *draft) editAttachments(bag *mapi.PropBag, edit *exmdb.MessageEdit) error {
	old, err := d.attachments(&d.after.row)
	if err != nil {
		return err
	}
	start := old
	if edit.Clear {
		start = nil
	}
	now, err := d.attachmentList(start, edit.Attachments, 0)
	if err != nil {
		return err
	}
	if err := checkAttachments(now); err != nil {
		return err
	}
	d.after.row.Bits &^= schema.RowAttachments
	for _, pair := range paired(old, now) {
		if pair[0] == nil || pair[1] == nil || string(storedAttachment(pair[0])) != string(storedAttachment(pair[1])) {
			d.edited, d.shown, d.body = true, true, true
		}
		if err := d.setAttachment(&d.after.row, pair[0], pair[1], d.staged.inline); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(now, visible) {
		bag.Set(mapi.PidTagHasAttachments, mapi.Boolean(true))
	} else {
		bag.Delete(mapi.PidTagHasAttachments)
	}
	return nil
}

func checkAttachments(list []schema.Attachment) error {
	total := 0
	for i := range list {
		stored := storedAttachment(&list[i])
		if err := checkRecord(stored); err != nil {
			return err
		}
		if total += len(stored); total > maxRecords {
			return cluster.Errorf(exmdb.KindTooBig, "attachments of more than %d bytes without their content", maxRecords)
		}
	}
	return nil
}

func visible(a schema.Attachment) bool {
	hidden, _ := a.Bag.Get(mapi.PidTagAttachmentHidden).(mapi.Boolean)
	return !bool(hidden)
}

// paired puts attachments of two lists side by side by number, nil where one has none.
func paired(old, now []schema.Attachment) [][2]*schema.Attachment {
	var pairs [][2]*schema.Attachment
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case j == len(now) || i < len(old) && old[i].Number < now[j].Number:
			pairs = append(pairs, [2]*schema.Attachment{&old[i], nil})
			i++
		case i == len(old) || now[j].Number < old[i].Number:
			pairs = append(pairs, [2]*schema.Attachment{nil, &now[j]})
			j++
		default:
			pairs = append(pairs, [2]*schema.Attachment{&old[i], &now[j]})
			i, j = i+1, j+1
		}
	}
	return pairs
}

// attachmentList is a list of attachments after edits, ascending by number. The old one is left as it is.
func (e *bagEditor) attachmentList(old []schema.Attachment, edits []exmdb.AttachmentEdit, depth int) ([]schema.Attachment, error) {
	list := slices.Clone(old)
	for i := range edits {
		edit := &edits[i]
		at, found := slices.BinarySearchFunc(list, edit.Number, func(a schema.Attachment, n uint32) int { return int(int64(a.Number) - int64(n)) })
		switch {
		case edit.Remove && found:
			list = slices.Delete(list, at, at+1)
			continue
		case edit.Remove:
			continue
		case !found:
			list = slices.Insert(list, at, schema.Attachment{Number: edit.Number})
		}
		if len(list) > maxAttachments {
			return nil, cluster.Errorf(exmdb.KindTooBig, "more than %d attachments", maxAttachments)
		}
		changed, err := e.attachment(list[at], edit, depth)
		if err != nil {
			return nil, err
		}
		list[at] = changed
	}
	return list, nil
}

// attachment is one attachment after an edit.
func (e *bagEditor) attachment(a schema.Attachment, edit *exmdb.AttachmentEdit, depth int) (schema.Attachment, error) {
	a.Bag = *clone(&a.Bag)
	if err := e.change(&a.Bag, &edit.Set, edit.Delete, attachmentApart); err != nil {
		return a, err
	}
	if edit.Embedded == nil {
		return a, nil
	}
	if depth >= maxEmbedded {
		return a, cluster.Errorf(exmdb.KindTooBig, "messages embedded deeper than %d", maxEmbedded)
	}
	return a, e.embedded(&a, edit.Embedded, depth)
}

// embedded edits the message inside an attachment: the same as a message, without MID, UID and change number.
func (e *bagEditor) embedded(a *schema.Attachment, edit *exmdb.MessageEdit, depth int) error {
	if a.Embedded == nil || edit.Clear {
		a.Embedded, a.Recipients, a.Nested = new(mapi.PropBag), nil, nil
	}
	a.Embedded = clone(a.Embedded)
	var err error
	if edit.ReplaceRecipients || edit.Clear {
		if a.Recipients, err = e.recipientBags(edit.Recipients); err != nil {
			return err
		}
		oxcmsg.SetDisplayLists(a.Embedded, a.Recipients)
	}
	if a.Nested, err = e.attachmentList(a.Nested, edit.Attachments, depth+1); err != nil {
		return err
	}
	if len(a.Nested) > 0 {
		a.Embedded.Set(mapi.PidTagHasAttachments, mapi.Boolean(slices.ContainsFunc(a.Nested, visible)))
	}
	return e.change(a.Embedded, &edit.Set, edit.Delete, embeddedApart)
}
