// Package schema holds the keys and records of a mailbox's space, and the table of its fixed folders. It knows how
// they are written, in docs/design/schema.md's words, and nothing of what ops do with them.
//
// Prefixes, tags and folder ids are on disk for ever: a golden file holds them all. Records keep the tags they do not
// know (CLUSTER 7.2). MAILBOX 1 to 4 and 7 say what they mean.
package schema

import (
	"encoding/binary"
	"errors"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The first byte of every key. Add; never reuse.
const (
	PrefixHeader        = 0x01 // Header
	PrefixCounters      = 0x02 // Counters
	PrefixKeyword       = 0x03 // keyword id (2): Keyword
	PrefixReplica       = 0x04 // replica id (2): Replica
	PrefixFolder        = 0x10 // folder: Folder
	PrefixFolderCounts  = 0x11 // folder: FolderCounts
	PrefixFolderName    = 0x12 // parent, folded name: counter of the folder
	PrefixSubscription  = 0x13 // user GUID (16), folder: empty
	PrefixRow           = 0x20 // folder, UID (4): Row
	PrefixMID           = 0x21 // MID: Place
	PrefixObject        = 0x22 // object (8): counter of the MID
	PrefixBag           = 0x23 // object (8): property bag
	PrefixRecipients    = 0x24 // object (8): Recipients
	PrefixAttachment    = 0x25 // object (8), number (4): Attachment
	PrefixRecipe        = 0x26 // body (8): exmdb.Recipe
	PrefixDigest        = 0x27 // body (8): digest of formats/mime
	PrefixShare         = 0x28 // body (8): how many messages have the body, from 2 on
	PrefixContent       = 0x29 // hash (32): how many bodies and bags refer to the content
	PrefixTexts         = 0x2A // object (8): property bag of the texts of a received mail
	PrefixChange        = 0x30 // folder or 0, stamp (6): Change
	PrefixTombstone     = 0x31 // folder or 0, stamp (6): Tombstone
	PrefixTombMark      = 0x32 // stamp (6): TombMark
	PrefixDelivery      = 0x40 // day (4), delivery key (32): Delivery
	PrefixReadState     = 0x50 // user GUID (16), folder: ReadState
	PrefixNamedProp     = 0x51 // id (2): NamedProperty (MAILBOX 5)
	PrefixPropertyName  = 0x52 // property set (16), kind (1), LID (4) or name: id (2)
	PrefixAssociated    = 0x53 // folder, number (4): Row of an associated message
	PrefixReceive       = 0x54 // message class in small letters: ReceiveFolder
	PrefixStoreBag      = 0x55 // property bag of the mailbox itself
	PrefixPermissions   = 0x58 // folder: Permissions
	PrefixDeleted       = 0x59 // folder, milliseconds since 1970 (6), MID (6): Deleted
	PrefixDeletedFolder = 0x5A // folder: DeletedFolder
	PrefixCopyTask      = 0x5B // number (6): CopyTask
	PrefixDelegates     = 0x5C // Delegates
	PrefixPerUser       = 0x5D // replica GUID (16), folder (6): PerUser
	PrefixPurge         = 0x60 // folder: Purge
	PrefixReminder      = 0x64 // time it is due (8), object (8): empty
	PrefixSubmitted     = 0x65 // object (8): Submitted
	PrefixTime          = 0x68 // folder, time of delivery (8), UID (4): empty
	PrefixTimeBlock     = 0x69 // folder, time (8), UID (4): how many PrefixTime from there to the next block, as a varint
	PrefixOrigin        = 0x74 // folder or 0, stamp (6): Origin, FolderOrigin
	PrefixAutomation    = 0x78 // Automation
	PrefixRules         = 0x79 // folder: Rules
	PrefixExtendedRule  = 0x7A // object (8): RuleAuthor or empty, of a message that holds an extended rule
	PrefixOOFTexts      = 0x7B // OOFTexts
	PrefixJunk          = 0x7C // list (1), address or @domain: empty
	PrefixAnswered      = 0x7D // scope (8), hash of the sender (16): Answered
	PrefixOutgoing      = 0x7E // number (8): Outgoing

	PrefixConversationOf     = 0x66 // object (8): the conversation on which a message acts
	PrefixConversationWork   = 0x67 // conversation (16): ConversationWork
	PrefixConversationAction = 0x7F // conversation (16), object (8): empty

	PrefixTimeSpan   = 0x80 // folder, time (8), UID (4): how many PrefixTime from there to the next span, as a varint
	PrefixKeptOrders = 0x81 // folder: KeptOrders
	PrefixMIDBlock   = 0x82 // first number of the block (6): MIDBlock
)

// EndOfPrefixes is the bound above all of them: from there on keys are the cluster's.
const EndOfPrefixes = 0xF0

// Hierarchy stands in place of a folder in the change index and the tombstones: what is there is about folders.
const Hierarchy = mapi.FID(0)

// EndOfUIDs is the bound above the row of the largest UID.
const EndOfUIDs = 1 << 32

// HeaderKey and CountersKey are the two records of which there is one.
func HeaderKey() []byte   { return []byte{PrefixHeader} }
func CountersKey() []byte { return []byte{PrefixCounters} }

// put48 adds a counter of 48 bits, so that keys order as numbers do.
func put48(k []byte, n uint64) []byte {
	return append(k, byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func get48(k []byte) uint64 {
	return uint64(k[0])<<40 | uint64(k[1])<<32 | uint64(binary.BigEndian.Uint32(k[2:]))
}

func newKey(prefix byte) []byte { return append(make([]byte, 0, 24), prefix) }

func folderKey(prefix byte, f mapi.FID) []byte { return put48(newKey(prefix), uint64(f.Counter())) }

func objectKey(prefix byte, o mapi.ObjectNumber) []byte {
	return binary.BigEndian.AppendUint64(newKey(prefix), uint64(o))
}

// Keys of the mailbox's own tables.
func KeywordKey(id uint16) []byte { return binary.BigEndian.AppendUint16(newKey(PrefixKeyword), id) }
func ReplicaKey(r mapi.ReplicaID) []byte {
	return binary.BigEndian.AppendUint16(newKey(PrefixReplica), uint16(r))
}
func FolderKey(f mapi.FID) []byte         { return folderKey(PrefixFolder, f) }
func FolderCountsKey(f mapi.FID) []byte   { return folderKey(PrefixFolderCounts, f) }
func PurgeKey(f mapi.FID) []byte          { return folderKey(PrefixPurge, f) }
func TombMarkKey(first mapi.Stamp) []byte { return put48(newKey(PrefixTombMark), uint64(first)) }

// FolderNameKey leads from a parent and a folded name to the folder; with an empty name it is the bound below all.
func FolderNameKey(parent mapi.FID, folded string) []byte {
	return append(folderKey(PrefixFolderName, parent), folded...)
}

// SubscriptionKey is present when the user has subscribed to the folder.
func SubscriptionKey(user mapi.GUID, f mapi.FID) []byte {
	return put48(append(newKey(PrefixSubscription), user[:]...), uint64(f.Counter()))
}

// ReadStateKey holds what one user has read in a folder where that is kept for each user (MAILBOX 4).
func ReadStateKey(user mapi.GUID, f mapi.FID) []byte {
	return put48(append(newKey(PrefixReadState), user[:]...), uint64(f.Counter()))
}

// RowKey takes EndOfUIDs as the bound above all rows of the folder.
func RowKey(f mapi.FID, uid uint64) []byte {
	if uid >= EndOfUIDs {
		return folderKey(PrefixRow, f+1)
	}
	return binary.BigEndian.AppendUint32(folderKey(PrefixRow, f), uint32(uid))
}

// AssociatedKey is RowKey for associated messages, which have numbers of their own.
func AssociatedKey(f mapi.FID, number uint64) []byte {
	k := RowKey(f, number)
	k[0] = PrefixAssociated
	return k
}

// MIDKey leads from a message id to its place.
func MIDKey(m mapi.MID) []byte { return put48(newKey(PrefixMID), uint64(m.Counter())) }

// MIDBlockKey is the block of numbers that begins with c, of which a folder draws MIDs.
func MIDBlockKey(c mapi.GlobalCounter) []byte { return put48(newKey(PrefixMIDBlock), uint64(c)) }

// Keys of what belongs to an object, and so moves with it.
func ObjectKey(o mapi.ObjectNumber) []byte     { return objectKey(PrefixObject, o) }
func BagKey(o mapi.ObjectNumber) []byte        { return objectKey(PrefixBag, o) }
func TextsKey(o mapi.ObjectNumber) []byte      { return objectKey(PrefixTexts, o) }
func RecipientsKey(o mapi.ObjectNumber) []byte { return objectKey(PrefixRecipients, o) }

// AttachmentKey is one attachment of an object.
func AttachmentKey(o mapi.ObjectNumber, number uint32) []byte {
	return binary.BigEndian.AppendUint32(objectKey(PrefixAttachment, o), number)
}

// Keys of a body: the received bytes, shared by the copies of a message. Bodies are numbered with objects.
func RecipeKey(body mapi.ObjectNumber) []byte { return objectKey(PrefixRecipe, body) }
func DigestKey(body mapi.ObjectNumber) []byte { return objectKey(PrefixDigest, body) }
func ShareKey(body mapi.ObjectNumber) []byte  { return objectKey(PrefixShare, body) }

// ContentKey counts the holders of a piece of content in this space.
func ContentKey(h space.Hash) []byte {
	return append(append(make([]byte, 0, 1+len(h)), PrefixContent), h[:]...)
}

// ChangeKey is a step of the change index; TombstoneKey is what vanished with a step.
func ChangeKey(f mapi.FID, s mapi.Stamp) []byte {
	return put48(folderKey(PrefixChange, f), uint64(s))
}
func TombstoneKey(f mapi.FID, s mapi.Stamp) []byte {
	return put48(folderKey(PrefixTombstone, f), uint64(s))
}

// DeliveryKey is where a delivery of that day (since 1970, UTC) is remembered; days are forgotten whole.
func DeliveryKey(day uint32, key [32]byte) []byte {
	k := binary.BigEndian.AppendUint32(append(make([]byte, 0, 1+4+len(key)), PrefixDelivery), day)
	return append(k, key[:]...)
}

// DeliveryDayKey is the bound below the deliveries of a day.
func DeliveryDayKey(day uint32) []byte {
	return binary.BigEndian.AppendUint32(newKey(PrefixDelivery), day)
}

// ErrBadKey says that a key has not the length of its prefix.
var ErrBadKey = errors.New("malformed key")

func checkKey(k []byte, prefix byte, length int) error {
	if len(k) != length || k[0] != prefix {
		return ErrBadKey
	}
	return nil
}

// ParseFolderKey reads a key of one folder: of its record, its counts or its purge.
func ParseFolderKey(k []byte) (mapi.FID, error) {
	if len(k) != 7 {
		return 0, ErrBadKey
	}
	return mapi.LocalFID(mapi.GlobalCounter(get48(k[1:]))), nil
}

// ParseMIDKey reads what MIDKey made.
func ParseMIDKey(k []byte) (mapi.GlobalCounter, error) {
	if err := checkKey(k, PrefixMID, 7); err != nil {
		return 0, err
	}
	return mapi.GlobalCounter(get48(k[1:])), nil
}

// ParseRowKey reads what RowKey or AssociatedKey made.
func ParseRowKey(k []byte) (mapi.FID, mapi.UID, error) {
	if len(k) != 11 || k[0] != PrefixRow && k[0] != PrefixAssociated {
		return 0, 0, ErrBadKey
	}
	return mapi.LocalFID(mapi.GlobalCounter(get48(k[1:]))), mapi.UID(binary.BigEndian.Uint32(k[7:])), nil
}

// ParseStampKey reads the stamp at the end of a key of change index, tombstones or marks.
func ParseStampKey(k []byte) (mapi.Stamp, error) {
	if len(k) != 13 && len(k) != 7 {
		return 0, ErrBadKey
	}
	return mapi.Stamp(get48(k[len(k)-6:])), nil
}

// ParseKeywordKey reads what KeywordKey made.
func ParseKeywordKey(k []byte) (uint16, error) {
	if err := checkKey(k, PrefixKeyword, 3); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(k[1:]), nil
}

// ParseReplicaKey reads what ReplicaKey made.
func ParseReplicaKey(k []byte) (mapi.ReplicaID, error) {
	if err := checkKey(k, PrefixReplica, 3); err != nil {
		return 0, err
	}
	return mapi.ReplicaID(binary.BigEndian.Uint16(k[1:])), nil
}

// ParseSubscriptionKey reads the folder of a subscription or read state.
func ParseSubscriptionKey(k []byte) (mapi.FID, error) {
	if len(k) != 23 {
		return 0, ErrBadKey
	}
	return mapi.LocalFID(mapi.GlobalCounter(get48(k[17:]))), nil
}

// AppendCounter is the value of FolderNameKey and ObjectKey: the counter of a FID or MID.
func AppendCounter(c mapi.GlobalCounter) []byte { return put48(make([]byte, 0, 6), uint64(c)) }

// ParseCounter reads what AppendCounter made.
func ParseCounter(b []byte) (mapi.GlobalCounter, error) {
	if len(b) != 6 {
		return 0, ErrBadRecord
	}
	return mapi.GlobalCounter(get48(b)), nil
}
