package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// Change synchronisation (MS-OXCFXICS) asks what is different from what a client knows, and brings what a client has
// changed. The client keeps its state; ContentsSync and HierarchySync make answers of it, and the next state.

// SyncFlags say what is synchronised (MS-OXCFXICS 2.2.3.2.1.1.1). Bits reach the wire.
type SyncFlags uint32

// The flags.
const (
	SyncNormal     SyncFlags = 1 << 0 // messages
	SyncAssociated SyncFlags = 1 << 1 // FAI messages
	SyncReadState  SyncFlags = 1 << 2
	// SyncNoDeletions tells of nothing that is gone; SyncKeepOutOfScope of nothing that only left the restriction.
	SyncNoDeletions    SyncFlags = 1 << 3
	SyncKeepOutOfScope SyncFlags = 1 << 4
	// SyncByDeliveryTime brings messages in order of delivery, the newest first.
	SyncByDeliveryTime SyncFlags = 1 << 5
	// SyncWhole brings the content of messages, SyncWholeAssociated of FAI messages, whatever SyncScope.Tags says.
	SyncWhole           SyncFlags = 1 << 6
	SyncWholeAssociated SyncFlags = 1 << 7
	// SyncProgress asks how much is to come.
	SyncProgress SyncFlags = 1 << 8
	// SyncStateOnly brings no changes: all that there is counts as known.
	SyncStateOnly SyncFlags = 1 << 9
)

// SyncScope is which objects of a folder are synchronised and what is wanted of them. A state belongs to the
// restriction that it was made under.
type SyncScope struct {
	Flags SyncFlags `wire:"1"`
	// Restriction is in the form of oxcdata.AppendRestriction, empty for none. It may not count rows.
	Restriction []byte `wire:"2"`
	// Tags are the properties wanted of each changed object.
	Tags []mapi.Tag `wire:"3"`
}

// SyncCursor is where a download goes on. It is the store's to make and read, and any owner's.
type SyncCursor struct {
	Phase SyncPhase `wire:"1"`
	// Stamp is the state of the mailbox that the download is of.
	Stamp mapi.Stamp `wire:"2"`
	// At is the last stamp or UID done, Received with it the last time of delivery.
	At       uint64        `wire:"3"`
	Received mapi.FileTime `wire:"4"`
	// Stored: messages are looked for in the order of delivery that is stored, because many are to come.
	Stored bool `wire:"5"`
	// Compared: the download has gone through all objects.
	Compared bool `wire:"6"`
	// Within is a tombstone of which Offset objects have been named: one may be of very many.
	Within mapi.Stamp `wire:"7"`
	Offset uint64     `wire:"8"`
}

// SyncPhase is a part of a download. Numbers reach the wire.
type SyncPhase uint8

// The phases of a download, in order: what changed, what is gone, what was read. The two that compare stand in place of
// the first ones where the state alone does not say what became of the client's objects.
const (
	SyncBegin             SyncPhase = 0
	SyncChanged           SyncPhase = 1
	SyncChangedByTime     SyncPhase = 2
	SyncGone              SyncPhase = 3
	SyncRead              SyncPhase = 4
	SyncOwnRead           SyncPhase = 5
	SyncCompare           SyncPhase = 6
	SyncCompareAssociated SyncPhase = 7
	SyncEnd               SyncPhase = 8
)

// Compares reports whether the request of the phase brings what the client has.
func (p SyncPhase) Compares() bool { return p == SyncCompare || p == SyncCompareAssociated }

// SyncContentsRequest asks for a page of what is different in a folder (MS-OXCFXICS 3.2.5.3). Seen, SeenFAI and Read are
// the client's. Given is sent while the cursor compares only; Holds says whether there is anything in it.
type SyncContentsRequest struct {
	Folder  mapi.FID   `wire:"1"`
	Scope   SyncScope  `wire:"2"`
	Seen    mapi.IDSET `wire:"3"`
	SeenFAI mapi.IDSET `wire:"4"`
	Read    mapi.IDSET `wire:"5"`
	Given   mapi.IDSET `wire:"6"`
	Holds   bool       `wire:"7"`
	Cursor  SyncCursor `wire:"8"`
	// Limit bounds the changes of the page; zero is the store's own bound.
	Limit uint32 `wire:"9"`
}

