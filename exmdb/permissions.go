package exmdb

import "github.com/flotilla-mail/flotilla/internal/mapi"

// AllRights is everything that a folder's permissions list can grant.
const AllRights = RightReadAny | RightCreate | RightEditOwned | RightDeleteOwned | RightEditAny | RightDeleteAny | RightCreateSubfolder |
	RightFolderOwner | RightFolderContact | RightFolderVisible | RightFreeBusySimple | RightFreeBusyDetailed

// FreeBusyRights are what a calendar grants to those who look for a time (MS-OXCPERM 2.2.7).
const FreeBusyRights = RightFreeBusySimple | RightFreeBusyDetailed

// Ids of the two entries that every permissions list has (MS-OXCPERM 2.2.5).
const (
	// MemberDefault stands for everyone who is signed in and has no entry, nor any group of his.
	MemberDefault int64 = 0
	// MemberAnonymous stands for whoever is not signed in.
	MemberAnonymous int64 = -1
)

// Member is an entry of a folder's permissions list.
type Member struct {
	// ID is PidTagMemberId.
	ID int64 `wire:"1"`
	// User is the directory GUID of a user or group, zero for the two entries above.
	User mapi.GUID `wire:"2"`
	// Name is what the user was called when he got his entry.
	Name   string       `wire:"3"`
	Rights FolderRights `wire:"4"`
}

// PermissionsResponse is a permissions list: the default entry, the anonymous one, then the others as they were added.
type PermissionsResponse struct {
	Members []Member `wire:"1"`
	// CN is the folder's: rights belong to its own properties.
	CN       mapi.Stamp `wire:"2"`
	Sequence uint64     `wire:"3"`
}

// PermissionChangeKind is what becomes of an entry (MS-OXCPERM 2.2.2.1.1). Numbers are the specification's.
type PermissionChangeKind uint8

// The kinds.
const (
	PermissionAdd    PermissionChangeKind = 0x01
	PermissionModify PermissionChangeKind = 0x02
	PermissionRemove PermissionChangeKind = 0x04
)

// PermissionChange adds the entry of Member.User, or changes or removes that of Member.ID. The default and the
// anonymous entry are always there: added they are changed, removed they grant nothing.
type PermissionChange struct {
	Kind   PermissionChangeKind `wire:"1"`
	Member Member               `wire:"2"`
}

// ModifyPermissionsRequest changes a permissions list, all of it or nothing.
type ModifyPermissionsRequest struct {
	Folder mapi.FID `wire:"1"`
	// Replace drops all entries but the default one first; every change then adds.
	Replace bool `wire:"2"`
	// FreeBusy means the free/busy rights too. Without it they stay what they are in each entry.
	FreeBusy bool               `wire:"3"`
	Changes  []PermissionChange `wire:"4"`
}

// EffectiveRightsRequest asks what the caller may do in folders.
type EffectiveRightsRequest struct {
	Folders []mapi.FID `wire:"1"`
}

// EffectiveRightsResponse holds the rights in the order of the folders: none in a folder that is not there.
type EffectiveRightsResponse struct {
	Rights []FolderRights `wire:"1"`
	// Whole says that the caller has all that the mailbox's owner has.
	Whole bool `wire:"2"`
}

// Delegate is who acts for the owner of a mailbox (MS-OXODLGT): a user or a group. What he may do in folders is in their
// permissions lists.
type Delegate struct {
	User mapi.GUID `wire:"1"`
	Name string    `wire:"2"`
	// SendOnBehalf lets him send in the owner's name, with his own beside it; SeePrivate shows him what is marked private.
	SendOnBehalf bool `wire:"3"`
	SeePrivate   bool `wire:"4"`
}

// Delegates are all delegates of a mailbox.
type Delegates struct {
	Members []Delegate `wire:"1"`
}

// DelegateChange changes one delegate of a mailbox, of whom what is nil stays. Whom nothing is left is no delegate any more.
type DelegateChange struct {
	User         mapi.GUID `wire:"1"`
	Name         string    `wire:"2"`
	SendOnBehalf *bool     `wire:"3"`
	SeePrivate   *bool     `wire:"4"`
}

// SendRights is what the caller may do with a mailbox's address, at a moment.
type SendRights struct {
	// As: send as its owner. OnBehalf: send in his name with one's own.
	As       bool `wire:"1"`
	OnBehalf bool `wire:"2"`
	// SeePrivate: be shown what is marked private.
	SeePrivate bool `wire:"3"`
	// Full says that nothing is sent from the mailbox, since it holds Used bytes and sends below Limit only.
	Full  bool   `wire:"4"`
	Used  uint64 `wire:"5"`
	Limit uint64 `wire:"6"`
}
