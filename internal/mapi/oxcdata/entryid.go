package oxcdata

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// EntryID is what names an object across stores and address books (MS-OXCDATA 2.2): one of the types below. Entry ids
// are compared by their bytes where the client made them, and by their parts where we did.
type EntryID interface {
	// Append adds the bytes.
	Append(dst []byte) []byte
}

// ErrBadEntryID says that bytes are no entry id of the kind that they look like.
var ErrBadEntryID = errors.New("malformed entry id")

// Flags are the first four bytes of an entry id: whether it outlives the session, and for what it may be used.
type Flags [4]byte

// ephemeral in the first flag: the entry id ends with the session.
const ephemeral = 0x87

func provider(text string) mapi.GUID {
	g, err := mapi.ParseGUID(text)
	if err != nil {
		invariant.Failf("oxcdata: %v", err)
	}
	return g
}

// Providers: who understands an entry id.
var (
	ProviderPublicFolders = provider("9073441A-66AA-CD11-9BC8-00AA002FC45A")
	ProviderStore         = provider("10BBA138-E505-1A10-A1BB-08002B2A56C2")
	ProviderAddressBook   = provider("C840A7DC-42C0-1A10-B4B9-08002B2FE182")
	ProviderOneOff        = provider("A41F2B81-A3BE-1910-9D6E-00DD010F5402")
	ProviderContacts      = provider("0AAA42FE-C718-101A-E885-0B651C240000")
	ProviderWrapped       = provider("D3AD91C0-9D51-11CF-A4A9-00AA0047FAA4")
	// StorePrivate and StorePublic are what a store's entry id wraps.
	StorePrivate = provider("20FA551B-66AA-CD11-9BC8-00AA002FC45A")
	StorePublic  = provider("1002831C-66AA-CD11-9BC8-00AA002FC45A")
)

// ObjectType is what a folder's or message's entry id names (MS-OXCDATA 2.2.4).
type ObjectType uint16

// The types.
const (
	PrivateFolder  ObjectType = 0x0001
	PublicFolder   ObjectType = 0x0003
	PrivateMessage ObjectType = 0x0007
	PublicMessage  ObjectType = 0x0009
)

// FolderEntryID names a folder (MS-OXCDATA 2.2.4.1). Of a private mailbox Provider is the mailbox's GUID, of public
// folders ProviderPublicFolders.
type FolderEntryID struct {
	Flags    Flags
	Provider mapi.GUID
	Type     ObjectType
	Folder   mapi.GID
}

// MessageEntryID names a message (MS-OXCDATA 2.2.4.2).
type MessageEntryID struct {
	Flags    Flags
	Provider mapi.GUID
	Type     ObjectType
	Folder   mapi.GID
	Message  mapi.GID
}

const (
	headSize            = 20
	folderEntryIDSize   = 46
	messageEntryIDSize  = 70
	storeDLLSize        = 14
	ephemeralSize       = 32
	contactEmailVersion = 3
)

// FolderOf is the entry id of a folder in a private mailbox.
func FolderOf(box mapi.MailboxID, folder mapi.GID) *FolderEntryID {
	return &FolderEntryID{Provider: mapi.GUID(box), Type: PrivateFolder, Folder: folder}
}

// MessageOf is the entry id of a message in a private mailbox.
func MessageOf(box mapi.MailboxID, folder, message mapi.GID) *MessageEntryID {
	return &MessageEntryID{Provider: mapi.GUID(box), Type: PrivateMessage, Folder: folder, Message: message}
}

// StoreEntryID names a mailbox or the public folders (MS-OXCDATA 2.2.4.3).
type StoreEntryID struct {
	Flags Flags
	// Version and Flag are nought.
	Version, Flag byte
	// DLL is emsmdb.dll; clients write it in capitals too.
	DLL          string
	WrappedFlags uint32
	Wrapped      mapi.GUID
	WrappedType  uint32
	Server       string
	// MailboxDN is the mailbox's legacyExchangeDN; public folders have none.
	MailboxDN string
	// HasDN tells an empty MailboxDN from none.
	HasDN bool
	// Trailer is what Outlook adds since version 2007: the server's name or the mailbox's address once more.
	Trailer []byte
}

// Values of StoreEntryID.WrappedType.
const (
	WrappedMailbox = 0x0000_000C
	WrappedPublic  = 0x0000_0006
)

// StoreOf is the entry id of a mailbox.
func StoreOf(server, mailboxDN string) *StoreEntryID {
	return &StoreEntryID{DLL: storeDLL, Wrapped: StorePrivate, WrappedType: WrappedMailbox, Server: server, MailboxDN: mailboxDN, HasDN: true}
}

