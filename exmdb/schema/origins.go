package schema

import (
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// OriginKey is where what came into a folder with a step came from; in Hierarchy it is about folders.
func OriginKey(f mapi.FID, s mapi.Stamp) []byte {
	return put48(folderKey(PrefixOrigin, f), uint64(s))
}

// OriginKind says how something came to where it is, or that it went. Numbers reach the disk.
type OriginKind uint8

// The kinds.
const (
	OriginMoved  OriginKind = 1
	OriginCopied OriginKind = 2
	// OriginArrived is of what came by itself and whose number does not say when: a message with a granted MID, a folder
	// that was recovered.
	OriginArrived OriginKind = 3
	// OriginGone is of folders that were deleted.
	OriginGone OriginKind = 4
	// OriginSearched is of a search folder whose search began, and with that was complete.
	OriginSearched OriginKind = 5
	// OriginOver is of a soft-deleted folder whose time is over.
	OriginOver OriginKind = 6
)

// Origin is what is known of messages that came into a folder, beside their rows: notifications tell of it. Old and New
// are MIDs, the one became the other.
type Origin struct {
	Kind    OriginKind         `wire:"1"`
	From    mapi.GlobalCounter `wire:"2"` // folder
	Old     Runs               `wire:"3"`
	New     Runs               `wire:"4"`
	Unknown wire.Unknown
}

// FolderOrigin is what is known of folders that came, moved or went with a step of Hierarchy, or were searched.
type FolderOrigin struct {
	Kind    OriginKind    `wire:"1"`
	Folders []FolderTrace `wire:"2"`
	Unknown wire.Unknown
}

// FolderTrace is where a folder was. Of a copy Source is the folder it was made of, and Parent the one above that. To is
// where a folder that moved went. Of one that is gone, or whose time is over, Permissions is its list, if it had one: who
// could see it, or owned it, is told. Of one that was recovered, or whose time is over, Parent is below which it was soft-deleted,
// zero if one that was recovered was with its parent.
type FolderTrace struct {
	Folder      mapi.GlobalCounter `wire:"1"`
	Parent      mapi.GlobalCounter `wire:"2"`
	Source      mapi.GlobalCounter `wire:"3"`
	To          mapi.GlobalCounter `wire:"4"`
	Permissions []byte             `wire:"5"`
	Unknown     wire.Unknown
}

// TombstonePart is what one step buried, where a tombstone took in others: so many of its MIDs, in order. Target is the
// folder that they moved into, zero if they are gone.
type TombstonePart struct {
	Stamp   mapi.Stamp         `wire:"1"`
	Count   uint64             `wire:"2"`
	Target  mapi.GlobalCounter `wire:"3"`
	Unknown wire.Unknown
}

// CameAt is when each of the MIDs had come into the folder, in their order.
func (ts *Tombstone) CameAt() Runs {
	if ts.Came != nil {
		return ts.Came
	}
	return ts.MIDs.Above(1)
}

// PartsAt are the parts of a tombstone whose key has a stamp.
func (ts *Tombstone) PartsAt(s mapi.Stamp) []TombstonePart {
	if len(ts.Parts) == 0 {
		return []TombstonePart{{Stamp: s, Count: ts.MIDs.Len()}}
	}
	return ts.Parts
}
