package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// DeleteMessagesRequest deletes messages of a folder by MID. They go into the folder's soft-deleted set, from which they
// can be recovered for a while, or with Hard for good.
type DeleteMessagesRequest struct {
	Folder   mapi.FID   `wire:"1"`
	Messages []mapi.MID `wire:"2"`
	Hard     bool       `wire:"3"`
	// NotifyUnread has the senders of unread messages told that theirs were deleted, where they asked (MS-OXCFOLD 2.2.1.11).
	NotifyUnread bool `wire:"4"`
}

// DeleteMessagesResponse says what was deleted. Missing, Next and Denied are as in MarkMessagesResponse.
type DeleteMessagesResponse struct {
	Deleted uint32     `wire:"1"`
	Missing []mapi.MID `wire:"2"`
	Next    uint32     `wire:"3"`
	Denied  bool       `wire:"4"`
	// ModSeq is the stamp of the deletion, zero if nothing was deleted.
	ModSeq mapi.Stamp `wire:"5"`
}

// DeletedRequest asks for the soft-deleted messages of a folder that were deleted after another, in that order. At most
// Limit and about 1 MiB come in one answer.
type DeletedRequest struct {
	Folder mapi.FID `wire:"1"`
	// After and AfterMessage are At and MID of the last one of the page before.
	After        time.Time `wire:"2"`
	AfterMessage mapi.MID  `wire:"3"`
	Limit        uint32    `wire:"4"`
	// Tags are the properties wanted of each.
	Tags []mapi.Tag `wire:"5"`
}

// DeletedMessage is a soft-deleted message. Its MID names it until it is recovered, and nothing else does.
type DeletedMessage struct {
	State MessageState `wire:"1"`
	At    time.Time    `wire:"2"`
	// By is who deleted it, zero for the owner and the system.
	By    mapi.GUID    `wire:"3"`
	Props mapi.PropBag `wire:"4"`
}

// DeletedResponse is a page of soft-deleted messages, with how many there are in all that the caller may recover or not.
type DeletedResponse struct {
	Messages []DeletedMessage `wire:"1"`
	More     bool             `wire:"2"`
	Count    uint32           `wire:"3"`
	// Size is the sum of their PidTagMessageSize. It counts in no quota.
	Size uint64 `wire:"4"`
}

// PurgeDeletedRequest deletes soft-deleted messages for good: those in Messages, or without any all of the folder, from
// the oldest on.
type PurgeDeletedRequest struct {
	Folder   mapi.FID   `wire:"1"`
	Messages []mapi.MID `wire:"2"`
}

// PurgeDeletedResponse says what was done; with Next above zero the messages from there on, and with More the rest of
// all, are still to be done.
type PurgeDeletedResponse struct {
	Purged  uint32     `wire:"1"`
	Missing []mapi.MID `wire:"2"`
	Next    uint32     `wire:"3"`
	More    bool       `wire:"4"`
	Denied  bool       `wire:"5"`
}

// DeletedFoldersRequest asks for soft-deleted folders whose FID is above After.
type DeletedFoldersRequest struct {
	After mapi.FID `wire:"1"`
}

// DeletedFolder is a soft-deleted folder.
type DeletedFolder struct {
	FID      mapi.FID  `wire:"1"`
	Parent   mapi.FID  `wire:"2"`
	Name     string    `wire:"3"`
	Class    string    `wire:"4"`
	Messages uint32    `wire:"5"`
	Size     uint64    `wire:"6"`
	At       time.Time `wire:"7"`
	By       mapi.GUID `wire:"8"`
}

// DeletedFoldersResponse is soft-deleted folders in ascending FID, about 1 MiB of them.
type DeletedFoldersResponse struct {
	Folders []DeletedFolder `wire:"1"`
	More    bool            `wire:"2"`
}

// RecoverFolderRequest brings a soft-deleted folder back below Parent, with its messages and the folders that were
// deleted with it. Without Name it is called what it was.
type RecoverFolderRequest struct {
	Folder mapi.FID `wire:"1"`
	Parent mapi.FID `wire:"2"`
	Name   string   `wire:"3"`
}

// EmptyFolderRequest deletes what is in a folder, a bounded step at a time (CLUSTER 1.6): ask again with the cursor of the
// answer until that is Done. What comes in meanwhile stays.
type EmptyFolderRequest struct {
	Folder mapi.FID `wire:"1"`
	Hard   bool     `wire:"2"`
	// Associated means associated messages too, Folders the folders below with all that is in them.
	Associated bool        `wire:"3"`
	Folders    bool        `wire:"4"`
	Cursor     EmptyCursor `wire:"5"`
}

// EmptyCursor says where the next step goes on. The zero cursor begins.
type EmptyCursor struct {
	// Next and End are the UIDs that are still to be looked at; AssociatedNext is the same of associated messages.
	Next           mapi.UID `wire:"1"`
	End            mapi.UID `wire:"2"`
	AssociatedNext mapi.UID `wire:"3"`
	// Stamp is that of the folders deleted so far.
	Stamp mapi.Stamp `wire:"4"`
	// Messages and Folders count what is deleted so far.
	Messages uint64 `wire:"5"`
	Folders  uint32 `wire:"6"`
	// Denied says that there was something which the caller may not delete.
	Denied bool `wire:"7"`
	// Begun is set behind the first step.
	Begun bool `wire:"8"`
}

// EmptyFolderResponse is how far it has come: Left is how many messages are still in the folder.
type EmptyFolderResponse struct {
	Cursor EmptyCursor `wire:"1"`
	Left   uint64      `wire:"2"`
	Done   bool        `wire:"3"`
}

// CopyFolderRequest copies a folder below Parent, a bounded step at a time (CLUSTER 1.6): ask again with the task of the
// answer until that is Done. How far a copy has come is kept in the mailbox for a day, so that it can be resumed.
type CopyFolderRequest struct {
	Folder mapi.FID `wire:"1"`
	Parent mapi.FID `wire:"2"`
	Name   string   `wire:"3"`
	// Recursive copies the folders below too.
	Recursive bool `wire:"4"`
	// Task is that of the answer before, zero to begin.
	Task uint64 `wire:"5"`
}

// CopyFolderResponse is how far a copy has come: Messages of about Total, and Folders.
type CopyFolderResponse struct {
	Task uint64 `wire:"1"`
	// Folder is the copy.
	Folder   mapi.FID `wire:"2"`
	Messages uint64   `wire:"3"`
	Total    uint64   `wire:"4"`
	Folders  uint32   `wire:"5"`
	Done     bool     `wire:"6"`
}

// SetReadStateRequest says whether what is read in a mailbox is each user's own. In a public mailbox it always is. What
// somebody has read stays known while it is not.
type SetReadStateRequest struct {
	PerUser bool `wire:"1"`
}

// DeleteMailboxResponse says whether a mailbox that is deleted is empty by now. It has gone for everybody with the first step; what
// is left goes by itself, or as OpDeleteMailbox is said again.
type DeleteMailboxResponse struct {
	Done bool `wire:"1"`
}
