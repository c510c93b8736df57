package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

const (
	// maxMembers bounds a permissions list, which is read with every op of who is not the mailbox's own.
	maxMembers = 1000
	// maxFoldersAsked bounds the folders of one request for rights.
	maxFoldersAsked = 10_000
)

// roleAuthor is what everybody may do in the folders of a public mailbox until someone says otherwise, as in Exchange.
const roleAuthor = exmdb.RightReadAny | exmdb.RightCreate | exmdb.RightEditOwned | exmdb.RightDeleteOwned | exmdb.RightFolderVisible

// firstPermissions is the list of a folder that has none of its own. Calendars tell everybody when someone is busy.
func firstPermissions(kind exmdb.MailboxKind, fid mapi.FID) schema.Permissions {
	switch {
	case kind == exmdb.MailboxPublic && fid == schema.IPMSubtree:
		return schema.Permissions{Default: roleAuthor}
	case kind == exmdb.MailboxPublic && fid == schema.Root:
		return schema.Permissions{Default: exmdb.RightFolderVisible}
	case kind != exmdb.MailboxPublic && fid == schema.Calendar:
		return schema.Permissions{Default: exmdb.RightFreeBusySimple}
	}
	return schema.Permissions{}
}

// permissions reads the permissions list of a folder.
func (v *view) permissions(fid mapi.FID) (*schema.Permissions, error) {
	list := new(schema.Permissions)
	found, err := load(v.r, schema.PermissionsKey(fid), list)
	if err == nil && !found {
		*list = firstPermissions(v.header.Kind, fid)
	}
	return list, err
}

// granted is what a list grants a caller: the entry of the user himself, else everything that entries of his groups
// grant, else the default entry. Who is not signed in has the anonymous one.
func granted(list *schema.Permissions, as *exmdb.Identity) exmdb.FolderRights {
	if as.User.IsZero() {
		return list.Anonymous
	}
	byGroup, found := exmdb.FolderRights(0), false
	for i := range list.Members {
		m := &list.Members[i]
		if m.User == as.User {
			return m.Rights
		}
		if slices.Contains(as.Groups, m.User) {
			byGroup |= m.Rights
			found = true
		}
	}
	if found {
		return byGroup
	}
	return list.Default
}

// rightsIn is what the caller may do in a folder.
func (v *view) rightsIn(fid mapi.FID) (exmdb.FolderRights, error) {
	if v.whole {
		return allRights, nil
	}
	if rights, known := v.rights[fid]; known {
		return rights, nil
	}
	list, err := v.permissions(fid)
	if err != nil {
		return 0, err
	}
	rights := granted(list, v.as)
	if fid == schema.ConversationActions { // what is in it files mail of the whole mailbox
		rights &^= exmdb.RightFolderOwner
	}
	if v.rights == nil {
		v.rights = make(map[mapi.FID]exmdb.FolderRights)
	}
	v.rights[fid] = rights
	return rights, nil
}

// sees reports whether a folder is there for the caller.
func (v *view) sees(fid mapi.FID) (bool, error) {
	rights, err := v.rightsIn(fid)
	return rights&canSee != 0, err
}

// anywhere reports whether the caller has one of some rights in any folder.
func (v *view) anywhere(of exmdb.FolderRights) (bool, error) {
	if v.whole {
		return true, nil
	}
	for i := range schema.FixedFolders {
		if f := &schema.FixedFolders[i]; f.In(v.header.Kind) {
			first := firstPermissions(v.header.Kind, f.FID())
			if granted(&first, v.as)&of == 0 {
				continue
			}
			if rights, err := v.rightsIn(f.FID()); err != nil || rights&of != 0 {
				return true, err
			}
		}
	}
	has := false
	err := v.each([]byte{schema.PrefixPermissions}, []byte{schema.PrefixPermissions + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		var list schema.Permissions
		if has {
			return nil
		}
		if err := schema.Decode(b, &list); err != nil || granted(&list, v.as)&of == 0 {
			return err
		}
		there, err := v.r.Get(schema.FolderCountsKey(fid)) // deleted folders keep their lists
		has = there != nil
		return err
	})
	return has, err
}

// creator is whom a new item belongs to: nobody apart where it is the mailbox's own.
func (v *view) creator() mapi.GUID {
	if v.as.User == v.header.Owner {
		return mapi.GUID{}
	}
	return v.as.User
}

