package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// ObjectID names what has properties: the mailbox itself where it is zero, a folder by Folder alone, a message by
// Message alone, and what is inside a message by the way there.
type ObjectID struct {
	Folder  mapi.FID `wire:"1"`
	Message mapi.MID `wire:"2"`
	// Attachments leads down from the message: the number of an attachment, then of one of the message embedded in it,
	// and so on.
	Attachments []uint32 `wire:"3"`
	// Embedded means the message inside the last attachment, not the attachment.
	Embedded bool `wire:"4"`
	// Deleted means the message of that MID among the soft-deleted ones, or in a soft-deleted folder; of a table of messages,
	// that Folder is a soft-deleted one. They are read and not changed.
	Deleted bool `wire:"5"`
}

// NamedID is a named property of a mailbox: its id, from 0x8000 on, and its name (MAILBOX 5).
type NamedID struct {
	ID   uint16            `wire:"1"`
	Name mapi.PropertyName `wire:"2"`
}

// Attachment is an attachment as it is read. PidTagAttachNumber is Number, which stays while the attachment is there.
type Attachment struct {
	Number uint32       `wire:"1"`
	Props  mapi.PropBag `wire:"2"`
	// IsMessage says that there is a message inside; Embedded is it, where that was asked for.
	IsMessage bool            `wire:"3"`
	Embedded  *MessageContent `wire:"4"`
}

// MessageContent is a message's properties and what is inside it (MS-OXCFXICS 2.2.4.2). Values above
// mapi.MaxStoredValue are References: OpReadValue reads them.
type MessageContent struct {
	Props       mapi.PropBag   `wire:"1"`
	Recipients  []mapi.PropBag `wire:"2"`
	Attachments []Attachment   `wire:"3"`
}

// Bags are the bags of a message and everything in it.
func (c *MessageContent) Bags() []*mapi.PropBag {
	bags := []*mapi.PropBag{&c.Props}
	for i := range c.Recipients {
		bags = append(bags, &c.Recipients[i])
	}
	for i := range c.Attachments {
		a := &c.Attachments[i]
		bags = append(bags, &a.Props)
		if a.Embedded != nil {
			bags = append(bags, a.Embedded.Bags()...)
		}
	}
	return bags
}

// MessageEdit is what a draft changes of a message, all at once (MAILBOX 5). Values may be long; those that were
// uploaded stand as References.
type MessageEdit struct {
	// Clear drops all that there is before anything is set.
	Clear  bool         `wire:"1"`
	Set    mapi.PropBag `wire:"2"`
	Delete []mapi.Tag   `wire:"3"`
	// Recipients are the whole list, where ReplaceRecipients says so; nothing is said of them else.
	ReplaceRecipients bool           `wire:"4"`
	Recipients        []mapi.PropBag `wire:"5"`
	// Attachments are those that change; the others stay.
	Attachments []AttachmentEdit `wire:"6"`
}

// AttachmentEdit changes the attachment of a number, makes it, or removes it.
type AttachmentEdit struct {
	Number uint32       `wire:"1"`
	Remove bool         `wire:"2"`
	Set    mapi.PropBag `wire:"3"`
	Delete []mapi.Tag   `wire:"4"`
	// Embedded changes the message inside, or puts one there.
	Embedded *MessageEdit `wire:"5"`
}

// Payload is what the bags of a request need beside them.
type Payload struct {
	// Names, when there are any, are the names of the named properties in the request's bags and lists of tags: the id
	// 0x8000 + i stands for Names[i], and the mailbox gives each its own. Without Names ids are the mailbox's.
	Names []mapi.PropertyName `wire:"1"`
	// Inline is the data of references in the bags that were not uploaded, MaxInline bytes at most in all.
	Inline [][]byte `wire:"2"`
}

// PropertyProblem says that one property was not set or deleted as asked, and why; the others were.
type PropertyProblem struct {
	Tag  mapi.Tag       `wire:"1"`
	Code mapi.ErrorCode `wire:"2"`
}

