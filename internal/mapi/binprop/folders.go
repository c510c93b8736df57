package binprop

import (
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// PersistID names a special folder in PidTagAdditionalRenEntryIdsEx (MS-OXOSFLD 2.2.4).
type PersistID uint16

// The special folders, and the end of the list.
const (
	PersistEnd              PersistID = 0x0000
	PersistRSSSubscriptions PersistID = 0x8001
	PersistSendAndTrack     PersistID = 0x8002
	PersistToDoSearch       PersistID = 0x8004
	PersistConversations    PersistID = 0x8006
	PersistSuggested        PersistID = 0x8008
	PersistBuddyList        PersistID = 0x8009
)

// Elements of a PersistBlock.
const (
	ElementEntryID = 0x0001
	ElementHeader  = 0x0002
)

// PersistElement is one piece of data about a special folder.
type PersistElement struct {
	ID   uint16
	Data []byte
}

// PersistBlock is what a client keeps about a special folder.
type PersistBlock struct {
	ID       PersistID
	Elements []PersistElement
}

// PersistData is PidTagAdditionalRenEntryIdsEx.
type PersistData struct {
	Blocks []PersistBlock
	// Trailer is what lies from the end mark on: nought bytes, or nothing.
	Trailer []byte
}

// ParsePersistData reads the property.
func ParsePersistData(b []byte) (PersistData, error) {
	d := reader(b)
	var p PersistData
	for d.Len() > 0 {
		left := b[len(b)-d.Len():]
		id := PersistID(d.Uint16())
		if d.Err() == nil && id == PersistEnd {
			p.Trailer = append([]byte{}, left...)
			return p, nil
		}
		p.Blocks = append(p.Blocks, PersistBlock{id, elements(d.Inner(d.Number(2)), d)})
	}
	return p, d.Close()
}

// elements reads those of a block, up to its end or an element without id.
func elements(in, outer *oxcdata.Decoder) []PersistElement {
	var list []PersistElement
	for in.Len() > 0 {
		e := PersistElement{in.Uint16(), in.Bytes(in.Number(2))}
		if in.Err() == nil {
			list = append(list, e)
		}
	}
	if err := in.Close(); err != nil {
		outer.Fail(err)
	}
	return list
}

// Append adds the property.
func (p PersistData) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	for _, block := range p.Blocks {
		e.Uint16(uint16(block.ID))
		e.Sized(2, func() {
			for _, element := range block.Elements {
				e.Uint16(element.ID)
				e.Number(len(element.Data), 2)
				e.Raw(element.Data)
			}
		})
	}
	e.Raw(p.Trailer)
	return e.Bytes()
}

// Folder is the entry id that the data has of a special folder, nil if it has none.
func (p PersistData) Folder(id PersistID) []byte {
	for _, block := range p.Blocks {
		for _, e := range block.Elements {
			if block.ID == id && e.ID == ElementEntryID {
				return e.Data
			}
		}
	}
	return nil
}

// Ids of ExtendedFolderFlag (MS-OXOSRCH 2.2.2.1.2).
const (
	FolderFlagsExtended   = 0x01
	FolderFlagsSearchID   = 0x02
	FolderFlagsSearchTag  = 0x03
	FolderFlagsToDoSearch = 0x05
)

// ExtendedFolderFlag is one of PidTagExtendedFolderFlags.
type ExtendedFolderFlag struct {
	ID   uint8
	Data []byte
}

