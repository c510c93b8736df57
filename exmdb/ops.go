package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// FlagBits are a message's flags, one bit each, by the one table of MAILBOX 4.
type FlagBits uint32

// The flags. Bits reach disk and wire.
const (
	FlagSeen      FlagBits = 1 << 0
	FlagAnswered  FlagBits = 1 << 1
	FlagFlagged   FlagBits = 1 << 2
	FlagDeleted   FlagBits = 1 << 3
	FlagDraft     FlagBits = 1 << 4
	FlagForwarded FlagBits = 1 << 5 // $Forwarded
)

// Flags are the flags and keywords of a message. Keywords are as the client wrote them, unique without case.
type Flags struct {
	Bits     FlagBits `wire:"1"`
	Keywords []string `wire:"2"`
}

// UIDRange is the UIDs First to Last, both included. Lists of ranges ascend and do not overlap.
type UIDRange struct {
	First mapi.UID `wire:"1"`
	Last  mapi.UID `wire:"2"`
}

// Folder is a folder as every protocol sees it.
type Folder struct {
	FID    mapi.FID `wire:"1"`
	Parent mapi.FID `wire:"2"`
	Name   string   `wire:"3"`
	// Class is PidTagContainerClass, for example "IPF.Note".
	Class string `wire:"4"`
	// SpecialUse is the RFC 6154 attribute with its backslash, or empty.
	SpecialUse string `wire:"5"`
	// IMAP says whether IMAP shows the folder by default (MAILBOX 6).
	IMAP        bool   `wire:"6"`
	Fixed       bool   `wire:"7"`
	Subscribed  bool   `wire:"8"`
	UIDValidity uint32 `wire:"9"`
	// UIDNext is the UID the next message gets.
	UIDNext mapi.UID   `wire:"10"`
	CN      mapi.Stamp `wire:"11"`
	// ContentSeq is the highest stamp inside: HIGHESTMODSEQ (MAILBOX 2).
	ContentSeq mapi.Stamp `wire:"12"`
	Messages   uint32     `wire:"13"`
	Unseen     uint32     `wire:"14"`
	Deleted    uint32     `wire:"15"`
	// Size is the sum of the messages' octets.
	Size uint64 `wire:"16"`
	// Search: a search folder. It is for MAPI clients only, and its table says how many messages it shows.
	Search bool `wire:"17"`
}

// Row is what lists show of a message. Fields beyond UID and ModSeq are filled as RowsRequest.Fields asks.
type Row struct {
	UID    mapi.UID          `wire:"1"`
	ModSeq mapi.Stamp        `wire:"2"`
	Flags  Flags             `wire:"3"`
	MID    mapi.MID          `wire:"4"`
	Object mapi.ObjectNumber `wire:"5"`
	// Size is RFC822.SIZE, exact; Prefix of it are trace headers in front of what Digest describes.
	Size   uint64 `wire:"6"`
	Prefix uint32 `wire:"7"`
	// Received is INTERNALDATE = PidTagMessageDeliveryTime; its location is UTC.
	Received time.Time `wire:"8"`
	// Saved is when the message came into this folder (SAVEDATE).
	Saved  time.Time `wire:"9"`
	Digest []byte    `wire:"10"`
	// Octets are all of the message; there are none of one that is longer than MaxRowOctets.
	Octets []byte `wire:"11"`
}

// MaxRowOctets is the longest message whose octets a row has: of longer ones they are read by OpReadBytes.
const MaxRowOctets = 64 << 10

// RowFields says which parts of a Row are wanted.
type RowFields uint32

const (
	// RowFlags asks for Flags; RowMeta for MID, Object, Size, Prefix, Received, Saved; RowDigest for Digest.
	RowFlags RowFields = 1 << iota
	RowMeta
	RowDigest
	// RowOctets asks for Octets. An owner of a release that has them not gives none.
	RowOctets
)

