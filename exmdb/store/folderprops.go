package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// shownFolder is a folder as its properties are read; err is the first failure.
type shownFolder struct {
	*view
	fid    mapi.FID
	f      *schema.Folder
	counts *schema.FolderCounts
	// deleted, of a soft-deleted one, are all those.
	deleted *shelf
	err     error
}

func (v *view) showFolder(fid mapi.FID) (*shownFolder, error) {
	f, err := v.folder(fid)
	if err != nil {
		return nil, err
	}
	c, err := v.folderCounts(fid)
	if err != nil {
		return nil, err
	}
	c, err = v.shownCounts(fid, c)
	return &shownFolder{view: v, fid: fid, f: f, counts: c}, err
}

func (s *shownFolder) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// folderBag is what a folder's record has beside its own fields.
func folderBag(f *schema.Folder) (*mapi.PropBag, error) {
	bag := new(mapi.PropBag)
	if err := bag.UnmarshalWire(f.Props); err != nil {
		return nil, cluster.Errorf(cluster.KindDamaged, "properties of folder %q: %v", f.Name, err)
	}
	return bag, nil
}

func (s *shownFolder) contents() *mapi.PropBag {
	bag, err := folderBag(s.f)
	if s.fail(err); err != nil {
		return new(mapi.PropBag)
	}
	return bag
}

func (s *shownFolder) some(tags []mapi.Tag) (*mapi.PropBag, error) {
	bag := s.contents()
	if tags == nil {
		return folderTable.all(s, bag), s.err
	}
	out := some(tags, func(t mapi.Tag) (mapi.Prop, bool) {
		return folderTable.value(s, func() *mapi.PropBag { return bag }, t)
	})
	return out, s.err
}

// folderVersion is what change key and PCL of a folder are made of.
func folderVersion(f *schema.Folder) version { return version{f.CN, f.ChangeKey, f.PCL} }

// entryIDOf is the entry id of any folder of the mailbox.
func (v *view) entryIDOf(fid mapi.FID) (mapi.Binary, error) {
	g, err := v.gid(fid.Counter())
	return oxcdata.FolderOf(v.mailbox(), g).Append(nil), err
}

func (s *shownFolder) entryID(fid mapi.FID) mapi.Value {
	id, err := s.entryIDOf(fid)
	s.fail(err)
	return id
}

// parent is the folder above; the root is its own.
func (s *shownFolder) parent() mapi.FID {
	if s.f.Parent == 0 {
		return s.fid
	}
	return mapi.LocalFID(s.f.Parent)
}

func (s *shownFolder) sourceKey(fid mapi.FID) mapi.Value {
	g, err := s.gid(fid.Counter())
	s.fail(err)
	return mapi.Binary(g.Append(nil))
}

func (s *shownFolder) hasSubfolders() mapi.Value {
	if s.deleted != nil {
		return mapi.Boolean(len(s.deleted.below[s.fid]) > 0)
	}
	it := s.r.Iter(schema.FolderNameKey(s.fid, ""), schema.FolderNameKey(s.fid+1, ""))
	has := it.Next()
	s.fail(it.Close())
	return mapi.Boolean(has)
}

func (s *shownFolder) modified() mapi.Value {
	if s.f.Modified.IsZero() {
		return mapi.FileTimeOf(s.f.Created)
	}
	return mapi.FileTimeOf(s.f.Modified)
}

// movedBelow notes that folders came to be right below one, or left it, or that one there got another name; nothing is above
// the root.
func (t *tx) movedBelow(parent mapi.GlobalCounter, came uint32) {
	if parent == 0 {
		return
	}
	if t.below == nil {
		t.below = make(map[mapi.GlobalCounter]uint32)
	}
	t.below[parent] += came
}

// countBelow counts what has moved below folders, of those that are left.
func (t *tx) countBelow() error {
	for parent, came := range t.below {
		c, err := t.edit(mapi.LocalFID(parent))
		if cluster.KindOf(err) == exmdb.KindNoFolder && err != nil {
			continue
		}
		if err != nil {
			return err
		}
		c.Hierarchy += came
		c.HierRev = mapi.FileTimeOf(t.now)
	}
	return nil
}

