package exmdb

import "github.com/flotilla-mail/flotilla/internal/mapi"

// TextFields are the parts of a message that text is looked for in. Bits reach the wire.
type TextFields uint32

// The parts, as formats/mime reads a message: its header fields, To with Cc and Bcc; the text parts, decoded; all other
// fields of its header; and the headers of parts.
const (
	TextSubject TextFields = 1 << 0
	TextFrom    TextFields = 1 << 1
	TextTo      TextFields = 1 << 2
	TextBody    TextFields = 1 << 3
	TextHeader  TextFields = 1 << 4
	TextPart    TextFields = 1 << 5
)

// TextQuery asks for messages that contain a text in one of the fields, anywhere and in any case; or that pass all, or
// any, of other queries.
type TextQuery struct {
	Fields TextFields  `wire:"1"`
	Text   string      `wire:"2"`
	All    []TextQuery `wire:"3"`
	Any    []TextQuery `wire:"4"`
}

// NarrowRequest asks which messages of a folder may pass a query.
type NarrowRequest struct {
	Folder mapi.FID  `wire:"1"`
	Query  TextQuery `wire:"2"`
}

// NarrowResponse names them. All that pass are among them, others may be. Unless it is Known, all may pass: the folder is
// not indexed, or what is asked cannot be narrowed. Again says that so much has changed since the folder was indexed that
// one request does not see all of it, and that the next goes on.
type NarrowResponse struct {
	Known bool       `wire:"1"`
	UIDs  []UIDRange `wire:"2"`
	Again bool       `wire:"3"`
}
