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
	folders := j.chosen()
	for _, f := range j.withAncestors(folders) {
		if err := j.packFolder(p, f); err != nil {
			return err
		}
	}
	for _, f := range folders {
		j.done.Folder = j.tree.path(f.FID)
		for _, associated := range []bool{false, true} {
			if err := j.packMessages(p, place{f.FID, associated}); err != nil {
				return err
			}
		}
	}
	return p.record(frameEnd, &endRecord{Messages: uint64(j.done.Messages)})
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
	rec := &folderRecord{FID: f.FID, Parent: f.Parent, Name: f.Name, Class: f.Class, Use: f.SpecialUse, Fixed: f.Fixed, Members: rights.Members}
	rec.Props = byName(&props.Props, nameIn(props.Names), names)
	rec.Names = names.List()
	return p.record(frameFolder, rec)
}

func (j *job) packMessages(p *packer, at place) error {
	return j.rows(at, []mapi.Tag{mapi.PidTagMid}, func(row *exmdb.TableRow) error {
		what := fmt.Sprintf("%s, item %#x", j.done.Folder, row.ID.ID)
		for try := 1; ; try++ {
			m, err := j.message(at.folder, mapi.MID(row.ID.ID))
			if err == nil {
				err = j.packMessage(p, at, m)
			}
			switch {
			case err == nil:
				j.carried(int64(m.State.Size))
				return nil
			case bad(err) && cluster.KindOf(err) != exmdb.KindNoMessage && try < tries: // it was changed while it was read
				continue
			}
			return j.each(what, err)
		}
	})
}

func (j *job) packMessage(p *packer, at place, m *exmdb.ReadMessageResponse) error {
	st := &m.State
	mail := st.UID != 0 && !st.Rendered
	begin := &beginRecord{Folder: at.folder, MID: st.MID, Associated: at.associated, Size: st.Size}
	if err := p.record(frameBegin, begin); err != nil {
		return err
	}
	if mail {
		if err := j.packOctets(p, at.folder, st.UID); err != nil {
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
	err := eachBag(&m.Content, exmdb.ObjectID{Folder: at.folder, Message: st.MID}, func(at exmdb.ObjectID, bag *mapi.PropBag) error {
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

func (j *job) packOctets(p *packer, folder mapi.FID, uid mapi.UID) error {
	page, err := do(j, exmdb.OpRows, &exmdb.RowsRequest{Folder: folder, UIDs: []exmdb.UIDRange{{First: uid, Last: uid}}, Fields: exmdb.RowMeta})
	if err != nil {
		return err
	}
	if len(page.Rows) != 1 {
		return cluster.Errorf(exmdb.KindConflict, "it was changed meanwhile")
	}
	return j.octets(pieces{p}, folder, &page.Rows[0])
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