// hierRev is when the folders right below last moved.
func (s *shownFolder) hierRev() mapi.Value {
	if s.counts.HierRev == 0 {
		return mapi.FileTimeOf(s.f.Created)
	}
	return s.counts.HierRev
}

// inIPM reports whether the folder is the IPM subtree or below it. Of one that is soft-deleted those above may be too.
func (s *shownFolder) inIPM() bool {
	at, f := s.fid, s.f
	for range maxFolders {
		if at == schema.IPMSubtree || f.Parent == 0 {
			break
		}
		at = mapi.LocalFID(f.Parent)
		if s.deleted != nil && s.deleted.records[at] != nil {
			f = &s.deleted.records[at].Folder
			continue
		}
		above, err := s.folder(at)
		if s.deleted != nil && cluster.KindOf(err) == exmdb.KindNoFolder && err != nil {
			break // it is gone for good
		}
		if s.fail(err); err != nil {
			break
		}
		f = above
	}
	return at == schema.IPMSubtree
}

func (s *shownFolder) hasRules() bool {
	b, err := s.r.Get(schema.RulesKey(s.fid))
	s.fail(err)
	return b != nil
}

func (s *shownFolder) folderType() mapi.Integer32 {
	switch {
	case s.f.Parent == 0:
		return mapi.FolderRoot
	case s.counts.Search:
		return mapi.FolderSearch
	}
	return mapi.FolderGeneric
}

// flags is PidTagFolderFlags.
func (s *shownFolder) flags() mapi.Value {
	var n mapi.Integer32
	for _, each := range []struct {
		is  bool
		bit mapi.Integer32
	}{
		{s.inIPM(), mapi.FolderFlagIPM}, {s.folderType() == mapi.FolderSearch, mapi.FolderFlagSearch},
		{s.folderType() == mapi.FolderGeneric, mapi.FolderFlagNormal}, {s.hasRules(), mapi.FolderFlagRules},
	} {
		if each.is {
			n |= each.bit
		}
	}
	return n
}

// deletedBelow is how many folders were deleted right below, and may be recovered.
func (s *shownFolder) deletedBelow() mapi.Value {
	all := s.deleted
	if all == nil {
		var err error
		if all, err = s.deletedHierarchy(); err != nil {
			s.fail(err)
			return nil
		}
	}
	return mapi.Integer32(int32(len(all.below[s.fid])))
}

// contentCount is a count of messages. Of a search folder nothing is counted before its table is made.
func (s *shownFolder) contentCount(n uint32) mapi.Value {
	if s.counts.Search {
		return nil
	}
	return mapi.Integer32(int32(n))
}

func clip32(n uint64) mapi.Integer32 { return mapi.Integer32(min(n, 1<<31-1)) }

func fixedFolder(v mapi.Value) func(*shownFolder) mapi.Value {
	return func(*shownFolder) mapi.Value { return v }
}

