package schema

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// PermissionsKey holds the permissions list of a folder that has one of its own.
func PermissionsKey(f mapi.FID) []byte { return folderKey(PrefixPermissions, f) }

// Permissions is the permissions list of a folder (MS-OXCPERM). It is one record, because who is not the mailbox's own
// has it read with every op.
type Permissions struct {
	Default   exmdb.FolderRights `wire:"1"`
	Anonymous exmdb.FolderRights `wire:"2"`
	Members   []Member           `wire:"3"` // as they were added
	// Last is the last id given to an entry.
	Last    uint32 `wire:"4"`
	Unknown wire.Unknown
}

// Member is an entry of a permissions list. User is the directory GUID of a user or a group.
type Member struct {
	ID     uint32             `wire:"1"`
	User   mapi.GUID          `wire:"2"`
	Rights exmdb.FolderRights `wire:"3"`
	Name   string             `wire:"4"`
}

// DelegatesKey is the one list of who acts for the owner.
func DelegatesKey() []byte { return []byte{PrefixDelegates} }

// Delegates are the delegates of a mailbox's owner (MS-OXODLGT). What they may do in folders is in permissions lists.
type Delegates struct {
	Members []Delegate `wire:"1"`
	Unknown wire.Unknown
}

// Delegate is one of them, a user or a group.
type Delegate struct {
	User mapi.GUID `wire:"1"`
	Name string    `wire:"2"`
	// SendOnBehalf lets him send in the owner's name; SeePrivate shows him what is marked private.
	SendOnBehalf bool `wire:"3"`
	SeePrivate   bool `wire:"4"`
}