// CreateMailboxRequest makes a mailbox with its fixed folders (MAILBOX 1).
type CreateMailboxRequest struct {
	// Kind is the mailbox's kind; Owner the directory GUID of its user, zero for one that only the system may open.
	Kind  MailboxKind `wire:"1"`
	Owner mapi.GUID   `wire:"2"`
	// Language picks the names of fixed folders, as an RFC 5646 tag; empty is English.
	Language string `wire:"3"`
	// Quota is the storage limit in bytes, zero for none.
	Quota uint64 `wire:"4"`
}

// MailboxKind numbers the kinds of MAILBOX 1, on disk.
type MailboxKind uint8

// The kinds of mailbox.
const (
	MailboxUser     MailboxKind = 1
	MailboxShared   MailboxKind = 2
	MailboxResource MailboxKind = 3
	MailboxArchive  MailboxKind = 4
	MailboxPublic   MailboxKind = 5
)

// MailboxInfo is a mailbox's header and counts.
type MailboxInfo struct {
	Kind        MailboxKind `wire:"1"`
	Owner       mapi.GUID   `wire:"2"`
	ReplicaGUID mapi.GUID   `wire:"3"`
	Epoch       uint32      `wire:"4"`
	Quota       uint64      `wire:"5"`
	Used        uint64      `wire:"6"`
	Messages    uint64      `wire:"7"`
	Folders     uint32      `wire:"8"`
	// Stamp is the newest stamp given out; Floor is below which tombstones are gone.
	Stamp mapi.Stamp `wire:"9"`
	Floor mapi.Stamp `wire:"10"`
	// Sequence is the space's sequence, for OpWatch.
	Sequence uint64    `wire:"11"`
	Created  time.Time `wire:"12"`
	// QuotaWarn and QuotaSend are the limits in force from which the owner is warned and may not send, zero for none.
	QuotaWarn uint64 `wire:"13"`
	QuotaSend uint64 `wire:"14"`
	// Retained is how many bytes are soft-deleted; they count in no quota.
	Retained uint64 `wire:"15"`
	// PerUserRead says that what is read is each user's own.
	PerUserRead bool `wire:"16"`
	// Purging is how many folders that were deleted for good have messages that are still being removed.
	Purging uint32 `wire:"17"`
}

// Empty is a request or response that says nothing.
type Empty struct{}

// SetQuotaRequest changes the limits of a mailbox. Beyond Quota nothing is stored; zero is none. From Warn on the owner
// is warned once a day, zero for the store's share of Quota; from Send on he may not send, zero for Quota.
type SetQuotaRequest struct {
	Quota uint64 `wire:"1"`
	Warn  uint64 `wire:"2"`
	Send  uint64 `wire:"3"`
}

// ListFoldersRequest asks for the folders below the root whose FID is above After.
type ListFoldersRequest struct {
	After mapi.FID `wire:"1"`
}

// ListFoldersResponse is folders in ascending FID, about 1 MiB of them; ListFolders reads all.
type ListFoldersResponse struct {
	Folders []Folder `wire:"1"`
	// IPM is the FID of the IPM subtree's top.
	IPM mapi.FID `wire:"2"`
	// Sequence is the space's sequence at which the list is true.
	Sequence uint64 `wire:"3"`
	// More says that there are folders above the last one.
	More bool `wire:"4"`
}

// FolderRequest names a folder.
type FolderRequest struct {
	Folder mapi.FID `wire:"1"`
}

// FolderResponse is a folder as it is after the op.
type FolderResponse struct {
	Folder   Folder `wire:"1"`
	Sequence uint64 `wire:"2"`
}

// CreateFolderRequest makes a folder below Parent.
type CreateFolderRequest struct {
	Parent mapi.FID `wire:"1"`
	Name   string   `wire:"2"`
	// Class is the container class, empty for the parent's.
	Class string `wire:"3"`
	// SpecialUse is asked for with CREATE-SPECIAL-USE; empty for none.
	SpecialUse string `wire:"4"`
	Subscribe  bool   `wire:"5"`
	// Search makes a search folder, which has no messages of its own.
	Search bool `wire:"6"`
}

