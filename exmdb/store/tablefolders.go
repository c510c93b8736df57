package store

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// folderSource is the folders below one, right below or on all levels: it implements query.Source. Parents come before
// children and siblings by name. Its stamp is that of the newest change of any folder; counts of messages move without
// it, so views that depend on them are not kept (moving).
type folderSource struct {
	*view
	top   mapi.FID
	depth bool
	stamp mapi.Stamp
	// deleted are the soft-deleted folders, where the rows are of those; nil where they are not.
	deleted *shelf
	// tree is where every folder stands, loaded when it is first needed.
	tree map[mapi.FID]folderPlace
	list []mapi.FID
}

// folderPlace is where a folder stands in a hierarchy table.
type folderPlace struct {
	level   int
	natural []byte
}

func (v *view) folderSource(top mapi.FID, depth bool) (*folderSource, error) {
	if _, err := v.folderCounts(top); err != nil {
		return nil, err
	}
	stamp, err := v.hierarchyStamp()
	return &folderSource{view: v, top: top, depth: depth, stamp: stamp}, err
}

// hierarchyStamp is that of the newest change of any folder. Where tombstones are forgotten it is not below what they had.
func (v *view) hierarchyStamp() (mapi.Stamp, error) {
	changed, err := v.newestStamp(schema.ChangeKey(schema.Hierarchy, 0), schema.ChangeKey(schema.Hierarchy+1, 0))
	if err != nil {
		return 0, err
	}
	gone, err := v.newestStamp(schema.TombstoneKey(schema.Hierarchy, 0), schema.TombstoneKey(schema.Hierarchy+1, 0))
	return max(changed, gone, v.counters.Floor), err
}

// newestStamp is the stamp of the last key in a range, zero if there is none.
func (v *view) newestStamp(lo, hi []byte) (at mapi.Stamp, err error) {
	it := v.r.Iter(lo, hi)
	defer closing(it, &err)
	if !it.Last() {
		return 0, nil
	}
	return schema.ParseStampKey(it.Key())
}

// Stamp implements query.Source.
func (s *folderSource) Stamp() mapi.Stamp { return s.stamp }

// Len implements query.Source.
func (s *folderSource) Len() int { return len(s.list) }

// load walks the hierarchy, without what the caller may not see.
func (s *folderSource) load() error {
	if s.tree != nil {
		return nil
	}
	s.tree = make(map[mapi.FID]folderPlace)
	if s.deleted != nil {
		return s.descendDeleted(s.top, 0)
	}
	return s.descend(s.top, 0)
}

// add lists a folder.
func (s *folderSource) add(fid mapi.FID, level int) {
	s.tree[fid] = folderPlace{level, binary.BigEndian.AppendUint32(nil, uint32(len(s.list)))}
	s.list = append(s.list, fid)
}