// folderTable is the table of computed properties of folders (MS-OXCFOLD 2.2.2).
var folderTable = newTable([]computed[*shownFolder]{
	{mapi.PidTagEntryId, func(s *shownFolder) mapi.Value { return s.entryID(s.fid) }},
	{mapi.PidTagRecordKey, func(s *shownFolder) mapi.Value { return s.entryID(s.fid) }},
	{mapi.PidTagParentEntryId, func(s *shownFolder) mapi.Value { return s.entryID(s.parent()) }},
	{mapi.PidTagFolderId, func(s *shownFolder) mapi.Value { return oxcdata.FIDValue(s.fid) }},
	{mapi.PidTagParentFolderId, func(s *shownFolder) mapi.Value { return oxcdata.FIDValue(s.parent()) }},
	{mapi.PidTagParentSourceKey, func(s *shownFolder) mapi.Value { return s.sourceKey(s.parent()) }},
	{mapi.PidTagStoreRecordKey, func(s *shownFolder) mapi.Value { box := s.mailbox(); return mapi.Binary(box[:]) }},
	{mapi.PidTagMappingSignature, func(s *shownFolder) mapi.Value { return mapi.Binary(s.header.Signature[:]) }},
	{mapi.PidTagObjectType, fixedFolder(mapi.Integer32(mapi.ObjectFolder))},
	{mapi.PidTagFolderType, func(s *shownFolder) mapi.Value { return s.folderType() }},
	{mapi.PidTagFolderFlags, (*shownFolder).flags},

	{mapi.PidTagChangeNumber, func(s *shownFolder) mapi.Value {
		return oxcdata.FIDValue(mapi.LocalFID(mapi.GlobalCounter(s.f.CN)))
	}},
	{mapi.PidTagChangeKey, func(s *shownFolder) mapi.Value {
		key, err := s.changeKey(folderVersion(s.f))
		s.fail(err)
		return mapi.Binary(key)
	}},
	{mapi.PidTagPredecessorChangeList, func(s *shownFolder) mapi.Value {
		list, err := s.predecessors(folderVersion(s.f))
		s.fail(err)
		return mapi.Binary(list.Append(nil))
	}},
	{mapi.PidTagDeletedOn, func(s *shownFolder) mapi.Value {
		if s.deleted == nil {
			return nil
		}
		return mapi.FileTimeOf(s.deleted.records[s.fid].At)
	}},
	{mapi.PidTagCreationTime, func(s *shownFolder) mapi.Value { return mapi.FileTimeOf(s.f.Created) }},
	{mapi.PidTagLastModificationTime, (*shownFolder).modified},
	{mapi.PidTagLocalCommitTime, (*shownFolder).modified},
	{mapi.PidTagLocalCommitTimeMax, func(s *shownFolder) mapi.Value {
		if s.counts.Committed == 0 {
			return s.modified()
		}
		return s.counts.Committed
	}},

	{mapi.PidTagDisplayName, func(s *shownFolder) mapi.Value { return mapi.String(s.f.Name) }},
	{mapi.PidTagContainerClass, func(s *shownFolder) mapi.Value {
		if s.f.Class == "" {
			return nil
		}
		return mapi.String(s.f.Class)
	}},
	{mapi.PidTagContentCount, func(s *shownFolder) mapi.Value { return s.contentCount(s.counts.Messages) }},
	{mapi.PidTagContentUnreadCount, func(s *shownFolder) mapi.Value { return s.contentCount(s.counts.Unseen) }},
	{mapi.PidTagAssociatedContentCount, func(s *shownFolder) mapi.Value { return mapi.Integer32(int32(s.counts.Associated)) }},
	{mapi.PidTagDeletedMessageCount, func(s *shownFolder) mapi.Value { return mapi.Integer32(int32(s.counts.Retained)) }},
	{mapi.PidTagDeletedCountTotal, func(s *shownFolder) mapi.Value { return clip32(s.counts.DeletedTotal) }},
	{mapi.PidTagSubfolders, (*shownFolder).hasSubfolders},
	{mapi.PidTagHierarchyChangeNumber, func(s *shownFolder) mapi.Value { return mapi.Integer32(int32(s.counts.Hierarchy)) }},
	{mapi.PidTagHierRev, (*shownFolder).hierRev},
	{mapi.PidTagDeletedFolderCount, (*shownFolder).deletedBelow},
	{mapi.PidTagHasRules, func(s *shownFolder) mapi.Value { return mapi.Boolean(s.hasRules()) }},
	{mapi.PidTagMessageSize, func(s *shownFolder) mapi.Value { return clip32(s.counts.Used + s.counts.AssociatedUsed) }},
	{mapi.PidTagMessageSizeExtended, func(s *shownFolder) mapi.Value {
		return mapi.Integer64(s.counts.Used + s.counts.AssociatedUsed)
	}},
	{mapi.PidTagNormalMessageSize, func(s *shownFolder) mapi.Value { return clip32(s.counts.Used) }},
	{mapi.PidTagNormalMessageSizeExtended, func(s *shownFolder) mapi.Value { return mapi.Integer64(s.counts.Used) }},
	{mapi.PidTagAssociatedMessageSize, func(s *shownFolder) mapi.Value { return clip32(s.counts.AssociatedUsed) }},
	{mapi.PidTagAssociatedMessageSizeExtended, func(s *shownFolder) mapi.Value { return mapi.Integer64(s.counts.AssociatedUsed) }},
	{mapi.PidTagAccess, (*shownFolder).access},
	{mapi.PidTagAccessLevel, (*shownFolder).accessLevel},
	{mapi.PidTagRights, (*shownFolder).rights},
}, append([]computed[*shownFolder]{
	{mapi.PidTagSourceKey, func(s *shownFolder) mapi.Value { return s.sourceKey(s.fid) }},
	{mapi.PidTagComment, fixedFolder(mapi.String(""))},
	{mapi.PidTagAttributeHidden, fixedFolder(mapi.Boolean(false))},
}, specialFolders...))