// MoveFolderRequest renames a folder, moves it, or both. FID and UIDVALIDITY stay (MAILBOX 1).
type MoveFolderRequest struct {
	Folder mapi.FID `wire:"1"`
	Parent mapi.FID `wire:"2"`
	Name   string   `wire:"3"`
}

// DeleteFolderRequest deletes a folder with its messages. Without Recursive a folder with subfolders is refused.
type DeleteFolderRequest struct {
	Folder    mapi.FID `wire:"1"`
	Recursive bool     `wire:"2"`
	// Hard deletes for good; else the folder can be recovered for a while.
	Hard bool `wire:"3"`
}

// SubscribeRequest sets or clears the subscription of a folder.
type SubscribeRequest struct {
	Folder     mapi.FID `wire:"1"`
	Subscribed bool     `wire:"2"`
}

// DeliverRequest stores a received mail in the Inbox, once (MAILBOX 7).
type DeliverRequest struct {
	Message NewMessage `wire:"1"`
	// Key is the delivery key; the zero key, for mail without Message-ID, is never suppressed.
	Key      [32]byte  `wire:"2"`
	Received time.Time `wire:"3"`
	Sender   string    `wire:"4"`
	// Recipient is the address as it was given in RCPT TO.
	Recipient string `wire:"5"`
	// Source and Number, when set, name a delivery out of another space's queue: the mailbox performs it once, however
	// much later it is tried again, and performs those of one source in ascending order (CLUSTER 2.1).
	Source cluster.SpaceID `wire:"6"`
	Number uint64          `wire:"7"`
	// About is what rules and out-of-office replies need to know beside the mail.
	About Circumstances `wire:"8"`
}

// DeliverResponse says where a message is.
type DeliverResponse struct {
	Folder      mapi.FID          `wire:"1"`
	UIDValidity uint32            `wire:"2"`
	UID         mapi.UID          `wire:"3"`
	MID         mapi.MID          `wire:"4"`
	Object      mapi.ObjectNumber `wire:"5"`
	ModSeq      mapi.Stamp        `wire:"6"`
	// Duplicate says that the delivery was known and nothing was stored. Where it was known by its number only, the
	// answer does not say where the message is.
	Duplicate bool `wire:"7"`
}

// AppendRequest stores a message in a folder, as IMAP APPEND does. The answer is a DeliverResponse.
type AppendRequest struct {
	Folder   mapi.FID   `wire:"1"`
	Message  NewMessage `wire:"2"`
	Flags    Flags      `wire:"3"`
	Received time.Time  `wire:"4"`
}

// RowsRequest asks for the rows of a folder in ascending UID: those in UIDs (nil for all) whose ModSeq is above
// Since. At most Limit rows and about 1 MiB come in one answer.
type RowsRequest struct {
	Folder mapi.FID   `wire:"1"`
	UIDs   []UIDRange `wire:"2"`
	Since  mapi.Stamp `wire:"3"`
	Fields RowFields  `wire:"4"`
	Limit  uint32     `wire:"5"`
}

// RowsResponse answers RowsRequest; with More, ask again from UID Next on.
type RowsResponse struct {
	Rows []Row    `wire:"1"`
	More bool     `wire:"2"`
	Next mapi.UID `wire:"3"`
}

// UIDsRequest asks for the UIDs of a folder from From on.
type UIDsRequest struct {
	Folder mapi.FID `wire:"1"`
	From   mapi.UID `wire:"2"`
}

// UIDsResponse is UIDs of a folder with the folder's state, read at one sequence: what SELECT needs. There are 100,000
// ranges in it at most; UIDs reads all.
type UIDsResponse struct {
	Folder   Folder     `wire:"1"`
	UIDs     []UIDRange `wire:"2"`
	Sequence uint64     `wire:"3"`
	// FirstUnseen is the lowest of these UIDs without \Seen, zero if there is none.
	FirstUnseen mapi.UID `wire:"4"`
	// Keywords are the names in use in the mailbox, told with the first UIDs.
	Keywords []string `wire:"5"`
	// Next is where to go on, zero when that was all.
	Next mapi.UID `wire:"6"`
}