func (s *folderSource) descend(fid mapi.FID, level int) error {
	below, err := s.children(fid)
	if err != nil {
		return err
	}
	for _, child := range below {
		seen, err := s.sees(child)
		if err != nil {
			return err
		}
		if seen {
			s.add(child, level)
		}
		if s.depth && level < maxDepth {
			if err := s.descend(child, level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Scan implements query.Source.
func (s *folderSource) Scan(from query.Mark, fn func(query.Row, query.Mark) (bool, error)) error {
	if err := s.load(); err != nil {
		return err
	}
	for i := int(from.Minor); i < len(s.list); i++ {
		r, err := s.Row(uint64(s.list[i]))
		if err != nil {
			return err
		}
		if more, err := fn(r, query.Mark{Minor: uint64(i) + 1}); err != nil || !more {
			return err
		}
	}
	return nil
}

// Since implements query.Source. A folder that moved takes those below it along, which were not touched, and a new name
// moves it among others: the table is made anew.
func (s *folderSource) Since(mapi.Stamp, func(query.Touched) (bool, error)) error {
	return query.ErrForgotten
}

// Row implements query.Source.
func (s *folderSource) Row(id uint64) (query.Row, error) {
	if err := s.load(); err != nil {
		return nil, err
	}
	at, there := s.tree[mapi.FID(id)]
	if !there {
		return nil, nil
	}
	show := s.showFolder
	if s.deleted != nil {
		show = s.showDeletedFolder
	}
	f, err := show(mapi.FID(id))
	if err != nil {
		return nil, err
	}
	return &tableRow{shown: &folderInTable{f, at.level}, r: s.r, id: id, natural: at.natural}, nil
}

// folderInTable is a folder with its level below the table's folder (PidTagDepth).
type folderInTable struct {
	*shownFolder
	level int
}

func (f *folderInTable) value(t mapi.Tag) (mapi.Prop, bool) {
	if t.ID() == mapi.PidTagDepth.ID() {
		return mapi.Prop{Tag: mapi.PidTagDepth, Value: mapi.Integer32(f.level)}, true
	}
	return f.shownFolder.value(t)
}

// moving are properties of folders that move without a change of the folder.
var moving = map[mapi.Tag]bool{
	mapi.PidTagContentCount: true, mapi.PidTagContentUnreadCount: true, mapi.PidTagAssociatedContentCount: true,
	mapi.PidTagDeletedCountTotal: true, mapi.PidTagMessageSize: true, mapi.PidTagMessageSizeExtended: true,
	mapi.PidTagNormalMessageSize: true, mapi.PidTagNormalMessageSizeExtended: true, mapi.PidTagAssociatedMessageSize: true,
	mapi.PidTagAssociatedMessageSizeExtended: true, mapi.PidTagLocalCommitTimeMax: true, mapi.PidTagDeletedMessageCount: true,
	mapi.PidTagDeletedFolderCount: true, mapi.PidTagHasRules: true, mapi.PidTagFolderFlags: true,
}

// permissionSource is the permissions list of a folder (MS-OXCPERM 2.2.4). The directory's GUID of a member stands in
// place of an entry id, which only the directory can make of it.
func (v *view) permissionSource(fid mapi.FID) (*fixedSource, error) {
	list, err := folderPermissions(v, &exmdb.FolderRequest{Folder: fid})
	if err != nil {
		return nil, err
	}
	rows := make([]*tableRow, len(list.Members))
	for i := range list.Members {
		m := &list.Members[i]
		bag := new(mapi.PropBag)
		bag.Set(mapi.PidTagMemberId, mapi.Integer64(m.ID))
		bag.Set(mapi.PidTagMemberName, mapi.String(m.Name))
		bag.Set(mapi.PidTagMemberRights, mapi.Integer32(m.Rights))
		switch {
		case !m.User.IsZero():
			bag.Set(mapi.PidTagRecordKey, mapi.Binary(m.User[:]))
		case m.ID == exmdb.MemberAnonymous:
			bag.Set(mapi.PidTagMemberName, mapi.String("Anonymous"))
		}
		rows[i] = &tableRow{shown: bagProps{bag}, r: v.r, id: uint64(i)}
	}
	return newFixedSource(list.CN, rows), nil
}

// ruleSource is the rules of a folder (MS-OXORULE 2.2.2). No stamp tells when they change, so the sequence does.
func (v *view) ruleSource(fid mapi.FID) (*fixedSource, error) {
	list, err := getRules(v, &exmdb.GetRulesRequest{Folder: fid})
	if err != nil {
		return nil, err
	}
	rows := make([]*tableRow, len(list.Rules))
	for i := range list.Rules {
		rows[i] = &tableRow{shown: bagProps{&list.Rules[i]}, r: v.r, id: uint64(i)}
	}
	return newFixedSource(mapi.Stamp(list.Sequence), rows), nil
}

// source is the objects that the rows of a table are.
func (v *view) source(s *exmdb.TableSpec) (query.Source, error) {
	switch s.Kind {
	case exmdb.TableContents, exmdb.TableAssociated:
		if s.Object.Deleted {
			return v.shelvedSource(s.Object.Folder, s.Kind == exmdb.TableAssociated)
		}
		c, err := v.folderCounts(s.Object.Folder)
		if err != nil {
			return nil, err
		}
		if c.Search && s.Kind == exmdb.TableContents {
			return v.searchSource(s.Object.Folder)
		}
		return v.messageSource(s.Object.Folder, s.Kind == exmdb.TableAssociated, c)
	case exmdb.TableDeleted, exmdb.TableDeletedAssociated:
		return v.deletedSource(s.Object.Folder, s.Kind == exmdb.TableDeletedAssociated)
	case exmdb.TableHierarchy:
		return v.folderSource(s.Object.Folder, s.Depth)
	case exmdb.TableDeletedFolders:
		return v.deletedFolderSource(s.Object.Folder, s.Depth)
	case exmdb.TableAttachments:
		return v.partSource(&s.Object, mapi.PidTagMessageAttachments)
	case exmdb.TableRecipients:
		return v.partSource(&s.Object, mapi.PidTagMessageRecipients)
	case exmdb.TablePermissions:
		return v.permissionSource(s.Object.Folder)
	case exmdb.TableRules:
		return v.ruleSource(s.Object.Folder)
	}
	return nil, cluster.Errorf(cluster.KindBadRequest, "a table of kind %d", s.Kind)
}
