package archive

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/version"
)

// ofTheMailbox are properties of messages and folders that say which object of which mailbox it is, or that a store computes:
// another mailbox gives its own. ofTheFolder are those of folders that the record has by itself, or that are counted.
var (
	ofTheMailbox = ids(
		importKey, mapi.PidTagEntryId, mapi.PidTagRecordKey, mapi.PidTagParentEntryId, mapi.PidTagMid, mapi.PidTagInstID, mapi.PidTagInstanceNum,
		mapi.PidTagFolderId, mapi.PidTagParentFolderId, mapi.PidTagSourceKey, mapi.PidTagParentSourceKey, mapi.PidTagStoreRecordKey,
		mapi.PidTagMappingSignature, mapi.PidTagObjectType, mapi.PidTagInternetArticleNumber, mapi.PidTagChangeNumber, mapi.PidTagChangeKey,
		mapi.PidTagPredecessorChangeList, mapi.PidTagLastModificationTime, mapi.PidTagLocalCommitTime, mapi.PidTagAccess,
		mapi.PidTagAccessLevel, mapi.PidTagMessageSize, mapi.PidTagMessageSizeExtended, mapi.PidTagHasAttachments,
		mapi.PidTagHasNamedProperties, mapi.PidTagConversationId, mapi.PidTagAssociated, mapi.PidTagRead)
	ofTheFolder = ids(
		mapi.PidTagLocalCommitTimeMax, mapi.PidTagRights, mapi.PidTagFolderType, mapi.PidTagContentCount, mapi.PidTagContentUnreadCount,
		mapi.PidTagAssociatedContentCount, mapi.PidTagDeletedMessageCount, mapi.PidTagDeletedCountTotal, mapi.PidTagSubfolders,
		mapi.PidTagHasRules, mapi.PidTagNormalMessageSize, mapi.PidTagNormalMessageSizeExtended, mapi.PidTagAssociatedMessageSize,
		mapi.PidTagAssociatedMessageSizeExtended, mapi.PidTagDisplayName, mapi.PidTagContainerClass, mapi.PidTagCreationTime)
)

// ofTheStore are properties of a mailbox that the store computes, or that are settings with a place of their own.
var ofTheStore = ids(
	mapi.PidTagRecordKey, mapi.PidTagStoreRecordKey, mapi.PidTagMappingSignature, mapi.PidTagObjectType, mapi.PidTagIpmSubtreeEntryId,
	mapi.PidTagIpmOutboxEntryId, mapi.PidTagIpmWastebasketEntryId, mapi.PidTagIpmSentMailEntryId, mapi.PidTagViewsEntryId,
	mapi.PidTagCommonViewsEntryId, mapi.PidTagFinderEntryId, mapi.PidTagValidFolderMask, mapi.PidTagStorageQuotaLimit,
	mapi.PidTagProhibitSendQuota, mapi.PidTagProhibitReceiveQuota, mapi.PidTagMessageSize, mapi.PidTagMessageSizeExtended,
	mapi.PidTagContentCount, mapi.PidTagCreationTime, mapi.PidTagOutOfOfficeState)

// ofTheOctets are long properties of a received mail that its octets say.
var ofTheOctets = ids(mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed, mapi.PidTagTransportMessageHeaders)

func ids(tags ...mapi.Tag) map[uint16]bool {
	set := make(map[uint16]bool, len(tags))
	for _, t := range tags {
		set[t.ID()] = true
	}
	return set
}

// byName puts the properties of a bag under ids of names, and leaves out those that no name is known of (MAILBOX 5).
func byName(bag *mapi.PropBag, known func(uint16) (mapi.PropertyName, bool), names *oxcmsg.Names) mapi.PropBag {
	var out mapi.PropBag
	for _, p := range bag.All() {
		if p.Tag.Named() {
			name, ok := known(p.Tag.ID())
			if !ok {
				continue
			}
			id, ok := names.ID(name)
			if !ok {
				continue
			}
			p.Tag = mapi.NewTag(id, p.Tag.Type())
		}
		out.Set(p.Tag, p.Value)
	}
	return out
}

// without takes properties out of a bag.
func without(bag *mapi.PropBag, lists ...map[uint16]bool) {
	for _, p := range slices.Clone(bag.All()) {
		for _, list := range lists {
			if list[p.Tag.ID()] {
				bag.Delete(p.Tag)
			}
		}
	}
}

