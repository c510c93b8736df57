package oxcfxics

import (
	"encoding/binary"
	"fmt"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Properties of change synchronisation, which no object has (MS-OXCFXICS 2.2.1). MetaTagIdsetGiven has the number of an
// integer and the value of a binary, since always (2.2.1.1.1).
const (
	MetaTagIdsetGiven           = mapi.Tag(0x4017_0003)
	MetaTagCnsetSeen            = mapi.Tag(0x6796_0102)
	MetaTagCnsetSeenFAI         = mapi.Tag(0x67DA_0102)
	MetaTagCnsetRead            = mapi.Tag(0x67D2_0102)
	MetaTagIdsetDeleted         = mapi.Tag(0x67E5_0102)
	MetaTagIdsetNoLongerInScope = mapi.Tag(0x4021_0102)
	MetaTagIdsetExpired         = mapi.Tag(0x6793_0102)
	MetaTagIdsetRead            = mapi.Tag(0x402D_0102)
	MetaTagIdsetUnread          = mapi.Tag(0x402E_0102)
)

// State is what a client knows of a folder's contents, or of the hierarchy, where only Given and Seen count
// (MS-OXCFXICS 2.2.1.1).
type State struct {
	// Given are the ids of the objects that the client has.
	Given mapi.IDSET `wire:"1"`
	// Seen and SeenFAI are the changes of messages and associated messages that it has seen, Read those of read state.
	Seen    mapi.IDSET `wire:"2"`
	SeenFAI mapi.IDSET `wire:"3"`
	Read    mapi.IDSET `wire:"4"`
}

// part is the set of a property, nil if the property is none of the state's. The property id alone counts: clients
// name MetaTagIdsetGiven by either type.
func (s *State) part(t mapi.Tag) *mapi.IDSET {
	switch t.ID() {
	case MetaTagIdsetGiven.ID():
		return &s.Given
	case MetaTagCnsetSeen.ID():
		return &s.Seen
	case MetaTagCnsetSeenFAI.ID():
		return &s.SeenFAI
	case MetaTagCnsetRead.ID():
		return &s.Read
	}
	return nil
}

// Put reads one property of the state as a client uploads it.
func (s *State) Put(t mapi.Tag, b []byte) error {
	part := s.part(t)
	if part == nil {
		return fmt.Errorf("state property %v: %w", t, mapi.ErrBadGLOBSET)
	}
	set, err := ParseIDSET(b)
	if err != nil {
		return fmt.Errorf("state property %v: %w", t, err)
	}
	*part = set
	return nil
}

// Property is one property of the state as it goes to the client, in the order of the two lists below.
type Property struct {
	Tag   mapi.Tag
	Value []byte
}

// Contents is the state of a folder's contents.
func (s *State) Contents() []Property {
	return s.properties(MetaTagIdsetGiven, MetaTagCnsetSeen, MetaTagCnsetSeenFAI, MetaTagCnsetRead)
}

// Hierarchy is the state of a hierarchy.
func (s *State) Hierarchy() []Property { return s.properties(MetaTagIdsetGiven, MetaTagCnsetSeen) }

func (s *State) properties(tags ...mapi.Tag) []Property {
	list := make([]Property, len(tags))
	for i, t := range tags {
		list[i] = Property{t, AppendIDSET(nil, *s.part(t))}
	}
	return list
}

// ProgressInformation says at the start of a download what is to come (MS-OXCFXICS 2.2.2.7).
type ProgressInformation struct {
	FAICount, NormalCount uint32
	FAISize, NormalSize   uint64
}

// Append adds the 32 bytes.
func (p ProgressInformation) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, 0) // version and padding
	dst = le.AppendUint64(le.AppendUint32(dst, p.FAICount), p.FAISize)
	dst = le.AppendUint32(le.AppendUint32(dst, p.NormalCount), 0)
	return le.AppendUint64(dst, p.NormalSize)
}
