package oxcdata

import (
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// DisplayType is what an address book's entry id names (MS-OXCDATA 2.2.5.2, MS-OXOABK 2.2.3.11).
type DisplayType uint32

// The display types.
const (
	DisplayMailUser       DisplayType = 0x0000_0000
	DisplayList           DisplayType = 0x0000_0001
	DisplayForum          DisplayType = 0x0000_0002
	DisplayAgent          DisplayType = 0x0000_0003
	DisplayOrganization   DisplayType = 0x0000_0004
	DisplayPrivateList    DisplayType = 0x0000_0005
	DisplayRemoteMailUser DisplayType = 0x0000_0006
	DisplayContainer      DisplayType = 0x0000_0100
	DisplayTemplate       DisplayType = 0x0000_0101
	DisplayAddressForm    DisplayType = 0x0000_0102
	DisplaySearch         DisplayType = 0x0000_0200
)

// AddressBookEntryID names an object of the address book for good, by its legacyExchangeDN (MS-OXCDATA 2.2.5.2).
type AddressBookEntryID struct {
	Flags   Flags
	Version uint32
	Type    DisplayType
	DN      string
	// Trailer is what some clients leave behind the DN.
	Trailer []byte
}

// EphemeralEntryID names an object of the address book during a session of NSPI (MS-OXNSPI 2.2.9.2).
type EphemeralEntryID struct {
	Flags   Flags
	Server  mapi.GUID
	Version uint32
	Type    DisplayType
	MID     uint32
}

// addressBookVersion is that of both.
const addressBookVersion = 1

// AddressBookOf is the permanent entry id of a directory object.
func AddressBookOf(t DisplayType, dn string) *AddressBookEntryID {
	return &AddressBookEntryID{Version: addressBookVersion, Type: t, DN: dn}
}

// EphemeralOf is the entry id of a directory object for one session.
func EphemeralOf(server mapi.GUID, t DisplayType, mid uint32) *EphemeralEntryID {
	return &EphemeralEntryID{Flags: Flags{ephemeral}, Server: server, Version: addressBookVersion, Type: t, MID: mid}
}

func (d *Decoder) addressBookID(f Flags) *AddressBookEntryID {
	id := &AddressBookEntryID{Flags: f, Version: d.Uint32(), Type: DisplayType(d.Uint32()), DN: d.String8()}
	id.Trailer = d.Bytes(d.Len())
	return id
}

// Append implements EntryID.
func (id *AddressBookEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, ProviderAddressBook)
	e.Uint32(id.Version)
	e.Uint32(uint32(id.Type))
	e.String8(id.DN)
	e.Raw(id.Trailer)
	return e.b
}

func (d *Decoder) ephemeralID(f Flags, server mapi.GUID) *EphemeralEntryID {
	return &EphemeralEntryID{f, server, d.Uint32(), DisplayType(d.Uint32()), d.Uint32()}
}

// Append implements EntryID.
func (id *EphemeralEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, id.Server)
	e.Uint32(id.Version)
	e.Uint32(uint32(id.Type))
	e.Uint32(id.MID)
	return e.b
}

// OneOffEntryID is an address that no address book has (MS-OXCDATA 2.2.5.1).
type OneOffEntryID struct {
	Flags   Flags
	Version uint16
	// Bits are those below.
	Bits uint16
	// The strings are bytes in the client's code page unless Bits has OneOffUnicode.
	DisplayName, AddressType, EmailAddress string
	// Trailer is what some clients leave behind the strings.
	Trailer []byte
}

// Bits of OneOffEntryID (MS-OXCDATA 2.2.5.1).
const (
	OneOffNoRichText = 0x0001
	OneOffNoLookup   = 0x1000
	OneOffUnicode    = 0x8000
)