// MessageState is what a client needs to know of a message it has open.
type MessageState struct {
	Folder mapi.FID          `wire:"1"`
	MID    mapi.MID          `wire:"2"`
	Object mapi.ObjectNumber `wire:"3"`
	// UID is zero where IMAP does not see the message: it is associated, or has no MIME form yet.
	UID        mapi.UID `wire:"4"`
	Associated bool     `wire:"5"`
	Flags      Flags    `wire:"6"`
	// CN, ReadCN and ModSeq are its stamps (MAILBOX 2).
	CN        mapi.Stamp `wire:"7"`
	ReadCN    mapi.Stamp `wire:"8"`
	ModSeq    mapi.Stamp `wire:"9"`
	ChangeKey []byte     `wire:"10"`
	PCL       []byte     `wire:"11"`
	// Size is PidTagMessageSize.
	Size     uint64    `wire:"12"`
	Received time.Time `wire:"13"`
	// Rendered says that the octets under UID were made of the properties; else they are as they were received, or their
	// body is.
	Rendered bool `wire:"14"`
}

// ReadPropsRequest asks for properties of an object: those of Tags, or all that it has, computed ones too, where
// there are none. A tag of TypeUnspecified means whatever type is there.
type ReadPropsRequest struct {
	Object ObjectID   `wire:"1"`
	Tags   []mapi.Tag `wire:"2"`
	// Names asks for the names of the named properties in the answer.
	Names bool `wire:"3"`
}

// ReadPropsResponse holds what was found. A string stands under the type it has, whichever of the two was asked for.
type ReadPropsResponse struct {
	Props mapi.PropBag `wire:"1"`
	Names []NamedID    `wire:"2"`
	// CN is the change number of the message or folder, zero of the mailbox.
	CN       mapi.Stamp `wire:"3"`
	Sequence uint64     `wire:"4"`
}

// WritePropsRequest sets and deletes properties of an object. Base, when set, is the CN that the caller read: where
// the object has moved on the request is refused with KindConflict.
type WritePropsRequest struct {
	Object  ObjectID     `wire:"1"`
	Set     mapi.PropBag `wire:"2"`
	Delete  []mapi.Tag   `wire:"3"`
	Base    mapi.Stamp   `wire:"4"`
	Payload Payload      `wire:"5"`
}

// WritePropsResponse says what was not done, and the object's CN afterwards.
type WritePropsResponse struct {
	Problems []PropertyProblem `wire:"1"`
	CN       mapi.Stamp        `wire:"2"`
}

// CreateMessageRequest makes a message in a folder.
type CreateMessageRequest struct {
	Folder mapi.FID `wire:"1"`
	// Associated makes an FAI message (MS-OXCMSG 2.2.3.2).
	Associated bool        `wire:"2"`
	Message    MessageEdit `wire:"3"`
	Payload    Payload     `wire:"4"`
	// MID, when set, is out of a range that OpLocalReplicaIDs granted.
	MID mapi.MID `wire:"5"`
}

// SaveMessageRequest edits a message.
type SaveMessageRequest struct {
	Message mapi.MID    `wire:"1"`
	Edit    MessageEdit `wire:"2"`
	// Base is the CN of the version that the draft began with. Where the message has moved on the save is refused with
	// KindConflict, unless Force (MS-OXCMSG 2.2.3.3.1).
	Base    mapi.Stamp `wire:"3"`
	Force   bool       `wire:"4"`
	Payload Payload    `wire:"5"`
}

// SavedMessage answers CreateMessageRequest and SaveMessageRequest.
type SavedMessage struct {
	State    MessageState      `wire:"1"`
	Problems []PropertyProblem `wire:"2"`
}

// ReadMessageRequest asks for a message, or for one embedded in it, as a whole.
type ReadMessageRequest struct {
	Object ObjectID `wire:"1"`
	// Nested asks for the messages inside the attachments too, to any depth.
	Nested bool `wire:"2"`
	Names  bool `wire:"3"`
}

// ReadMessageResponse is a message as a whole, computed properties included.
type ReadMessageResponse struct {
	State    MessageState   `wire:"1"`
	Content  MessageContent `wire:"2"`
	Names    []NamedID      `wire:"3"`
	Sequence uint64         `wire:"4"`
}