// ReadBytesRequest asks for Length octets of a message from Offset on, MaxReadBytes at most.
type ReadBytesRequest struct {
	Folder mapi.FID `wire:"1"`
	UID    mapi.UID `wire:"2"`
	Offset uint64   `wire:"3"`
	Length uint32   `wire:"4"`
	// Deleted, when set, is the message: one of the folder's soft-deleted set, whose UID nothing else knows, or one of a
	// soft-deleted folder.
	Deleted mapi.MID `wire:"5"`
}

// ReadBytesResponse holds the octets; shorter than asked only at the end of the message.
type ReadBytesResponse struct {
	Data []byte `wire:"1"`
}

// FlagMode says what SetFlags does with the flags given.
type FlagMode uint8

// The modes, on the wire.
const (
	FlagsReplace FlagMode = 1
	FlagsAdd     FlagMode = 2
	FlagsRemove  FlagMode = 3
)

// SetFlagsRequest changes flags of any number of messages, in one effect or in steps (CLUSTER 1.6). A message whose
// ModSeq is above UnchangedSince (when Conditional) is left alone and reported (RFC 7162 3.1.3).
type SetFlagsRequest struct {
	Folder         mapi.FID   `wire:"1"`
	UIDs           []UIDRange `wire:"2"`
	Mode           FlagMode   `wire:"3"`
	Flags          Flags      `wire:"4"`
	Conditional    bool       `wire:"5"`
	UnchangedSince mapi.Stamp `wire:"6"`
}

// SetFlagsResponse says what moved. The new flags are read by OpChanges.
type SetFlagsResponse struct {
	// Changed counts the messages whose flags moved; their stamps are First to Last.
	Changed uint32     `wire:"1"`
	First   mapi.Stamp `wire:"2"`
	Last    mapi.Stamp `wire:"3"`
	// Modified are the messages that UnchangedSince kept from being changed.
	Modified []UIDRange `wire:"4"`
	// Next is where to go on, zero when all is done.
	Next mapi.UID `wire:"5"`
	// Denied says that there were messages which the caller may not change, and that they are as they were.
	Denied bool `wire:"6"`
}

// CopyRequest copies or moves messages into another folder, in one effect or in steps (CLUSTER 1.6). UIDs that are
// not there are passed over.
type CopyRequest struct {
	Folder mapi.FID   `wire:"1"`
	UIDs   []UIDRange `wire:"2"`
	Target mapi.FID   `wire:"3"`
}

// CopyResponse pairs source and target UIDs in order (RFC 4315 3).
type CopyResponse struct {
	UIDValidity uint32     `wire:"1"`
	Source      []UIDRange `wire:"2"`
	Target      []UIDRange `wire:"3"`
	// Next is where to go on, zero when all is done: large sets are worked through in bounded steps.
	Next mapi.UID `wire:"4"`
	// Denied says that there were messages which the caller may not read, or move, and that they are where they were.
	Denied bool `wire:"5"`
}

// ExpungeRequest removes messages: those in UIDs (nil for all) that carry \Deleted, or with All whatever the flag.
type ExpungeRequest struct {
	Folder mapi.FID   `wire:"1"`
	UIDs   []UIDRange `wire:"2"`
	All    bool       `wire:"3"`
}

// ExpungeResponse says what is gone.
type ExpungeResponse struct {
	Vanished []UIDRange `wire:"1"`
	ModSeq   mapi.Stamp `wire:"2"`
	// Next is where to go on, zero when all is done.
	Next mapi.UID `wire:"3"`
	// Denied says that there were messages which the caller may not delete, and that they are still there.
	Denied bool `wire:"4"`
}

