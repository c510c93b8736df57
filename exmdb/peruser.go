package exmdb

import "github.com/flotilla-mail/flotilla/internal/mapi"

// Per-user information is what a user has read of a public folder: the set of change numbers of the messages, as an IDSET of
// replica GUIDs (MS-OXCSTOR 2.2.1.12). A public mailbox says it of itself; in a user's own mailbox clients keep what they have seen of it,
// to bring it to another replica of the folder. ROPs take it in pieces; whoever serves them has it whole.

// MaxPerUser bounds the information on one folder, in bytes; MaxPerUserKept, that which a user's mailbox keeps, and
// MaxPerUserFolders of how many folders.
const (
	MaxPerUser        = 1 << 20
	MaxPerUserKept    = 64 << 10
	MaxPerUserFolders = 500
)

// PerUserRequest asks what is known of a folder (RopReadPerUserInformation, RopGetPerUserGuid). Folder is its identifier across
// mailboxes.
type PerUserRequest struct {
	Folder mapi.GID `wire:"1"`
}

// PerUserResponse is the information. Replica is the replica that it came from; zero where nothing is known.
type PerUserResponse struct {
	Data    []byte    `wire:"1"`
	Replica mapi.GUID `wire:"2"`
}

// WritePerUserRequest says what is known of a folder from now on (RopWritePerUserInformation). Replica is the replica that it came
// from, and means nothing to a public mailbox. Without Data a user's mailbox knows nothing of the folder any more.
type WritePerUserRequest struct {
	Folder  mapi.GID  `wire:"1"`
	Replica mapi.GUID `wire:"2"`
	Data    []byte    `wire:"3"`
	// From is where a public mailbox goes on: the response's Next.
	From mapi.UID `wire:"4"`
}

// WritePerUserResponse says how many messages became read, or unread. With Next above zero there are more to look at.
type WritePerUserResponse struct {
	Changed uint32   `wire:"1"`
	Next    mapi.UID `wire:"2"`
}

// PerUserFoldersRequest asks of which folders something is known that came from a replica (RopGetPerUserLongTermIds).
type PerUserFoldersRequest struct {
	Replica mapi.GUID `wire:"1"`
}

// PerUserFoldersResponse holds their identifiers, in order.
type PerUserFoldersResponse struct {
	Folders []mapi.GID `wire:"1"`
}