// ReadValueRequest asks for a part of one property's value: of a string its UTF-8, of Binary its bytes, of any other
// type its stored form. At most MaxReadBytes come in one answer.
type ReadValueRequest struct {
	Object ObjectID `wire:"1"`
	Tag    mapi.Tag `wire:"2"`
	Offset uint64   `wire:"3"`
	Length uint32   `wire:"4"`
	// Base, when set, is the CN of the version that is read; KindConflict if there is another by now.
	Base mapi.Stamp `wire:"5"`
}

// ReadValueResponse holds the bytes, fewer than asked for only at the end, and how many there are in all.
type ReadValueResponse struct {
	Data []byte   `wire:"1"`
	Size uint64   `wire:"2"`
	Tag  mapi.Tag `wire:"3"`
}

// NamesRequest names named properties.
type NamesRequest struct {
	Names []mapi.PropertyName `wire:"1"`
}

// PropertyIDsResponse holds the id of each name asked for, zero of one that is not known.
type PropertyIDsResponse struct {
	IDs []uint16 `wire:"1"`
}

// PropertyNamesRequest asks for the names of ids; where there are none, for all that the mailbox knows whose id is
// above After.
type PropertyNamesRequest struct {
	IDs   []uint16 `wire:"1"`
	After uint16   `wire:"2"`
}

// PropertyNamesResponse holds the names in the order of the ids, of NameNone for an id without; with More, ask again
// with After as the last.
type PropertyNamesResponse struct {
	Names []NamedID `wire:"1"`
	More  bool      `wire:"2"`
}

// ReceiveFolder is a row of the receive-folder table (MS-OXCSTOR 2.2.1.4): mail of a message class, and of those below
// it, comes into a folder.
type ReceiveFolder struct {
	Class    string    `wire:"1"`
	Folder   mapi.FID  `wire:"2"`
	Modified time.Time `wire:"3"`
}

// ReceiveFolderRequest asks where mail of a class comes in.
type ReceiveFolderRequest struct {
	Class string `wire:"1"`
}

// SetReceiveFolderRequest says where mail of a class comes in from now on; without a folder, that the class is no
// longer told from the one above it.
type SetReceiveFolderRequest struct {
	Class  string   `wire:"1"`
	Folder mapi.FID `wire:"2"`
}

// ReceiveFoldersResponse is the receive-folder table in order of the classes.
type ReceiveFoldersResponse struct {
	Rows []ReceiveFolder `wire:"1"`
}

// LocalReplicaIDsRequest asks for ids that a client may give to objects while it is offline (MS-OXCFXICS
// 2.2.3.2.4.7), MaxLocalReplicaIDs at most.
type LocalReplicaIDsRequest struct {
	Count uint32 `wire:"1"`
}

// MaxLocalReplicaIDs bounds one grant.
const MaxLocalReplicaIDs = 1 << 20

// LocalReplicaIDsResponse is the granted range: Count counters from First on.
type LocalReplicaIDsResponse struct {
	Replica mapi.GUID          `wire:"1"`
	First   mapi.GlobalCounter `wire:"2"`
}

// LongTermIDsRequest asks for the identifiers of folder or message ids across mailboxes (MS-OXCSTOR 3.2.5.8).
type LongTermIDsRequest struct {
	IDs []uint64 `wire:"1"`
}

// LongTermIDsResponse holds them in order; one of a replica id that the mailbox does not know is zero.
type LongTermIDsResponse struct {
	GIDs []mapi.GID `wire:"1"`
}

// ShortTermIDsRequest asks for this mailbox's folder or message ids of identifiers; it gives replica ids to GUIDs it
// meets for the first time (MS-OXCSTOR 3.2.5.9).
type ShortTermIDsRequest struct {
	GIDs []mapi.GID `wire:"1"`
}

// ShortTermIDsResponse holds them in order.
type ShortTermIDsResponse struct {
	IDs []uint64 `wire:"1"`
}

// ImportedVersion is what a client says of a version of an object that he made while he was offline (MS-OXCFXICS
// 2.2.3.2.4.2.1): the XID of his change, all that went into it, and when he made it.
type ImportedVersion struct {
	ChangeKey []byte    `wire:"1"`
	PCL       []byte    `wire:"2"`
	Modified  time.Time `wire:"3"`
}