// ParseExtendedFolderFlags reads the property.
func ParseExtendedFolderFlags(b []byte) ([]ExtendedFolderFlag, error) {
	d := reader(b)
	var list []ExtendedFolderFlag
	for d.Len() > 0 {
		list = append(list, ExtendedFolderFlag{d.Uint8(), d.Bytes(d.Number(1))})
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return list, nil
}

// AppendExtendedFolderFlags adds the property.
func AppendExtendedFolderFlags(dst []byte, list []ExtendedFolderFlag) ([]byte, error) {
	e := writer(dst)
	for _, f := range list {
		e.Uint8(f.ID)
		e.Number(len(f.Data), 1)
		e.Raw(f.Data)
	}
	return e.Bytes()
}

// SearchFlags say what a search folder's definition has (MS-OXOSRCH 2.2.1.2.1).
type SearchFlags uint32

// The flags.
const (
	SearchHasNumber      SearchFlags = 0x0000_0001
	SearchHasText        SearchFlags = 0x0000_0002
	SearchHasAddresses   SearchFlags = 0x0000_0004
	SearchHasRestriction SearchFlags = 0x0000_0008
	SearchHasFilter      SearchFlags = 0x0000_0010
	SearchHasFolders     SearchFlags = 0x0000_0040
)

// SearchFolderDefinition is PidTagSearchFolderDefinition (MS-OXOSRCH 2.2.1.2.1).
type SearchFolderDefinition struct {
	Version uint32
	Flags   SearchFlags
	Number  uint32
	Text    string
	Deep    bool
	// FolderNames is for people, Folders for programs.
	FolderNames string
	Folders     [][]byte // entry ids
	Addresses   [][]mapi.Prop
	Restriction mapi.Restriction
	// Filter is the client's own form of its criteria. Nothing says how long it is: it ends where the last, empty place
	// for later versions begins.
	Filter []byte
	// Skip are the three places for later versions.
	Skip [3][]byte
}

const (
	searchVersion = 0x1004
	// longText in place of a count of characters: the count follows in 16 bits.
	longText = 0xFF
	// lastSkip is the size of an empty place for later versions.
	lastSkip = 4
)

// ParseSearchFolderDefinition reads the property.
func ParseSearchFolderDefinition(b []byte) (SearchFolderDefinition, error) {
	d := oxcdata.NewDecoder(b, oxcdata.Definition)
	s := SearchFolderDefinition{Version: d.Uint32(), Flags: SearchFlags(d.Uint32()), Number: d.Uint32(), Text: longString(d)}
	s.Skip[0] = block(d)
	deep := d.Uint32()
	if deep > 1 {
		d.Failf("deep search %#x", deep)
	}
	s.Deep = deep == 1
	s.FolderNames = longString(d)
	if list := block(d); len(list) > 0 {
		ids, err := oxcdata.EntryList(list)
		if err != nil {
			d.Fail(err)
		}
		s.Folders = ids
	}
	if s.Flags&SearchHasAddresses != 0 {
		s.Addresses = many(d, d.Number(4), func() []mapi.Prop {
			n := d.Number(4)
			d.Uint32()
			return d.Props(n)
		})
	}
	s.Skip[1] = block(d)
	if s.Flags&SearchHasRestriction != 0 {
		s.Restriction = d.Restriction()
	}
	if s.Flags&SearchHasFilter != 0 {
		s.Filter = d.Bytes(max(d.Len()-lastSkip, 0))
	}
	s.Skip[2] = block(d)
	return s, d.Close()
}

func longString(d *oxcdata.Decoder) string {
	n := d.Number(1)
	if n == longText {
		n = d.Number(2)
	}
	return d.UTF16(n)
}

// Append adds the property.
func (s SearchFolderDefinition) Append(dst []byte) ([]byte, error) {
	e := oxcdata.NewEncoder(dst, oxcdata.Definition)
	put32(e, s.Version, uint32(s.Flags), s.Number)
	putLongString(e, s.Text)
	putBlock(e, s.Skip[0])
	deep := uint32(0)
	if s.Deep {
		deep = 1
	}
	e.Uint32(deep)
	putLongString(e, s.FolderNames)
	if s.Folders == nil {
		putBlock(e, nil)
	} else {
		putBlock(e, oxcdata.AppendEntryList(nil, s.Folders))
	}
	if s.Flags&SearchHasAddresses != 0 {
		e.Number(len(s.Addresses), 4)
		for _, props := range s.Addresses {
			e.Number(len(props), 4)
			e.Uint32(0)
			for _, p := range props {
				e.Prop(p)
			}
		}
	}
	putBlock(e, s.Skip[1])
	if s.Flags&SearchHasRestriction != 0 {
		e.Restriction(s.Restriction)
	}
	if s.Flags&SearchHasFilter != 0 {
		e.Raw(s.Filter)
	}
	putBlock(e, s.Skip[2])
	return e.Bytes()
}

func putLongString(e *oxcdata.Encoder, s string) {
	if n := len([]rune(s)); n >= longText || n != len(s) {
		e.Uint8(longText) // always right, and surely long enough
		e.UTF16(s, 2)
		return
	}
	e.UTF16(s, 1)
}