// specialFolders are how a client finds special folders: by entry ids that the root and the Inbox have (MS-OXOSFLD
// 2.2.2 to 2.2.6). A client that keeps others there is believed.
var specialFolders = []computed[*shownFolder]{
	{mapi.PidTagIpmAppointmentEntryId, special(0x0F)},
	{mapi.PidTagIpmContactEntryId, special(0x13)},
	{mapi.PidTagIpmJournalEntryId, special(0x10)},
	{mapi.PidTagIpmNoteEntryId, special(0x11)},
	{mapi.PidTagIpmTaskEntryId, special(0x12)},
	{mapi.PidTagIpmDraftsEntryId, special(0x0E)},
	{mapi.PidTagAdditionalRenEntryIds, func(s *shownFolder) mapi.Value {
		return s.entryIDs(0x1A, 0x19, 0x1B, 0x1C, 0x17) // conflicts, sync issues, local and server failures, junk
	}},
	{mapi.PidTagFreeBusyEntryIds, func(s *shownFolder) mapi.Value {
		if ids, ok := s.entryIDs(0x18).(mapi.Binaries); ok {
			return append(mapi.Binaries{{}, {}, {}}, ids...) // the fourth is the free/busy data folder
		}
		return nil
	}},
	{mapi.PidTagAdditionalRenEntryIdsEx, (*shownFolder).persistedIDs},
}

// persistedIDs names the special folder that a client finds by PidTagAdditionalRenEntryIdsEx alone (MS-OXOSFLD 2.2.4): that of
// the actions on conversations. The other folders of that list clients make for themselves, and enter them.
func (s *shownFolder) persistedIDs() mapi.Value {
	id, ok := special(schema.ConversationActions.Counter())(s).(mapi.Binary)
	if !ok {
		return nil
	}
	b, err := binprop.PersistData{Blocks: []binprop.PersistBlock{{ID: binprop.PersistConversations,
		Elements: []binprop.PersistElement{{ID: binprop.ElementEntryID, Data: id}}}}, Trailer: make([]byte, 4)}.Append(nil)
	s.fail(err)
	return mapi.Binary(b)
}

// findsSpecial reports whether a folder is where clients look for special ones.
func (s *shownFolder) findsSpecial() bool {
	personal := s.header.Kind == exmdb.MailboxUser || s.header.Kind == exmdb.MailboxShared || s.header.Kind == exmdb.MailboxResource
	return personal && (s.fid == schema.Root || s.fid == schema.Inbox)
}

func special(id mapi.GlobalCounter) func(*shownFolder) mapi.Value {
	return func(s *shownFolder) mapi.Value {
		if !s.findsSpecial() {
			return nil
		}
		return s.entryID(mapi.LocalFID(id))
	}
}

func (s *shownFolder) entryIDs(ids ...mapi.GlobalCounter) mapi.Value {
	if !s.findsSpecial() {
		return nil
	}
	var list mapi.Binaries
	for _, id := range ids {
		entry, err := s.entryIDOf(mapi.LocalFID(id))
		s.fail(err)
		list = append(list, entry)
	}
	return list
}