// mine reports whether the caller made a message.
func (v *view) mine(row *schema.Row) bool { return !v.as.User.IsZero() && row.Creator == v.as.User }

// shows reports whether an op may touch a message of a folder, and remembers that there was one that it may not.
func (v *view) shows(fid mapi.FID, row *schema.Row) bool {
	if v.confined[fid] && !v.mine(row) {
		v.passedOver = true
		return false
	}
	return true
}

// showsStored is shows for a row as it is stored.
func (v *view) showsStored(fid mapi.FID, stored []byte) (bool, error) {
	if !v.confined[fid] {
		return true, nil
	}
	var row schema.Row
	err := row.UnmarshalWire(stored)
	return err == nil && v.shows(fid, &row), err
}

// inherit gives a new folder the permissions of the one above it (MS-OXCFOLD 3.2.5.2), and all rights to whoever made it
// in a mailbox that is not his own.
func (t *tx) inherit(fid, parent mapi.FID) error {
	list, err := t.permissions(parent)
	if err != nil {
		return err
	}
	if !t.whole && !t.as.User.IsZero() {
		setMember(list, schema.Member{User: t.as.User, Rights: allRights &^ exmdb.FreeBusyRights})
	}
	if list.Default != 0 || list.Anonymous != 0 || len(list.Members) > 0 {
		t.set(schema.PermissionsKey(fid), list)
	}
	return nil
}

// setMember gives a user the rights of m, in his entry or a new one.
func setMember(list *schema.Permissions, m schema.Member) {
	for i := range list.Members {
		if list.Members[i].User == m.User {
			list.Members[i].Rights = m.Rights
			return
		}
	}
	list.Last++
	m.ID = list.Last
	list.Members = append(list.Members, m)
}

// completed adds the rights that others cannot be had without (MS-OXCPERM 2.2.7).
func completed(r exmdb.FolderRights) exmdb.FolderRights {
	for _, each := range []struct{ one, other exmdb.FolderRights }{
		{exmdb.RightEditAny, exmdb.RightEditOwned}, {exmdb.RightDeleteAny, exmdb.RightDeleteOwned},
		{exmdb.RightFreeBusyDetailed, exmdb.RightFreeBusySimple},
	} {
		if r&each.one != 0 {
			r |= each.other
		}
	}
	return r
}

func folderPermissions(v *view, req *exmdb.FolderRequest) (*exmdb.PermissionsResponse, error) {
	f, err := v.folder(req.Folder)
	if err != nil {
		return nil, err
	}
	list, err := v.permissions(req.Folder)
	return v.describePermissions(list, f.CN), err
}

func (v *view) describePermissions(list *schema.Permissions, cn mapi.Stamp) *exmdb.PermissionsResponse {
	resp := &exmdb.PermissionsResponse{CN: cn, Sequence: v.r.Sequence(), Members: []exmdb.Member{
		{ID: exmdb.MemberDefault, Rights: list.Default}, {ID: exmdb.MemberAnonymous, Rights: list.Anonymous}}}
	for i := range list.Members {
		m := &list.Members[i]
		resp.Members = append(resp.Members, exmdb.Member{ID: int64(m.ID), User: m.User, Name: m.Name, Rights: m.Rights})
	}
	return resp
}

// modifyPermissions is OpModifyPermissions (MS-OXCPERM 2.2.2.1).
func modifyPermissions(t *tx, req *exmdb.ModifyPermissionsRequest) (*exmdb.PermissionsResponse, error) {
	f, err := t.folder(req.Folder)
	if err != nil {
		return nil, err
	}
	list, err := t.permissions(req.Folder)
	if err != nil {
		return nil, err
	}
	was := wire.Marshal(list)
	e := listEdit{Permissions: list, freeBusy: req.FreeBusy, before: make(map[mapi.GUID]exmdb.FolderRights)}
	for i := range list.Members {
		e.before[list.Members[i].User] = list.Members[i].Rights
	}
	if req.Replace {
		list.Members = nil
		list.Anonymous = e.rights(0, list.Anonymous)
	}
	for i := range req.Changes {
		c := &req.Changes[i]
		if req.Replace && c.Kind != exmdb.PermissionAdd {
			return nil, cluster.Errorf(cluster.KindBadRequest, "change %d of a list that is replaced is of kind %d", i, c.Kind)
		}
		if err := e.change(c); err != nil {
			return nil, err
		}
	}
	if len(list.Members) > maxMembers {
		return nil, cluster.Errorf(cluster.KindTooLarge, "permissions list of %d entries, %d at most", len(list.Members), maxMembers)
	}
	if string(wire.Marshal(list)) != string(was) {
		t.set(schema.PermissionsKey(req.Folder), list)
		t.folderChanged(req.Folder, f)
	}
	return t.describePermissions(list, f.CN), nil
}

