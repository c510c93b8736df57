package schema

import (
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// ConversationWorkKey is what is still to be done with the mail of a conversation that was there before.
func ConversationWorkKey(conversation []byte) []byte {
	return append(newKey(PrefixConversationWork), conversation...)
}

// ConversationWork is how far the mailbox has come with what was decided about a conversation.
type ConversationWork struct {
	// Changes are what is at work and, if the action was changed meanwhile, what comes after it.
	Changes []ConversationChange `wire:"1"`
	// Folder is where to go on, and Received and UID the place in its order of delivery.
	Folder   mapi.GlobalCounter `wire:"2"`
	Received mapi.FileTime      `wire:"3"`
	UID      mapi.UID           `wire:"4"`
	Unknown  wire.Unknown
}

// ConversationChange is what a change of a conversation's action does to mail that is there.
type ConversationChange struct {
	// Target is the folder into which mail moves, zero for none; with From, only what is in that folder.
	Target mapi.GlobalCounter `wire:"1"`
	From   mapi.GlobalCounter `wire:"2"`
	// Add and Remove are ids of keywords, ascending.
	Add    []uint16 `wire:"3"`
	Remove []uint16 `wire:"4"`
	// After is the time of delivery up to which the client has done it already.
	After mapi.FileTime `wire:"5"`
	// Last is the last number that was drawn before the change: what came into its folder later has a greater MID.
	Last    mapi.GlobalCounter `wire:"6"`
	Unknown wire.Unknown
}
