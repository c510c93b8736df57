package schema

import (
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// ErrBadRecord says that a stored record does not read: the replica is damaged or the program has a bug.
var ErrBadRecord = errors.New("malformed record")

// Header is what a mailbox is. It changes rarely; what every op moves is in Counters.
type Header struct {
	Kind        exmdb.MailboxKind `wire:"1"`
	Owner       mapi.GUID         `wire:"2"`
	ReplicaGUID mapi.GUID         `wire:"3"` // of replica id 1, in this epoch
	Signature   mapi.GUID         `wire:"4"` // mapping signature
	Epoch       uint32            `wire:"5"` // counts from 1 (MAILBOX 2)
	// EpochStart is the last stamp given before this epoch: tokens and modseqs below it are of the past.
	EpochStart mapi.Stamp `wire:"6"`
	Quota      uint64     `wire:"7"`
	Created    time.Time  `wire:"8"`
	Language   string     `wire:"9"`
	Level      uint32     `wire:"10"` // cluster level the records are written for (CLUSTER 7.2)
	Recovery   uint64     `wire:"11"` // recovery epoch of the group at the last raise (CLUSTER 7.3)
	// ReceiveFolders counts the rows of the receive-folder table that are stored.
	ReceiveFolders uint16 `wire:"12"`
	// QuotaWarn and QuotaSend are the limits from which the owner is warned and may not send; Quota is that of storage.
	QuotaWarn uint64 `wire:"13"`
	QuotaSend uint64 `wire:"14"`
	// PerUserRead: read state is kept for each user in a mailbox that is not public too (MAILBOX 4).
	PerUserRead bool `wire:"15"`
	// Deleted is when the mailbox was deleted for good; then there is nothing in it but this.
	Deleted time.Time `wire:"16"`
	Unknown wire.Unknown
}

// Counters is what the mailbox's ops move. Every number it gives out is given once.
type Counters struct {
	// Global is the last value drawn of the one counter: FIDs, MIDs and all stamps (MAILBOX 1, 2).
	Global mapi.GlobalCounter `wire:"1"`
	// Object is the last object or body number; UIDValidity the last validity.
	Object      mapi.ObjectNumber `wire:"2"`
	UIDValidity uint32            `wire:"3"`
	// Stamp is the newest stamp given.
	Stamp    mapi.Stamp `wire:"4"`
	Used     uint64     `wire:"5"` // bytes, as quotas count
	Messages uint64     `wire:"6"`
	Folders  uint32     `wire:"7"`
	// Floor: tombstones at or below it may be gone. Tombstones counts the messages in those that are kept.
	Floor      mapi.Stamp `wire:"8"`
	Tombstones uint64     `wire:"9"`
	// TombMark is the first stamp of the open mark.
	TombMark mapi.Stamp `wire:"10"`
	// DeliveryDay is the earliest day of which delivery keys are kept.
	DeliveryDay uint32 `wire:"11"`
	Keyword     uint16 `wire:"12"` // last keyword id
	// NamedProp counts the named properties, whose ids are 0x8000 and on.
	NamedProp uint16 `wire:"13"`
	// Retained is how many bytes are in the soft-deleted sets of all folders, and in deleted folders.
	Retained uint64 `wire:"14"`
	// WarnDue is when the owner is to be warned that the mailbox is nearly full, zero if he is not; Warned when he last
	// was.
	WarnDue time.Time `wire:"15"`
	Warned  time.Time `wire:"16"`
	// Plain says that the mailbox does nothing by itself: there is no Automation, which a delivery would look for.
	Plain bool `wire:"17"`
	// FolderEnd is the stamp with which the time of a soft-deleted folder was last over.
	FolderEnd mapi.Stamp `wire:"18"`
	Unknown   wire.Unknown
}

// Replica is a row of the table replica id to GUID (MAILBOX 1).
type Replica struct {
	GUID mapi.GUID `wire:"1"`
	// Last is, for an earlier GUID of this mailbox, the last counter value drawn under it: counters of one epoch
	// lie above those of the epochs before, so a stamp alone says which GUID its change key has.
	Last    mapi.Stamp `wire:"2"`
	Unknown wire.Unknown
}

// Folder is a folder's identity and properties, without its counts.
type Folder struct {
	Parent     mapi.GlobalCounter `wire:"1"`
	Name       string             `wire:"2"`
	Class      string             `wire:"3"`
	SpecialUse string             `wire:"4"`
	CN         mapi.Stamp         `wire:"5"`
	Created    time.Time          `wire:"6"`
	Props      []byte             `wire:"7"` // property bag of what else it has
	// ChangeKey and PCL are set after a foreign change, as in Row.
	ChangeKey []byte `wire:"8"`
	PCL       []byte `wire:"9"`
	// PerUserRead says that read state is kept for each user (MAILBOX 4).
	PerUserRead bool `wire:"10"`
	// Modified is PidTagLastModificationTime, zero while it is Created.
	Modified time.Time `wire:"11"`
	// Recovered is the stamp with which it last came back from among the deleted folders.
	Recovered mapi.Stamp `wire:"12"`
	// Criteria are those of a search folder, nil before it was given any.
	Criteria *SearchCriteria `wire:"13"`
	Unknown  wire.Unknown
}

// SearchCriteria are what a search folder shows: of the messages in Searched that had arrived by a stamp those that pass;
// if it is dynamic, of all messages there.
type SearchCriteria struct {
	Restriction []byte `wire:"1"` // in the form of oxcdata.AppendRestriction
	// Folders are the counters that the client gave, in its order; Recursive includes what was below them.
	Folders   []uint64 `wire:"2"`
	Recursive bool     `wire:"3"`
	// Searched are the counters of all folders that are searched, as they were found when the search was begun.
	Searched Runs `wire:"4"`
	// Stamp is the mailbox's newest when the search was begun.
	Stamp mapi.Stamp `wire:"5"`
	// Dynamic: whatever is there now is shown, and Recursive folders are those of now.
	Dynamic bool `wire:"6"`
	Unknown wire.Unknown
}

// FolderCounts is what deliveries and flag changes move of a folder.
type FolderCounts struct {
	UIDValidity uint32     `wire:"1"`
	UIDNext     mapi.UID   `wire:"2"`
	ContentSeq  mapi.Stamp `wire:"3"`
	Messages    uint32     `wire:"4"`
	Unseen      uint32     `wire:"5"`
	Deleted     uint32     `wire:"6"`
	Octets      uint64     `wire:"7"` // sum of Row.Size
	Used        uint64     `wire:"8"` // sum of Row.MessageSize
	// Tombstone is the folder's newest tombstone, into which the next may merge.
	Tombstone mapi.Stamp `wire:"9"`
	// Associated messages are counted apart: they are in none of the counts above.
	Associated     uint32 `wire:"10"`
	AssociatedLast uint32 `wire:"11"` // last number given to one
	AssociatedUsed uint64 `wire:"12"`
	// Unrendered and UnrenderedUnseen are how many of Messages and Unseen are RowUnrendered.
	Unrendered        uint32 `wire:"13"`
	UnrenderedUnseen  uint32 `wire:"14"`
	UnrenderedDeleted uint32 `wire:"15"`
	// Committed is when ContentSeq last moved; DeletedTotal counts what has left the folder since it was made.
	Committed    mapi.FileTime `wire:"16"`
	DeletedTotal uint64        `wire:"17"`
	// Retained and RetainedUsed are how many messages are in the soft-deleted set, and their sizes; AgeOut is when the
	// next of them is over, zero if there is none.
	Retained     uint32    `wire:"18"`
	RetainedUsed uint64    `wire:"19"`
	AgeOut       time.Time `wire:"20"`
	// NewestBlock is the TimePlace where the newest block of the order of delivery begins, empty where that is not known.
	NewestBlock []byte `wire:"21"`
	// Search says that it is a search folder: there are no messages in it.
	Search bool `wire:"22"`
	// Released is the stamp with which something last left the soft-deleted set. What comes into it is in the tombstones.
	Released mapi.Stamp `wire:"23"`
	// Hierarchy counts the folders that came to be right below or left, and HierRev is when one last did, or was renamed.
	Hierarchy uint32        `wire:"24"`
	HierRev   mapi.FileTime `wire:"25"`
	// MIDLast is the last MID that was drawn of the folder's ranges, MIDEnd where the range ends of which it is; zero if it has none.
	MIDLast mapi.GlobalCounter `wire:"26"`
	MIDEnd  mapi.GlobalCounter `wire:"27"`
	Unknown wire.Unknown
}

// MIDBlock is MIDBlockLength numbers that are MIDs of one folder, or will be. Within it, and from one block of a folder to the
// next, a message with a higher MID came later.
type MIDBlock struct {
	Folder mapi.GlobalCounter `wire:"1"`
	// Since is the counter when the first was drawn: whatever has a MID of the block came above that.
	Since mapi.Stamp `wire:"2"`
	// Previous is where the folder's block before begins, zero if there is none.
	Previous mapi.GlobalCounter `wire:"3"`
	Unknown  wire.Unknown
}

// MIDBlockLength is how many numbers a block has; the first is a multiple of it.
const MIDBlockLength = 1 << 12

// Keyword is a row of the keyword name table.
type Keyword struct {
	// Name is the keyword as it was first written, or PidNameKeywords' category; Atom is how IMAP shows a name that
	// is no atom, empty when Name is one.
	Name    string `wire:"1"`
	Atom    string `wire:"2"`
	Unknown wire.Unknown
}

// Place is where a MID is: in which folder, and under which UID, or number of an associated message.
type Place struct {
	Folder     mapi.GlobalCounter `wire:"1"`
	UID        mapi.UID           `wire:"2"`
	Associated bool               `wire:"3"`
	// Deleted is set on a message in the soft-deleted set of the folder: the DeletedAt in its key.
	Deleted uint64 `wire:"4"`
	Unknown wire.Unknown
}

// ChangeKinds say which stamps of an object a step moved. Bits reach the disk.
type ChangeKinds uint8

// The kinds.
const (
	ChangeContent ChangeKinds = 1 << 0 // cn
	ChangeRead    ChangeKinds = 1 << 1 // readCN
	ChangeStatus  ChangeKinds = 1 << 2 // modseq
	ChangeFolder  ChangeKinds = 1 << 3 // a folder's cn
)

// Change is a step of the change index. A step whose object has moved on in all kinds is deleted; one that has in
// some stays, so a reader compares the stamp of the kind it wants.
type Change struct {
	Kinds ChangeKinds `wire:"1"`
	// UID is the message's; Folder the folder's, in Hierarchy. Of an associated message UID is its number.
	UID        mapi.UID           `wire:"2"`
	Folder     mapi.GlobalCounter `wire:"3"`
	Associated bool               `wire:"4"`
	Unknown    wire.Unknown
}

// Tombstone is what vanished from a folder, or which folders, up to its stamp. A later tombstone may have taken in an
// earlier one: then more is reported than is new, which every protocol allows.
type Tombstone struct {
	UIDs    Runs `wire:"1"`
	MIDs    Runs `wire:"2"`
	Objects Runs `wire:"3"`
	Folders Runs `wire:"4"`
	// Parts say which of MIDs and Objects vanished when, where it was not all with the stamp of the key or not into nothing.
	Parts []TombstonePart `wire:"5"`
	// Came is when each of MIDs had come into the folder, in their order; empty where that is one above its number.
	Came    Runs `wire:"6"`
	Unknown wire.Unknown
}

// TombMark counts the tombstones from its stamp on to the next mark, so that they can be dropped by age and number.
type TombMark struct {
	Time    time.Time `wire:"1"`
	Count   uint64    `wire:"2"`
	Unknown wire.Unknown
}

// Delivery is the first answer to a delivery (MAILBOX 7).
type Delivery struct {
	Time        time.Time          `wire:"1"`
	Folder      mapi.GlobalCounter `wire:"2"`
	UIDValidity uint32             `wire:"3"`
	UID         mapi.UID           `wire:"4"`
	MID         mapi.GlobalCounter `wire:"5"`
	Object      mapi.ObjectNumber  `wire:"6"`
	ModSeq      mapi.Stamp         `wire:"7"`
	Unknown     wire.Unknown
}

// Recipients are the recipient list of a message, a property bag each.
type Recipients struct {
	Bags    []mapi.PropBag `wire:"1"`
	Unknown wire.Unknown
}

// Attachment is one attachment: its properties, or an embedded message under it (MAILBOX 3).
type Attachment struct {
	Bag        mapi.PropBag   `wire:"1"`
	Embedded   *mapi.PropBag  `wire:"2"`
	Recipients []mapi.PropBag `wire:"3"`
	Nested     []Attachment   `wire:"4"`
	Number     uint32         `wire:"5"` // of a nested one; that of the others is in the key
	Unknown    wire.Unknown
}

// NamedProperty is the name that an id stands for.
type NamedProperty struct {
	Name    mapi.PropertyName `wire:"1"`
	Unknown wire.Unknown
}

// ReceiveFolder is a row of the receive-folder table (MS-OXCSTOR 2.2.1.4).
type ReceiveFolder struct {
	Class    string             `wire:"1"` // as the client wrote it
	Folder   mapi.GlobalCounter `wire:"2"`
	Modified mapi.FileTime      `wire:"3"`
	Unknown  wire.Unknown
}

// Purge is a deleted folder whose messages are still to be removed, from UID Next on.
type Purge struct {
	Next    mapi.UID `wire:"1"`
	Unknown wire.Unknown
}

// Decode reads a record and says what it was if it is damaged.
func Decode(b []byte, record any) error {
	if err := wire.Unmarshal(b, record); err != nil {
		return fmt.Errorf("%T: %w", record, errors.Join(ErrBadRecord, err))
	}
	return nil
}