// SyncedMessage is a message that is new or different to the client, as a whole: which of its properties have changed is
// not kept.
type SyncedMessage struct {
	Source mapi.GID     `wire:"1"` // PidTagSourceKey
	Change mapi.GID     `wire:"2"` // its change number
	State  MessageState `wire:"3"`
	// Modified is PidTagLastModificationTime.
	Modified time.Time `wire:"4"`
	// Content is there where the scope asks for it.
	Content *MessageContent `wire:"5"`
	// New says that the client does not have it yet.
	New bool `wire:"-"`
}

// SyncToCome is how much is to come, or about so much (MS-OXCFXICS 2.2.2.7).
type SyncToCome struct {
	Messages       uint32 `wire:"1"`
	Associated     uint32 `wire:"2"`
	Size           uint64 `wire:"3"`
	AssociatedSize uint64 `wire:"4"`
}

// SyncContentsResponse is a page. The sets of ids say more than the client needs to know: what it does not have means
// nothing to it.
type SyncContentsResponse struct {
	Changes []SyncedMessage `wire:"1"`
	// Names are those of the named properties in the page.
	Names []NamedID `wire:"2"`
	// Gone are in the folder no more, OutOfScope outside the restriction.
	Gone       mapi.IDSET `wire:"3"`
	OutOfScope mapi.IDSET `wire:"4"`
	// MarkedRead and MarkedUnread are messages of which that has changed.
	MarkedRead   mapi.IDSET `wire:"5"`
	MarkedUnread mapi.IDSET `wire:"6"`
	// Present are there as the client knows them; told where the cursor compares.
	Present  mapi.IDSET  `wire:"7"`
	Progress *SyncToCome `wire:"8"`
	// Next is where to go on, with More.
	Next SyncCursor `wire:"9"`
	More bool       `wire:"10"`
	// Compared says that every object has been looked at by now: what the client has and was not met is gone.
	Compared bool `wire:"15"`
	// Seen, SeenFAI and Read are the client's after the last page.
	Seen     mapi.IDSET `wire:"11"`
	SeenFAI  mapi.IDSET `wire:"12"`
	Read     mapi.IDSET `wire:"13"`
	Sequence uint64     `wire:"14"`
}

// SyncHierarchyRequest asks for a page of what is different in the folders below one, at any depth. What a page brings
// counts as known in the next request; so no cursor is needed.
type SyncHierarchyRequest struct {
	Folder mapi.FID       `wire:"1"`
	State  oxcfxics.State `wire:"2"`
	Flags  SyncFlags      `wire:"3"`
	// Tags are the properties wanted of each folder.
	Tags  []mapi.Tag `wire:"4"`
	Limit uint32     `wire:"5"`
}

// SyncedFolder is a folder that is new or different to the client. Parents come before what is below them.
type SyncedFolder struct {
	Source    mapi.GID     `wire:"1"`
	Parent    mapi.GID     `wire:"2"`
	Change    mapi.GID     `wire:"3"`
	FID       mapi.FID     `wire:"4"`
	ChangeKey []byte       `wire:"5"`
	PCL       []byte       `wire:"6"`
	Modified  time.Time    `wire:"7"`
	Name      string       `wire:"8"`
	Class     string       `wire:"9"`
	Props     mapi.PropBag `wire:"10"`
	// New says that the client does not have it yet.
	New bool `wire:"11"`
}

// SyncHierarchyResponse is a page; Deleted and Seen are there in the last one.
type SyncHierarchyResponse struct {
	Folders  []SyncedFolder `wire:"1"`
	Names    []NamedID      `wire:"2"`
	Deleted  mapi.IDSET     `wire:"3"`
	Seen     mapi.IDSET     `wire:"4"`
	More     bool           `wire:"5"`
	Sequence uint64         `wire:"6"`
	// Present are all folders, where SyncStateOnly asks for the state without changes.
	Present mapi.IDSET `wire:"7"`
	// Lost says that the client has seen changes that were lost with a restore (MAILBOX 2): it asks again as one that has
	// seen nothing.
	Lost bool `wire:"8"`
}

// ImportMessageRequest brings a message that a client has made or changed, the whole of it (MS-OXCFXICS 2.2.3.2.4.2). The
// source key is of a range that OpLocalReplicaIDs granted, or the mailbox's own.
type ImportMessageRequest struct {
	Folder     mapi.FID        `wire:"1"`
	SourceKey  []byte          `wire:"2"`
	Version    ImportedVersion `wire:"3"`
	Associated bool            `wire:"4"`
	// FailOnConflict refuses with KindConflict what is neither newer nor older than the mailbox's version.
	FailOnConflict bool        `wire:"5"`
	Message        MessageEdit `wire:"6"`
	Payload        Payload     `wire:"7"`
}