// ChangesRequest asks what changed in a folder since a stamp. Epoch is that of the token, zero to skip the check.
type ChangesRequest struct {
	Folder mapi.FID   `wire:"1"`
	Since  mapi.Stamp `wire:"2"`
	Epoch  uint32     `wire:"3"`
	Fields RowFields  `wire:"4"`
	Limit  uint32     `wire:"5"`
}

// ChangesResponse holds rows new or changed since the stamp, in order of ModSeq, and UIDs that vanished since. With
// More, ask again from Stamp on. KindStaleToken refuses a stamp below the tombstone floor.
type ChangesResponse struct {
	Folder   Folder     `wire:"1"`
	Rows     []Row      `wire:"2"`
	Vanished []UIDRange `wire:"3"`
	Stamp    mapi.Stamp `wire:"4"`
	More     bool       `wire:"5"`
	Sequence uint64     `wire:"6"`
}

// WatchRequest waits until the mailbox's space has moved beyond After, or the caller's deadline.
type WatchRequest struct {
	After uint64 `wire:"1"`
}

// WatchResponse is the sequence the space has reached; equal to After when the wait ended without a change.
type WatchResponse struct {
	Sequence uint64 `wire:"1"`
}

// UploadChunkRequest brings one chunk of content to the group of the mailbox, ahead of the op that refers to it.
type UploadChunkRequest struct {
	Data []byte `wire:"1"`
}

// The op table. Numbers are for ever; add at the end.
var (
	OpCreateMailbox = Op[CreateMailboxRequest, MailboxInfo]{OpInfo{1, "CreateMailbox", true}}
	OpMailboxInfo   = Op[Empty, MailboxInfo]{OpInfo{2, "MailboxInfo", false}}
	OpSetQuota      = Op[SetQuotaRequest, Empty]{OpInfo{3, "SetQuota", true}}
	OpListFolders   = Op[ListFoldersRequest, ListFoldersResponse]{OpInfo{4, "ListFolders", false}}
	OpFolder        = Op[FolderRequest, FolderResponse]{OpInfo{5, "Folder", false}}
	OpCreateFolder  = Op[CreateFolderRequest, FolderResponse]{OpInfo{6, "CreateFolder", true}}
	OpMoveFolder    = Op[MoveFolderRequest, FolderResponse]{OpInfo{7, "MoveFolder", true}}
	OpDeleteFolder  = Op[DeleteFolderRequest, Empty]{OpInfo{8, "DeleteFolder", true}}
	OpSubscribe     = Op[SubscribeRequest, Empty]{OpInfo{9, "Subscribe", true}}
	OpDeliver       = Op[DeliverRequest, DeliverResponse]{OpInfo{10, "Deliver", true}}
	OpAppend        = Op[AppendRequest, DeliverResponse]{OpInfo{11, "Append", true}}
	OpRows          = Op[RowsRequest, RowsResponse]{OpInfo{12, "Rows", false}}
	OpUIDs          = Op[UIDsRequest, UIDsResponse]{OpInfo{13, "UIDs", false}}
	OpReadBytes     = Op[ReadBytesRequest, ReadBytesResponse]{OpInfo{14, "ReadBytes", false}}
	OpSetFlags      = Op[SetFlagsRequest, SetFlagsResponse]{OpInfo{15, "SetFlags", true}}
	OpCopy          = Op[CopyRequest, CopyResponse]{OpInfo{16, "Copy", true}}
	OpMove          = Op[CopyRequest, CopyResponse]{OpInfo{17, "Move", true}}
	OpExpunge       = Op[ExpungeRequest, ExpungeResponse]{OpInfo{18, "Expunge", true}}
	OpChanges       = Op[ChangesRequest, ChangesResponse]{OpInfo{19, "Changes", false}}
	OpWatch         = Op[WatchRequest, WatchResponse]{OpInfo{20, "Watch", false}}
	OpUploadChunk   = Op[UploadChunkRequest, Empty]{OpInfo{21, "UploadChunk", true}}
)