// maxFolderBag bounds what a folder's record holds of properties, because folders are listed whole.
const maxFolderBag = 64 << 10

// setFolderBag puts other properties into a folder's record, which the caller writes.
func (t *tx) setFolderBag(f *schema.Folder, old, bag *mapi.PropBag, inline map[space.Hash][]byte) error {
	stored := bag.AppendWire(nil)
	if len(stored) > maxFolderBag {
		return cluster.Errorf(exmdb.KindTooBig, "properties of %d bytes on a folder, %d at most", len(stored), maxFolderBag)
	}
	if err := content.Hold(t.w, content.BagHashes(bag), inline); err != nil {
		return err
	}
	if err := content.Release(t.w, content.BagHashes(old)); err != nil {
		return err
	}
	f.Props = stored
	return nil
}

// writeFolderProps is OpWriteProps on a folder. A new name is a rename, with all that this can be refused for.
func (t *tx) writeFolderProps(req *exmdb.WritePropsRequest) (*exmdb.WritePropsResponse, error) {
	fid := req.Object.Folder
	f, err := t.folder(fid)
	if err != nil {
		return nil, err
	}
	if err := unmoved(req.Base, f.CN); err != nil {
		return nil, err
	}
	e, err := t.newEditor(&req.Payload)
	if err != nil {
		return nil, err
	}
	old, err := folderBag(f)
	if err != nil {
		return nil, err
	}
	d := &folderDraft{tx: t, fid: fid, f: f, name: f.Name}
	bag := clone(old)
	if err := e.change(bag, &req.Set, req.Delete, d.apart); err != nil {
		return nil, err
	}
	if err := d.rename(); err != nil {
		return nil, err
	}
	if d.changed || !sameBag(*old, *bag) {
		if err := t.setFolderBag(f, old, bag, e.staged.inline); err != nil {
			return nil, err
		}
		t.folderChanged(fid, f)
	}
	return &exmdb.WritePropsResponse{Problems: e.problems, CN: f.CN}, nil
}

// folderDraft is a folder in the middle of an edit.
type folderDraft struct {
	*tx
	fid     mapi.FID
	f       *schema.Folder
	name    string
	changed bool
}

// apart takes the properties that are fields of the record.
func (d *folderDraft) apart(t mapi.Tag, v mapi.Value) (mapi.ErrorCode, bool) {
	switch t.ID() {
	case mapi.PidTagDisplayName.ID():
		name, ok := v.(mapi.String)
		if !ok {
			return mapi.ErrorAccessDenied, true
		}
		d.name = string(name)
		return 0, true
	case mapi.PidTagContainerClass.ID():
		class, ok := v.(mapi.String)
		if v != nil && !ok || len(class) > maxLabel {
			return mapi.ErrorInvalidArgument, true
		}
		d.changed = d.changed || d.f.Class != string(class)
		d.f.Class = string(class)
		return 0, true
	case mapi.PidTagSourceKey.ID():
		return mapi.ErrorComputed, true
	case mapi.PidTagLastModificationTime.ID(), mapi.PidTagCreationTime.ID():
		return 0, true
	}
	if find(folderTable.rules, t.WithType(mapi.TypeUnspecified)) != nil {
		return mapi.ErrorComputed, true
	}
	return 0, false
}

// rename gives the folder its new name in the index of names.
func (d *folderDraft) rename() error {
	if d.name == d.f.Name {
		return nil
	}
	if fixed := schema.Fixed(d.fid); fixed != nil {
		return cluster.Errorf(exmdb.KindFixedFolder, "%s is not renamed", d.f.Name)
	}
	parent := mapi.LocalFID(d.f.Parent)
	if err := d.freeName(parent, d.name, d.fid); err != nil {
		return err
	}
	d.w.Delete(schema.FolderNameKey(parent, foldName(d.f.Name)))
	d.f.Name, d.changed = d.name, true
	d.movedBelow(d.f.Parent, 0)
	d.w.Set(schema.FolderNameKey(parent, foldName(d.name)), schema.AppendCounter(d.fid.Counter()))
	return nil
}