// listEdit is a permissions list in the middle of its changes.
type listEdit struct {
	*schema.Permissions
	// freeBusy: the free/busy rights of the request count.
	freeBusy bool
	// before are the rights of each user at the start: an entry that comes back keeps its free/busy rights.
	before map[mapi.GUID]exmdb.FolderRights
}

// rights is what an entry has afterwards, of what is asked and what it had.
func (e *listEdit) rights(asked, had exmdb.FolderRights) exmdb.FolderRights {
	if !e.freeBusy {
		asked = asked&^exmdb.FreeBusyRights | had&exmdb.FreeBusyRights
	}
	return completed(asked)
}

func (e *listEdit) change(c *exmdb.PermissionChange) error {
	m := &c.Member
	if m.Rights&^exmdb.AllRights != 0 || len(m.Name) > maxLabel {
		return cluster.Errorf(cluster.KindBadRequest, "entry with rights %#x and a name of %d bytes", m.Rights, len(m.Name))
	}
	if reserved := e.reserved(m); reserved != nil {
		return e.changeReserved(reserved, c)
	}
	switch c.Kind {
	case exmdb.PermissionAdd:
		if m.User.IsZero() {
			return cluster.Errorf(cluster.KindBadRequest, "entry of nobody")
		}
		setMember(e.Permissions, schema.Member{User: m.User, Name: m.Name, Rights: e.rights(m.Rights, e.before[m.User])})
		return nil
	case exmdb.PermissionModify, exmdb.PermissionRemove:
	default:
		return cluster.Errorf(cluster.KindBadRequest, "change of kind %d", c.Kind)
	}
	at := slices.IndexFunc(e.Members, func(has schema.Member) bool { return int64(has.ID) == m.ID })
	if at < 0 {
		return cluster.Errorf(exmdb.KindNoMember, "no entry %d in the list", m.ID)
	}
	if c.Kind == exmdb.PermissionRemove {
		e.Members = slices.Delete(e.Members, at, at+1)
		return nil
	}
	e.Members[at].Rights = e.rights(m.Rights, e.Members[at].Rights)
	return nil
}

// reserved is where the rights of an entry are that every list has, nil for another one.
func (e *listEdit) reserved(m *exmdb.Member) *exmdb.FolderRights {
	switch {
	case !m.User.IsZero():
		return nil
	case m.ID == exmdb.MemberDefault:
		return &e.Default
	case m.ID == exmdb.MemberAnonymous:
		return &e.Anonymous
	}
	return nil
}

func (e *listEdit) changeReserved(rights *exmdb.FolderRights, c *exmdb.PermissionChange) error {
	switch c.Kind {
	case exmdb.PermissionAdd, exmdb.PermissionModify:
		*rights = e.rights(c.Member.Rights, *rights)
	case exmdb.PermissionRemove:
		*rights = e.rights(0, *rights)
	default:
		return cluster.Errorf(cluster.KindBadRequest, "change of kind %d", c.Kind)
	}
	return nil
}

// effectiveRights is OpEffectiveRights.
func effectiveRights(v *view, req *exmdb.EffectiveRightsRequest) (*exmdb.EffectiveRightsResponse, error) {
	if len(req.Folders) > maxFoldersAsked {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d folders at once, %d at most", len(req.Folders), maxFoldersAsked)
	}
	resp := &exmdb.EffectiveRightsResponse{Rights: make([]exmdb.FolderRights, len(req.Folders)), Whole: v.whole}
	for i, fid := range req.Folders {
		if _, err := v.folderCounts(fid); err != nil {
			if cluster.KindOf(err) == exmdb.KindNoFolder {
				continue
			}
			return nil, err
		}
		var err error
		if resp.Rights[i], err = v.rightsIn(fid); err != nil {
			return nil, err
		}
	}
	return resp, nil
}
