package store

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// foreignVersion is a version of an object that a client made on his own (MS-OXCFXICS 2.2.3.2.4.2.1).
type foreignVersion struct {
	changeKey mapi.XID
	// pcl has changeKey and everything that went into the version.
	pcl      mapi.PCL
	modified mapi.FileTime
}

// readVersion takes apart what a client says of his version.
func readVersion(v *exmdb.ImportedVersion) (*foreignVersion, error) {
	key, err := mapi.ParseXID(v.ChangeKey)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "change key: %v", err)
	}
	pcl, err := mapi.ParsePCL(v.PCL)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "predecessor change list: %v", err)
	}
	if len(v.PCL) > maxPCL {
		return nil, cluster.Errorf(cluster.KindBadRequest, "predecessor change list of %d bytes, %d at most", len(v.PCL), maxPCL)
	}
	return &foreignVersion{key, pcl.Add(key), mapi.FileTimeOf(v.Modified)}, nil
}

// maxPCL bounds a predecessor change list, which is in the row: some hundred replicas.
const maxPCL = 8 << 10

// importNew makes a message of a version that the mailbox does not have: the draft is fresh and has a place to go.
func (d *draft) importNew(edit *exmdb.MessageEdit, v *foreignVersion) error {
	if err := d.apply(edit); err != nil {
		return err
	}
	d.after.row.ChangeKey, d.after.row.PCL, d.after.row.Modified = v.changeKey.Append(nil), v.pcl.Append(nil), v.modified
	return d.arrive()
}

// importOver brings a client's version of a message that the mailbox has, the whole of it (MS-OXCFXICS 3.1.5.6). What
// is already in the mailbox's version changes nothing; what was made on top of that takes its place; two versions that
// do not know of each other become one message with both inside.
func (d *draft) importOver(edit *exmdb.MessageEdit, v *foreignVersion, failOnConflict bool) (exmdb.ImportOutcome, error) {
	current, err := d.predecessors(versionOf(&d.before.row))
	if err != nil {
		return 0, err
	}
	switch v.pcl.Compare(current) {
	case mapi.PCLEqual, mapi.PCLOlder:
		return exmdb.ImportIgnored, nil
	case mapi.PCLNewer:
		return exmdb.ImportApplied, d.replaceBy(edit, v)
	}
	if failOnConflict {
		return 0, cluster.Errorf(exmdb.KindConflict, "the version brought and the one that is there do not know of each other")
	}
	last, err := d.lastWriterWins()
	if err != nil {
		return 0, err
	}
	if last {
		return exmdb.ImportConflict, d.takeLast(edit, v, current.Merge(v.pcl))
	}
	return exmdb.ImportConflict, d.resolve(edit, v, current.Merge(v.pcl))
}

// replaceBy puts the client's version in the place of the mailbox's.
func (d *draft) replaceBy(edit *exmdb.MessageEdit, v *foreignVersion) error {
	d.after.row.Bits &^= schema.RowInConflict
	if err := d.applyWhole(edit); err != nil {
		return err
	}
	d.foreign = v
	d.edited = true // a version that looks the same is another all the same
	return d.commit()
}

// applyWhole is apply of an edit that says all there is to say, flags included.
func (d *draft) applyWhole(edit *exmdb.MessageEdit) error {
	whole := *edit
	whole.Clear = true
	row := &d.after.row
	row.Bits &^= schema.RowFlagComplete | schema.RowBits(exmdb.FlagFlagged)
	row.Verb, row.Icon, row.Keywords = 0, 0, nil
	return d.apply(&whole)
}

// resolveLastWriter is the value of PidTagResolveMethod under which no conflict resolve messages are made (MS-OXCFXICS
// 2.2.1.4.1).
const resolveLastWriter = 1

