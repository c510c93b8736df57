package schema

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// DeletedAt is when something was deleted, in milliseconds since 1970: what keys of deleted messages are in order of.
type DeletedAt uint64

// DeletedAtOf is a time as keys have it.
func DeletedAtOf(at time.Time) DeletedAt { return DeletedAt(max(0, at.UnixMilli())) }

// Time is the time in UTC.
func (d DeletedAt) Time() time.Time { return time.UnixMilli(int64(d)).UTC() }

// DeletedKey is a soft-deleted message of a folder.
func DeletedKey(f mapi.FID, at DeletedAt, m mapi.MID) []byte {
	return put48(put48(folderKey(PrefixDeleted, f), uint64(at)), uint64(m.Counter()))
}

// ParseDeletedKey reads time and message of what DeletedKey made.
func ParseDeletedKey(k []byte) (DeletedAt, mapi.MID, error) {
	if err := checkKey(k, PrefixDeleted, 19); err != nil {
		return 0, 0, err
	}
	return DeletedAt(get48(k[7:])), mapi.NewMID(mapi.LocalReplica, mapi.GlobalCounter(get48(k[13:]))), nil
}

// DeletedFolderKey is a soft-deleted folder.
func DeletedFolderKey(f mapi.FID) []byte { return folderKey(PrefixDeletedFolder, f) }

// Deleted is a soft-deleted message: its row as it was, and the UID or number that it had. What belongs to the object
// stays where it is, so that it can be recovered.
type Deleted struct {
	Row     Row       `wire:"1"`
	UID     mapi.UID  `wire:"2"`
	By      mapi.GUID `wire:"3"` // zero for the owner and the system
	Unknown wire.Unknown
}

// DeletedFolder is a soft-deleted folder. Its messages, their indexes and its permissions are where they were.
type DeletedFolder struct {
	Folder Folder       `wire:"1"`
	Counts FolderCounts `wire:"2"`
	At     time.Time    `wire:"3"`
	By     mapi.GUID    `wire:"4"`
	// Stamp is that of the tombstone: the folders that were deleted together have one.
	Stamp   mapi.Stamp `wire:"5"`
	Unknown wire.Unknown
}

// CopyTaskKey is a copy of a folder that is under way, by its number.
func CopyTaskKey(n mapi.GlobalCounter) []byte { return put48(newKey(PrefixCopyTask), uint64(n)) }

// CopyTask is how far a copy of a folder has come: which folders are to be copied, parents first, and which is at work.
type CopyTask struct {
	By      mapi.GUID            `wire:"1"` // who copies
	Source  []mapi.GlobalCounter `wire:"2"` // folders
	Parents []uint32             `wire:"3"` // where in Source the folder above each is; of the first it is the target
	Made    []mapi.GlobalCounter `wire:"4"` // their copies, as far as there are any
	// Done counts the folders that are copied whole; of the next, associated messages from Associated on and others from
	// Next to End are still to be copied. Zero is none.
	Done       uint32   `wire:"5"`
	Associated mapi.UID `wire:"6"`
	Next       mapi.UID `wire:"7"`
	End        mapi.UID `wire:"8"`
	// Messages counts those copied, Total those there were when it began.
	Messages uint64             `wire:"9"`
	Total    uint64             `wire:"10"`
	Target   mapi.GlobalCounter `wire:"11"`
	Name     string             `wire:"12"`
	Started  time.Time          `wire:"13"`
	Unknown  wire.Unknown
}
