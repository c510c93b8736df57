package exmdb

import "github.com/flotilla-mail/flotilla/internal/mapi"

// Sizes in bytes.
const (
	// MaxChunk is the most one content chunk holds (CLUSTER 3.1).
	MaxChunk = 240 << 10
	// MaxInline is the most content a request carries itself; more is uploaded ahead.
	MaxInline = 160 << 10
	// MaxRawLeaf is the longest leaf body, in octets as received, that stays inside the recipe instead of being content by hash (MAILBOX 3).
	MaxRawLeaf = 8 << 10
	// MaxQuoted is the longest leaf body in quoted-printable, in octets as received, that is content as it decodes to: to read
	// the end of one it is encoded from its beginning.
	MaxQuoted = 512 << 10
	// MaxConversion bounds recipients and attachments of a conversion without their content.
	MaxConversion = 4 << 20
	// MaxReadBytes is the most one OpReadBytes returns.
	MaxReadBytes = 1 << 20
	// MaxMessage is the default limit of a message.
	MaxMessage = 150 << 20
)

// ChunkRef names a piece of content by the SHA-256 of its bytes.
type ChunkRef struct {
	Hash [32]byte `wire:"1"`
	Size uint32   `wire:"2"`
}

// Encoding says how a segment's octets come from its content's bytes. Numbers reach the disk.
type Encoding uint8

const (
	// EncodingNone: the content is the octets.
	EncodingNone Encoding = 0
	// EncodingBase64: RFC 2045 base64 in lines of Segment.Line characters ended by CRLF; the last line is ended by
	// CRLF only with Segment.LastCRLF.
	EncodingBase64 Encoding = 1
	// EncodingQP75 and EncodingQP76: RFC 2045 quoted-printable as mime.LayoutQP75 and mime.LayoutQP76 write it.
	EncodingQP75 Encoding = 2
	EncodingQP76 Encoding = 3
)

// Segment is a run of a message's octets: either Raw, or content chunks with their encoding.
type Segment struct {
	Raw      []byte     `wire:"1"`
	Chunks   []ChunkRef `wire:"2"`
	Encoding Encoding   `wire:"3"`
	// Line is the characters in an encoded line, a multiple of 4.
	Line     uint32 `wire:"4"`
	LastCRLF bool   `wire:"5"`
	// Octets is the segment's length as received; for Raw it is zero and len(Raw) counts.
	Octets uint64 `wire:"6"`
}

// Base64Size is how many octets, and how many line ends, n bytes make in lines of line characters (RFC 2045 6.8).
func Base64Size(n uint64, line uint32, lastCRLF bool) (octets, lines uint64) {
	chars := (n + 2) / 3 * 4
	lines = (chars + uint64(line) - 1) / uint64(line)
	if !lastCRLF && lines > 0 {
		lines--
	}
	return chars + 2*lines, lines
}

// Recipe is how a message's octets are put together again (MAILBOX 3). Prefix is what this delivery put in front
// (trace headers of this recipient); Segments are the same for every recipient.
type Recipe struct {
	Prefix   []byte    `wire:"1"`
	Segments []Segment `wire:"2"`
}

// Size is the length in octets of the whole message, prefix included.
func (r *Recipe) Size() uint64 {
	n := uint64(len(r.Prefix))
	for i := range r.Segments {
		if s := &r.Segments[i]; len(s.Chunks) == 0 {
			n += uint64(len(s.Raw))
		} else {
			n += s.Octets
		}
	}
	return n
}

// NewMessage is a message on its way into a mailbox, made by mailflow/deliver (or by APPEND) on the node that
// received it.
type NewMessage struct {
	Recipe Recipe `wire:"1"`
	// Digest is formats/mime's digest of the segments' octets, without Prefix.
	Digest []byte `wire:"2"`
	// Inline is the data of chunks named in Recipe or in the conversion that were not uploaded, MaxInline bytes at most in all.
	Inline [][]byte `wire:"3"`
	// Props is the property bag of the MAPI view, coded by internal/mapi.
	Props []byte `wire:"4"`
	// Converted is what else the mail became; nil where no more than its header was read.
	Converted *Conversion `wire:"5"`
}

// Conversion is the message that a mail became (MS-OXCMAIL 2.2), beside the properties in NewMessage.Props, which then
// have the texts too. Long values refer to the content of the recipe, or to more of it that was made.
type Conversion struct {
	// Names are those of the named properties in all bags of the message, as in Payload.
	Names []mapi.PropertyName `wire:"1"`
	// Recipients are set where they are others than those of the header.
	Recipients  []mapi.PropBag `wire:"2"`
	Attachments []Attachment   `wire:"3"`
	// Meeting is the meeting that the mail says something about, as its calendar has it; its class tells what is said. Nil
	// where there is none.
	Meeting *MessageContent `wire:"4"`
	// Floating is the text of the meeting's calendar where times in it name no zone: in Meeting, and in the properties that the message
	// has of it, they are in UTC, and a mailbox that has a zone reads them anew.
	Floating []byte `wire:"5"`
}