// writeArchive exports everything that ops can read of folders and messages.
func (j *job) writeArchive() error {
	out, err := create(j.Path)
	if err != nil {
		return err
	}
	p, err := newPacker(out)
	if err == nil {
		err = j.pack(p)
	}
	return out.finish(err)
}

func (j *job) pack(p *packer) error {
	info, err := do(j, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return err
	}
	err = p.record(frameHead, &head{Replica: info.ReplicaGUID, Mailbox: j.Mailbox, Made: time.Now().UTC(), Program: version.Get().Release, Octets: uint64(j.done.Of)})
	if err != nil {
		return err
	}
	names, err := j.packNames(p)
	if err != nil {
		return err
	}
	folders := j.chosen()
	for _, f := range j.withAncestors(folders) {
		if err := j.packFolder(p, f); err != nil {
			return err
		}
	}
	for _, f := range folders {
		j.done.Folder = j.tree.path(f.FID)
		for _, at := range places(f) {
			if err := j.packMessages(p, at); err != nil {
				return err
			}
		}
	}
	if err := j.packAllSettings(p, folders, nameIn(names)); err != nil {
		return err
	}
	return p.record(frameEnd, &endRecord{Messages: uint64(j.done.Messages)})
}

// places are where a folder may have messages: a search folder has associated ones only.
func places(f *exmdb.Folder) []place {
	list := []place{{folder: f.FID, associated: true}, {folder: f.FID, associated: true, deleted: true}}
	if f.Search {
		return list
	}
	return slices.Concat([]place{{folder: f.FID}, {folder: f.FID, deleted: true}}, list)
}

// withAncestors are folders and those above them, parents first.
func (j *job) withAncestors(folders []*exmdb.Folder) []*exmdb.Folder {
	wanted := map[mapi.FID]bool{}
	for _, f := range folders {
		for at := f; at != nil; at = j.tree.byID[at.Parent] {
			wanted[at.FID] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(j.tree.list), func(f *exmdb.Folder) bool { return !wanted[f.FID] })
}

func (j *job) packFolder(p *packer, f *exmdb.Folder) error {
	props, err := do(j, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Folder: f.FID}, Names: true})
	if err != nil {
		return fmt.Errorf("read folder %q: %w", f.Name, err)
	}
	rights, err := do(j, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: f.FID})
	if err != nil {
		return fmt.Errorf("read rights of folder %q: %w", f.Name, err)
	}
	without(&props.Props, ofTheMailbox, ofTheFolder)
	names := &oxcmsg.Names{}
	if err := j.inlineBag(exmdb.ObjectID{Folder: f.FID}, &props.Props); err != nil {
		return fmt.Errorf("read folder %q: %w", f.Name, err)
	}
	rec := &folderRecord{FID: f.FID, Parent: f.Parent, Name: f.Name, Class: f.Class, Use: f.SpecialUse, Fixed: f.Fixed, Members: rights.Members, Search: f.Search}
	rec.Props = byName(&props.Props, nameIn(props.Names), names)
	rec.Names = names.List()
	return p.record(frameFolder, rec)
}

// packMessages writes the messages of a place; extended rules behind the others, since they may name one as a template.
func (j *job) packMessages(p *packer, at place) error {
	if at.deleted {
		return j.deleted(at, nil, func(m *exmdb.DeletedMessage) error { return j.packOne(p, at, m.State.MID) })
	}
	var last []mapi.MID
	err := j.rows(at, []mapi.Tag{mapi.PidTagMessageClass}, func(row *exmdb.TableRow) error {
		mid := mapi.MID(row.ID.ID)
		if at.associated && isExtendedRule(&row.Props) {
			last = append(last, mid)
			return nil
		}
		return j.packOne(p, at, mid)
	})
	for _, mid := range last {
		if err == nil {
			err = j.packOne(p, at, mid)
		}
	}
	return err
}

// packOne writes a message, again if it was changed while it was read.
func (j *job) packOne(p *packer, at place, mid mapi.MID) error {
	what := fmt.Sprintf("%s, item %#x", j.done.Folder, uint64(mid))
	for try := 1; ; try++ {
		m, err := j.message(at.object(mid))
		if err == nil {
			err = j.packMessage(p, at, m)
		}
		switch {
		case err == nil:
			j.carried(int64(m.State.Size))
			return nil
		case bad(err) && cluster.KindOf(err) != exmdb.KindNoMessage && try < tries:
			continue
		}
		return j.each(what, err)
	}
}