// lastWriterWins reports whether conflicts over the message are decided by time alone.
func (d *draft) lastWriterWins() (bool, error) {
	if d.after.row.Bits&schema.RowAssociated != 0 {
		return true, nil
	}
	f, err := d.folder(d.fid)
	if err != nil {
		return false, err
	}
	bag, err := folderBag(f)
	if err != nil {
		return false, err
	}
	return asInt(bag.Get(mapi.PidTagResolveMethod))&resolveLastWriter != 0, nil
}

// laterThan orders versions by who wrote last; of one time the greater replica wins (MS-OXCFXICS 3.1.5.6.2.2).
func laterThan(modified mapi.FileTime, namespace mapi.GUID, other mapi.FileTime, otherNamespace mapi.GUID) bool {
	if order := cmp.Compare(modified, other); order != 0 {
		return order > 0
	}
	return bytes.Compare(namespace[:], otherNamespace[:]) > 0
}

// takeLast keeps the version that was written last, as a change of the mailbox's own upon both.
func (d *draft) takeLast(edit *exmdb.MessageEdit, v *foreignVersion, merged mapi.PCL) error {
	ours, err := d.ownVersion()
	if err != nil {
		return err
	}
	last := ours.modified
	if laterThan(v.modified, v.changeKey.Namespace, ours.modified, ours.changeKey.Namespace) {
		if err := d.applyWhole(edit); err != nil {
			return err
		}
		last = v.modified
	}
	d.after.row.PCL = merged.Append(nil)
	d.edited = true
	if err := d.commit(); err != nil {
		return err
	}
	// The time stays that of the version that won: a third one is to be judged by when it was written, not by when it came.
	d.after.row.Modified = last
	d.w.Set(d.after.key(d.fid), d.after.row.AppendWire(nil))
	return nil
}

// ownVersion is the version that is in the mailbox.
func (d *draft) ownVersion() (*foreignVersion, error) {
	row := &d.before.row
	key, err := d.changeKey(versionOf(row))
	if err != nil {
		return nil, err
	}
	v := &foreignVersion{modified: d.show(d.fid, &d.before).modified()}
	if v.changeKey, err = mapi.ParseXID(key); err != nil {
		return nil, cluster.Errorf(cluster.KindDamaged, "change key: %v", err)
	}
	v.pcl, err = d.predecessors(versionOf(row))
	return v, err
}

// rival is one of several versions of a message, as a conflict resolve message has it among its attachments.
type rival struct {
	foreignVersion
	message schema.Attachment
}

// resolve makes a conflict resolve message (MS-OXCFXICS 3.1.5.6.2.1): the content of the version written last, and each
// version as an attachment. Versions that a newer one knows of are left out.
func (d *draft) resolve(edit *exmdb.MessageEdit, v *foreignVersion, merged mapi.PCL) error {
	rivals, err := d.rivals()
	if err != nil {
		return err
	}
	brought := rival{foreignVersion: *v, message: schema.Attachment{}}
	whole := *edit
	whole.Clear = true
	if err := d.embedded(&brought.message, &whole, 0); err != nil {
		return err
	}
	rivals = slices.DeleteFunc(rivals, func(r rival) bool { return v.pcl.Covers(r.pcl) })
	rivals = append(rivals, brought)
	winner := slices.MaxFunc(rivals, func(a, b rival) int {
		if laterThan(a.modified, a.changeKey.Namespace, b.modified, b.changeKey.Namespace) {
			return 1
		}
		return -1
	})
	d.names = names{} // what follows has the mailbox's ids
	content := editOf(&winner.message)
	next := uint32(0)
	for _, a := range content.Attachments {
		next = max(next, a.Number+1)
	}
	if len(rivals) > 1 {
		for i := range rivals {
			content.Attachments = append(content.Attachments, rivals[i].attachment(next+uint32(i)))
		}
	}
	d.after.row.Bits &^= schema.RowInConflict
	if err := d.applyWhole(&content); err != nil {
		return err
	}
	if len(rivals) > 1 {
		d.after.row.Bits |= schema.RowInConflict
	}
	d.after.row.PCL = merged.Append(nil)
	d.edited = true
	return d.commit()
}