// OneOffOf is the entry id of an address.
func OneOffOf(displayName, addressType, address string) *OneOffEntryID {
	return &OneOffEntryID{Bits: OneOffUnicode | OneOffNoLookup | OneOffNoRichText, DisplayName: displayName, AddressType: addressType, EmailAddress: address}
}

func (d *Decoder) oneOffID(f Flags) *OneOffEntryID {
	id := &OneOffEntryID{Flags: f, Version: d.Uint16(), Bits: d.Uint16()}
	read := d.String8
	if id.Bits&OneOffUnicode != 0 {
		read = d.String
	}
	id.DisplayName, id.AddressType, id.EmailAddress = read(), read(), read()
	id.Trailer = d.Bytes(d.Len())
	return id
}

// Append implements EntryID.
func (id *OneOffEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, ProviderOneOff)
	e.Uint16(id.Version)
	e.Uint16(id.Bits)
	write := e.String8
	if id.Bits&OneOffUnicode != 0 {
		write = e.String
	}
	write(id.DisplayName)
	write(id.AddressType)
	write(id.EmailAddress)
	e.Raw(id.Trailer)
	return e.b
}

// ContactType is what a ContactEntryID names (MS-OXCDATA 2.2.5.3 and 2.2.5.4).
type ContactType uint32

// The types.
const (
	ContactRoot      ContactType = 0x0000_0001
	ContactSubroot   ContactType = 0x0000_0002
	ContactContainer ContactType = 0x0000_0003
	ContactUser      ContactType = 0x0000_0004
	ContactList      ContactType = 0x0000_0005
)

// ContactEntryID is one of a contact's addresses, or a distribution list among the contacts (MS-OXCDATA 2.2.5.3,
// 2.2.5.4), or the contacts folder as an address book.
type ContactEntryID struct {
	Flags   Flags
	Version uint32
	Type    ContactType
	// Index is the contact's address: 0 to 2 its mail addresses, 3 to 5 its fax numbers. It counts for ContactUser.
	Index uint32
	// Store is the store of a ContactContainer.
	Store mapi.GUID
	// Of is the entry id of the contact, list or folder.
	Of []byte
	// Trailer is the padding that Outlook leaves behind.
	Trailer []byte
}

// ContactOf is the entry id of a contact's address.
func ContactOf(index uint32, contact *MessageEntryID) *ContactEntryID {
	return &ContactEntryID{Version: contactEmailVersion, Type: ContactUser, Index: index, Of: contact.Append(nil)}
}

func (d *Decoder) contactID(f Flags) *ContactEntryID {
	id := &ContactEntryID{Flags: f, Version: d.Uint32(), Type: ContactType(d.Uint32())}
	switch id.Type {
	case ContactUser, ContactList:
		id.Index = d.Uint32()
		id.Of = d.Bytes(int(d.Uint32()))
		id.Trailer = d.Bytes(d.Len())
	case ContactRoot, ContactSubroot, ContactContainer:
		id.Store = d.GUID()
		id.Of = d.Bytes(d.Len())
	default:
		id.Of = d.Bytes(d.Len())
	}
	return id
}

// Append implements EntryID.
func (id *ContactEntryID) Append(dst []byte) []byte {
	e := NewEncoder(dst, ROP)
	e.head(id.Flags, ProviderContacts)
	e.Uint32(id.Version)
	e.Uint32(uint32(id.Type))
	switch id.Type {
	case ContactUser, ContactList:
		e.Uint32(id.Index)
		e.Number(len(id.Of), 4)
	case ContactRoot, ContactSubroot, ContactContainer:
		e.GUID(id.Store)
	}
	e.Raw(id.Of)
	e.Raw(id.Trailer)
	return e.b
}

// SearchKey is PidTagSearchKey of an address and the search keys of senders and recipients made from it: type and
// address in capitals (MS-OXCMAIL 2.2.3.1.1.4.1).
func SearchKey(addressType, address string) []byte {
	return append([]byte(strings.ToUpper(addressType+":"+address)), 0)
}