func (j *job) packMessage(p *packer, at place, m *exmdb.ReadMessageResponse) error {
	st := &m.State
	mail := st.UID != 0 && !st.Rendered
	begin := &beginRecord{Folder: at.folder, MID: st.MID, Associated: at.associated, Size: st.Size, Deleted: at.deleted}
	if err := p.record(frameBegin, begin); err != nil {
		return err
	}
	if mail {
		if err := j.packOctets(p, at, st); err != nil {
			return err
		}
		m.Content.Recipients, m.Content.Attachments = nil, nil
		without(&m.Content.Props, ofTheOctets)
	}
	rec := &messageRecord{Mail: mail, Flags: st.Flags, Received: st.Received, ChangeKey: st.ChangeKey, PCL: st.PCL}
	if at, ok := m.Content.Props.Get(mapi.PidTagLastModificationTime).(mapi.FileTime); ok {
		rec.Modified = at.Time()
	}
	if !mail {
		withoutDefaults(&m.Content.Props)
	}
	without(&m.Content.Props, ofTheMailbox)
	names, known := &oxcmsg.Names{}, nameIn(m.Names)
	err := eachBag(&m.Content, at.object(st.MID), func(at exmdb.ObjectID, bag *mapi.PropBag) error {
		if err := j.packValues(p, at, bag, st.CN); err != nil {
			return err
		}
		*bag = byName(bag, known, names)
		return nil
	})
	if err != nil {
		return err
	}
	rec.Content, rec.Names = m.Content, names.List()
	return p.record(frameRecord, rec)
}

func (j *job) packOctets(p *packer, at place, st *exmdb.MessageState) error {
	if at.deleted {
		_, err := io.CopyBuffer(pieces{p}, readOnly{&deletedOctets{j: j, folder: at.folder, mid: st.MID}}, make([]byte, exmdb.MaxReadBytes))
		return err
	}
	page, err := do(j, exmdb.OpRows, &exmdb.RowsRequest{Folder: at.folder, UIDs: []exmdb.UIDRange{{First: st.UID, Last: st.UID}}, Fields: exmdb.RowMeta})
	if err != nil {
		return err
	}
	if len(page.Rows) != 1 {
		return cluster.Errorf(exmdb.KindConflict, "it was changed meanwhile")
	}
	return j.octets(pieces{p}, at.folder, &page.Rows[0])
}

// deletedOctets reads the octets of a soft-deleted mail.
type deletedOctets struct {
	j      *job
	folder mapi.FID
	mid    mapi.MID
	at     uint64
}

// Read implements io.Reader.
func (o *deletedOctets) Read(p []byte) (int, error) {
	resp, err := do(o.j, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: o.folder, Deleted: o.mid, Offset: o.at, Length: uint32(min(len(p), exmdb.MaxReadBytes))})
	if err != nil {
		return 0, err
	}
	if len(resp.Data) == 0 {
		return 0, io.EOF
	}
	o.at += uint64(len(resp.Data))
	return copy(p, resp.Data), nil
}

// pieces writes octets of a mail as frames.
type pieces struct{ p *packer }

// Write implements io.Writer.
func (w pieces) Write(b []byte) (int, error) { return len(b), w.p.frame(frameOctets, b) }

// packValues writes the long values of a bag, with references to the pieces in their place.
func (j *job) packValues(p *packer, at exmdb.ObjectID, bag *mapi.PropBag, base mapi.Stamp) error {
	buf := make([]byte, 0)
	for _, prop := range bag.All() {
		ref, is := prop.Value.(mapi.Reference)
		if !is || at.Message == 0 {
			continue
		}
		if cap(buf) == 0 {
			buf = make([]byte, exmdb.MaxChunk)
		}
		r := &valueReader{j: j, object: at, tag: prop.Tag, base: base}
		var cut mapi.Reference
		for left := ref.Size(); left > 0; {
			n, err := io.ReadFull(r, buf[:min(left, exmdb.MaxChunk)])
			if err != nil {
				return fmt.Errorf("read property %v: %w", prop.Tag, err)
			}
			if err := p.frame(frameValue, buf[:n]); err != nil {
				return err
			}
			cut = append(cut, mapi.ContentRef{Hash: hashOf(buf[:n]), Size: uint32(n)})
			left -= uint64(n)
		}
		bag.Set(prop.Tag, cut)
	}
	return nil
}