// WrappedEntryID is another entry id behind a byte that says what it is, as a contact's distribution list keeps its
// members (MS-OXOCNTC 2.2.2.2.4.1).
type WrappedEntryID struct {
	Flags Flags
	Type  uint8
	Of    []byte
}

// UnknownEntryID is one of a provider that is not known here, kept as it is.
type UnknownEntryID struct {
	Flags    Flags
	Provider mapi.GUID
	Data     []byte
}

// ParseEntryID reads an entry id, all of b. One that is shorter than its head, or is not what its provider's should
// be, is an error of ErrBadEntryID.
func ParseEntryID(b []byte) (EntryID, error) {
	d := NewDecoder(b, ROP)
	var flags Flags
	copy(flags[:], d.r.Take(len(flags)))
	id := d.entryID(flags, d.GUID())
	if err := d.Close(); err != nil {
		return nil, fmt.Errorf("%w of %d bytes: %w", ErrBadEntryID, len(b), err)
	}
	return id, nil
}

// entryID reads what follows the head.
func (d *Decoder) entryID(f Flags, p mapi.GUID) EntryID {
	switch {
	case f[0] == ephemeral && d.Len() == ephemeralSize-headSize:
		return d.ephemeralID(f, p)
	case p == ProviderStore:
		return d.storeID(f)
	case p == ProviderAddressBook:
		return d.addressBookID(f)
	case p == ProviderOneOff:
		return d.oneOffID(f)
	case p == ProviderContacts:
		return d.contactID(f)
	case p == ProviderWrapped:
		return &WrappedEntryID{f, d.Uint8(), d.Bytes(d.Len())}
	case d.Len() == folderEntryIDSize-headSize:
		return &FolderEntryID{f, p, ObjectType(d.Uint16()), d.LongTermID()}
	case d.Len() == messageEntryIDSize-headSize:
		return &MessageEntryID{f, p, ObjectType(d.Uint16()), d.LongTermID(), d.LongTermID()}
	}
	return &UnknownEntryID{f, p, d.Bytes(d.Len())}
}

func (e *Encoder) head(f Flags, p mapi.GUID) {
	e.Raw(f[:])
	e.GUID(p)
}

// Append implements EntryID.
func (id *FolderEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, id.Provider)
	e.Uint16(uint16(id.Type))
	e.LongTermID(id.Folder)
	return e.b
}

// Append implements EntryID.
func (id *MessageEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, id.Provider)
	e.Uint16(uint16(id.Type))
	e.LongTermID(id.Folder)
	e.LongTermID(id.Message)
	return e.b
}

// Append implements EntryID.
func (id *WrappedEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, ProviderWrapped)
	e.Uint8(id.Type)
	e.Raw(id.Of)
	return e.b
}

// Append implements EntryID.
func (id *UnknownEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, id.Provider)
	e.Raw(id.Data)
	return e.b
}

// storeDLL is the provider whose entry ids of stores are understood; that of personal folders on a disk is another.
const storeDLL = "emsmdb.dll"

func (d *Decoder) storeID(f Flags) EntryID {
	rest := d.rest()
	if len(rest) < 2+len(storeDLL) || !strings.EqualFold(string(rest[2:2+len(storeDLL)]), storeDLL) {
		return &UnknownEntryID{f, ProviderStore, d.Bytes(d.Len())}
	}
	id := &StoreEntryID{Flags: f, Version: d.Uint8(), Flag: d.Uint8()}
	id.DLL = strings.TrimRight(string(d.r.Take(storeDLLSize)), "\x00")
	id.WrappedFlags, id.Wrapped, id.WrappedType = d.Uint32(), d.GUID(), d.Uint32()
	id.Server = d.String8()
	if id.HasDN = d.Len() > 0 && !isTrailer(d.rest()); id.HasDN {
		id.MailboxDN = d.String8()
	}
	id.Trailer = d.Bytes(d.Len())
	return id
}

// isTrailer reports whether b begins with the mark of a trailer of Outlook 2007 or 2010, where a DN could stand.
func isTrailer(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0xD8, 0x35, 0x21, 0xF3}) || bytes.HasPrefix(b, []byte{0xE9, 0x46, 0x32, 0xF4})
}

// Append implements EntryID.
func (id *StoreEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, ProviderStore)
	e.Uint8(id.Version)
	e.Uint8(id.Flag)
	var dll [storeDLLSize]byte
	copy(dll[:], id.DLL)
	e.Raw(dll[:])
	e.Uint32(id.WrappedFlags)
	e.GUID(id.Wrapped)
	e.Uint32(id.WrappedType)
	e.String8(id.Server)
	if id.HasDN {
		e.String8(id.MailboxDN)
	}
	e.Raw(id.Trailer)
	return e.b
}
