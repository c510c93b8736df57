package mapi

import (
	"cmp"
	"slices"
	"strings"
)

//go:generate go run ./internal/gen

// NameKind says what names a property in its set (MS-OXCDATA 2.6.1). Its numbers are the specification's.
type NameKind uint8

// The kinds.
const (
	NameByLID    NameKind = 0x00
	NameByString NameKind = 0x01
	// NameNone stands in answers for a property id without name.
	NameNone NameKind = 0xFF
)

// PropertyName names a property across mailboxes: a property set and a number or a string in it. In a mailbox it has
// an id from 0x8000 on (MAILBOX 5). Of LID and Name only the one that Kind says is set, so names compare with ==.
type PropertyName struct {
	Set  GUID     `wire:"1"`
	Kind NameKind `wire:"2"`
	LID  uint32   `wire:"3"`
	Name string   `wire:"4"`
}

// Canonical is the form under which a mailbox looks the name up: the names of mail headers have no case
// (MS-OXCPRPT, RopGetPropertyIdsFromNames).
func (n PropertyName) Canonical() PropertyName {
	if n.Set == PSInternetHeaders {
		n.Name = strings.ToLower(n.Name)
	}
	return n
}

// NamedProperty is a named property of MS-OXPROPS with its type.
type NamedProperty struct {
	PropertyName
	Type Type
}

// Tag is the property under the id that a mailbox gave its name.
func (n NamedProperty) Tag(id uint16) Tag { return NewTag(id, n.Type) }

type knownTag struct {
	name string
	tag  Tag
}

type knownNamed struct {
	name     string
	property *NamedProperty
}

// TagByName is the tag of a canonical name, "PidTagSubject".
func TagByName(name string) (Tag, bool) {
	i, found := slices.BinarySearchFunc(tagsByName[:], name, func(k knownTag, name string) int { return cmp.Compare(k.name, name) })
	if !found {
		return 0, false
	}
	return tagsByName[i].tag, true
}

// NamedByName is the named property of a canonical name, "PidLidReminderSet".
func NamedByName(name string) (NamedProperty, bool) {
	i, found := slices.BinarySearchFunc(namedByName[:], name, func(k knownNamed, name string) int { return cmp.Compare(k.name, name) })
	if !found {
		return NamedProperty{}, false
	}
	return *namedByName[i].property, true
}

// CanonicalName is what MS-OXPROPS calls a named property, "PidLidReminderSet", or "". Where several share a name it is the
// first.
func (n PropertyName) CanonicalName() string {
	for _, k := range namedByName {
		if k.property.PropertyName == n {
			return k.name
		}
	}
	return ""
}

// Name is the canonical name of t, or of the first property under its id if t's type is none of them, or "". Where
// several properties share a tag it is the first by name.
func (t Tag) Name() string {
	i, found := slices.BinarySearchFunc(tagsByID[:], t.ID(), func(at, id uint16) int { return cmp.Compare(tagsByName[at].tag.ID(), id) })
	if !found {
		return ""
	}
	name := tagsByName[tagsByID[i]].name
	for ; i < len(tagsByID) && tagsByName[tagsByID[i]].tag.ID() == t.ID(); i++ {
		if k := tagsByName[tagsByID[i]]; k.tag == t {
			return k.name
		}
	}
	return name
}

// Canonicals yields every known tag with its canonical name, by name.
func Canonicals(yield func(name string, t Tag) bool) {
	for _, k := range tagsByName {
		if !yield(k.name, k.tag) {
			return
		}
	}
}

// NamedCanonicals yields every known named property with its canonical name, by name.
func NamedCanonicals(yield func(name string, n NamedProperty) bool) {
	for _, k := range namedByName {
		if !yield(k.name, *k.property) {
			return
		}
	}
}