// ImportOutcome says what became of an imported version.
type ImportOutcome uint8

// The outcomes, on the wire.
const (
	// ImportApplied: the version is the object's now.
	ImportApplied ImportOutcome = 1
	// ImportIgnored: the mailbox's version has it already.
	ImportIgnored ImportOutcome = 2
	// ImportConflict: neither version knew of the other; the object has another version made of both.
	ImportConflict ImportOutcome = 3
	// ImportClientNewer: a move was made, and the client has a version that is still to be imported.
	ImportClientNewer ImportOutcome = 4
)

// MarkMessagesRequest changes flags of messages of a folder by MID: SetFlags for what IMAP does not see too.
type MarkMessagesRequest struct {
	Folder   mapi.FID   `wire:"1"`
	Messages []mapi.MID `wire:"2"`
	Mode     FlagMode   `wire:"3"`
	Flags    Flags      `wire:"4"`
}

// MarkMessagesResponse says what moved. With Next above zero the messages from there on are still to be done: large
// sets go in steps (CLUSTER 1.6).
type MarkMessagesResponse struct {
	Changed uint32 `wire:"1"`
	// Missing are messages that are not in the folder.
	Missing []mapi.MID `wire:"2"`
	Next    uint32     `wire:"3"`
	// Denied says that there were messages that the caller may not change.
	Denied bool `wire:"4"`
}

// ReadFlags say how messages are marked as read, and what becomes of the receipts that their senders wait for (MS-OXCMSG
// 2.2.3.10.1). Without any, messages are marked as read, and receipts are sent of those that were not.
type ReadFlags uint8

// The flags.
const (
	ReadSuppressReceipt ReadFlags = 0x01 // marked as read, and no receipt is sent, now or later
	ReadReserved        ReadFlags = 0x0A // says nothing
	ReadClear           ReadFlags = 0x04 // marked as unread; ReadSuppressReceipt may stand beside it
	ReadReceiptOnly     ReadFlags = 0x10 // receipts are sent, and nothing is marked
	ReadClearRead       ReadFlags = 0x20 // no read receipt is owed any more; may stand beside ReadClearUnread
	ReadClearUnread     ReadFlags = 0x40 // no nonread receipt is
)

// SetReadFlagsRequest marks messages of a folder as read or unread, as MAPI does (MS-OXCMSG 2.2.3.10). OpSetFlags and
// OpMarkMessages mark without a receipt.
type SetReadFlagsRequest struct {
	Folder   mapi.FID   `wire:"1"`
	Messages []mapi.MID `wire:"2"`
	Flags    ReadFlags  `wire:"3"`
}

// SetReadFlagsResponse says of how many messages the mark moved, and how many receipts are on their way. Missing, Next and
// Denied are as in MarkMessagesResponse.
type SetReadFlagsResponse struct {
	Changed  uint32     `wire:"1"`
	Receipts uint32     `wire:"2"`
	Missing  []mapi.MID `wire:"3"`
	Next     uint32     `wire:"4"`
	Denied   bool       `wire:"5"`
}

// CarryMessagesRequest copies or moves messages of a folder by MID into another.
type CarryMessagesRequest struct {
	Folder   mapi.FID   `wire:"1"`
	Messages []mapi.MID `wire:"2"`
	Target   mapi.FID   `wire:"3"`
}

// CarryMessagesResponse pairs the messages carried with what they are in the target: From[i] is To[i] there. Missing,
// Next and Denied are as in MarkMessagesResponse.
type CarryMessagesResponse struct {
	From    []mapi.MID `wire:"1"`
	To      []mapi.MID `wire:"2"`
	Missing []mapi.MID `wire:"3"`
	Next    uint32     `wire:"4"`
	Denied  bool       `wire:"5"`
}

// LocateRequest asks where messages are, by MID or by object number (MAILBOX 1).
type LocateRequest struct {
	Messages []mapi.MID          `wire:"1"`
	Objects  []mapi.ObjectNumber `wire:"2"`
}

// LocateResponse holds the messages that there are, those of Messages first, in order.
type LocateResponse struct {
	Messages []MessageState `wire:"1"`
}