// ImportResponse is the message as it is now.
type ImportResponse struct {
	Outcome  ImportOutcome     `wire:"1"`
	State    MessageState      `wire:"2"`
	Source   mapi.GID          `wire:"3"`
	Change   mapi.GID          `wire:"4"`
	Problems []PropertyProblem `wire:"5"`
}

// Note puts into a state of the folder that the client has the message. Its version counts as seen where it is the
// client's; else the next download brings it.
func (r *ImportResponse) Note(st *oxcfxics.State) {
	st.Given.Add(r.Source)
	switch {
	case r.Outcome != ImportApplied:
	case r.State.Associated:
		st.SeenFAI.Add(r.Change)
	default:
		st.Seen.Add(r.Change)
	}
}

// ImportFolderRequest brings a folder that a client has made, renamed or moved, or whose properties he has changed
// (MS-OXCFXICS 2.2.3.2.4.3).
type ImportFolderRequest struct {
	// Parent is where the folder belongs.
	Parent    mapi.FID        `wire:"1"`
	SourceKey []byte          `wire:"2"`
	Version   ImportedVersion `wire:"3"`
	Name      string          `wire:"4"`
	// Set and Delete change other properties; those that are not named stay.
	Set     mapi.PropBag `wire:"5"`
	Delete  []mapi.Tag   `wire:"6"`
	Payload Payload      `wire:"7"`
}

// ImportFolderResponse is the folder as it is now.
type ImportFolderResponse struct {
	Outcome  ImportOutcome     `wire:"1"`
	FID      mapi.FID          `wire:"2"`
	Source   mapi.GID          `wire:"3"`
	Change   mapi.GID          `wire:"4"`
	Problems []PropertyProblem `wire:"5"`
}

// Note puts into a state of the hierarchy that the client has the folder, as ImportResponse.Note does for messages.
func (r *ImportFolderResponse) Note(st *oxcfxics.State) {
	st.Given.Add(r.Source)
	if r.Outcome == ImportApplied {
		st.Seen.Add(r.Change)
	}
}

// ImportDeletesRequest brings deletions (MS-OXCFXICS 2.2.3.2.4.5): of messages of a folder or, with Folders, of folders
// right below it with all that is in them. What is not there is remembered as deleted, so that a change of it that comes
// later does not bring it back.
type ImportDeletesRequest struct {
	Folder     mapi.FID `wire:"1"`
	Folders    bool     `wire:"2"`
	Hard       bool     `wire:"3"`
	SourceKeys [][]byte `wire:"4"`
}

// ImportDeletesResponse says how many were deleted. With Next above zero the source keys from there on are still to be
// done.
type ImportDeletesResponse struct {
	Deleted uint32 `wire:"1"`
	Next    uint32 `wire:"2"`
	// Denied says that there were messages that the caller may not delete.
	Denied bool `wire:"3"`
}

// ImportMoveRequest brings that a client has moved a message (MS-OXCFXICS 2.2.3.2.4.4).
type ImportMoveRequest struct {
	// Folder is where the message goes, From where it is.
	Folder    mapi.FID `wire:"1"`
	From      mapi.FID `wire:"2"`
	SourceKey []byte   `wire:"3"`
	// Target is its source key in Folder, out of a granted range.
	Target []byte `wire:"4"`
	// PCL is that of the version that was moved, ChangeKey the change that the move is.
	PCL       []byte `wire:"5"`
	ChangeKey []byte `wire:"6"`
}

// ReadStateChange says of a message whether it is read.
type ReadStateChange struct {
	SourceKey []byte `wire:"1"`
	Read      bool   `wire:"2"`
}

// ImportReadStatesRequest brings changes of read state (MS-OXCFXICS 2.2.3.2.4.6). Messages that are not there are passed
// over.
type ImportReadStatesRequest struct {
	Folder  mapi.FID          `wire:"1"`
	Changes []ReadStateChange `wire:"2"`
}

// ImportReadStatesResponse holds the numbers of the changes made, which the client's state has as seen. Next and Denied
// are as in ImportDeletesResponse.
type ImportReadStatesResponse struct {
	Changes mapi.IDSET `wire:"1"`
	Next    uint32     `wire:"2"`
	Denied  bool       `wire:"3"`
}