// rivals are the versions that are in the mailbox: those of a conflict that was not resolved yet, else the message.
func (d *draft) rivals() ([]rival, error) {
	attachments, err := d.attachments(&d.before.row)
	if err != nil {
		return nil, err
	}
	var list []rival
	for _, a := range attachments {
		if !isRival(a) {
			continue
		}
		r := rival{message: a}
		if r.read() {
			list = append(list, r)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	own, err := d.ownVersion()
	if err != nil {
		return nil, err
	}
	r := rival{foreignVersion: *own}
	r.message.Nested = attachments
	r.message.Recipients, err = d.recipients(&d.before.row)
	if err != nil {
		return nil, err
	}
	r.message.Embedded, err = d.asEmbedded()
	return []rival{r}, err
}

// isRival reports whether an attachment is a version in conflict.
func isRival(a schema.Attachment) bool {
	inConflict, _ := a.Bag.Get(mapi.PidTagInConflict).(mapi.Boolean)
	return bool(inConflict) && a.Embedded != nil
}

// withoutRivals is the attachments that the message itself has.
func withoutRivals(list []schema.Attachment) []schema.Attachment {
	return slices.DeleteFunc(slices.Clone(list), isRival)
}

// asEmbedded is the message's bag with what is in the row, as a message inside an attachment has it.
func (d *draft) asEmbedded() (*mapi.PropBag, error) {
	s := d.show(d.fid, &d.before)
	bag := clone(s.whole())
	for _, p := range rowProps {
		if v, found := s.value(p.tag); found && p.tag != mapi.PidTagSourceKey && p.tag != mapi.PidTagConversationId {
			bag.Set(v.Tag, v.Value)
		}
	}
	if p, is := s.keywordProp(0); is {
		set(bag, p.Tag, p.Value)
	}
	return bag, s.err
}

// read takes change key, PCL and time of a version from its attachment. A client may have made something else of it;
// then it is no version any more.
func (r *rival) read() bool {
	key, _ := r.message.Embedded.Get(mapi.PidTagChangeKey).(mapi.Binary)
	pcl, _ := r.message.Embedded.Get(mapi.PidTagPredecessorChangeList).(mapi.Binary)
	r.modified, _ = r.message.Embedded.Get(mapi.PidTagLastModificationTime).(mapi.FileTime)
	var err error
	if r.changeKey, err = mapi.ParseXID(key); err != nil {
		return false
	}
	r.pcl, err = mapi.ParsePCL(pcl)
	return err == nil
}

// attachment is the version as an attachment of a conflict resolve message.
func (r *rival) attachment(number uint32) exmdb.AttachmentEdit {
	inner := editOf(&r.message)
	inner.Clear = true
	inner.Set.Set(mapi.PidTagChangeKey, mapi.Binary(r.changeKey.Append(nil)))
	inner.Set.Set(mapi.PidTagPredecessorChangeList, mapi.Binary(r.pcl.Append(nil)))
	inner.Set.Set(mapi.PidTagLastModificationTime, r.modified)
	outer := exmdb.AttachmentEdit{Number: number, Embedded: &inner}
	outer.Set.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachEmbedded))
	outer.Set.Set(mapi.PidTagInConflict, mapi.Boolean(true))
	outer.Set.Set(mapi.PidTagAttachmentHidden, mapi.Boolean(true))
	return outer
}

// editOf is the edit that makes what is inside an attachment, of a message or of another attachment.
func editOf(a *schema.Attachment) exmdb.MessageEdit {
	edit := exmdb.MessageEdit{Set: *clone(a.Embedded), ReplaceRecipients: true, Recipients: a.Recipients}
	for i := range a.Nested {
		inner := &a.Nested[i]
		each := exmdb.AttachmentEdit{Number: inner.Number, Set: inner.Bag}
		if inner.Embedded != nil {
			embedded := editOf(inner)
			each.Embedded = &embedded
		}
		edit.Attachments = append(edit.Attachments, each)
	}
	return edit
}
