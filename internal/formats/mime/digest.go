package mime

import (
	"encoding/binary"
	"errors"
	"slices"
)

// A digest is the tree of a message with its envelopes, small enough to be stored beside every message:
//
//	format   1 byte, 1
//	fields   tag, value, …
//
// A tag is a uvarint, field number * 2 + form: form 0 is followed by a uvarint, form 1 by a length and so many
// bytes. Unknown numbers are passed over, so fields can be added; absent and usual values cost nothing. The fields
// of the digest are envelope, flags and structure. The structure is the parts in pre-order, each its fields, a 0, and
// as many parts as its last field says. Positions are distances from the end of the part before, or from the start of
// the body around. Numbers below reach disk and are never used again for anything else.
const digestFormat = 1

// ErrDigest is the kind of every decoding error here.
var ErrDigest = errors.New("damaged message digest")

// Fields of a digest.
const (
	digestEnvelope  = 1 // bytes
	digestFlags     = 2 // number: 1 has attachments
	digestStructure = 3 // bytes
)

const flagAttachments = 1

// Fields of a part.
const (
	partGap         = 1
	partHeaderSize  = 2
	partSize        = 3
	partLines       = 4
	partTypeCode    = 5
	partType        = 6
	partSubtype     = 7
	partParams      = 8
	partCoding      = 9 // a code
	partEncoding    = 10
	partDisposed    = 11 // a code
	partDisposition = 12
	partDispParams  = 13
	partID          = 14
	partDescription = 15
	partLanguages   = 16
	partLocation    = 17
	partMD5         = 18
	partEnvelope    = 19
	partChildren    = 20
)

// Fields of an envelope.
const (
	envAddresses = 1 // number of addresses in all lists
	envDate      = 2
	envSubject   = 3
	envInReplyTo = 4
	envMessageID = 5
	envFrom      = 6
	envSender    = 7
	envReplyTo   = 8
	envTo        = 9
	envCc        = 10
	envBcc       = 11
)

// Codes of common words; the index is the code, 0 means the word is written out or absent.
var (
	typeCodes = [...]mediaType{
		{}, {"text", "html"}, {"multipart", "mixed"}, {"multipart", "alternative"}, {"multipart", "related"},
		{"application", "octet-stream"}, {"application", "pdf"}, {"image", "png"}, {"image", "jpeg"},
		{"message", "rfc822"}, {"multipart", "signed"}, {"multipart", "report"}, {"image", "gif"}, {"text", "calendar"},
	}
	codingCodes   = [...]string{"", "7bit", "8bit", "quoted-printable", "base64", "binary"}
	disposedCodes = [...]string{"", "attachment", "inline"}
)

// MarshalDigest gives the digest of the message p.
func MarshalDigest(p *Part) []byte {
	var e encoder
	e.b = append(make([]byte, 0, 512), digestFormat)
	if p.Envelope != nil {
		e.nested(digestEnvelope, func() { e.envelope(p.Envelope) })
	}
	if p.HasAttachments() {
		e.number(digestFlags, flagAttachments)
	}
	e.nested(digestStructure, func() { e.part(p, 0, false) })
	return e.b
}

// encoder appends fields.
type encoder struct{ b []byte }

func (e *encoder) uvarint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

// number writes a number unless it is 0.
func (e *encoder) number(field int, v int64) {
	if v != 0 {
		e.uvarint(uint64(field) << 1)
		e.uvarint(uint64(v))
	}
}

// text writes a string unless it is empty.
func (e *encoder) text(field int, s string) {
	if s != "" {
		e.textAlways(field, s)
	}
}

func (e *encoder) textAlways(field int, s string) {
	e.uvarint(uint64(field)<<1 | 1)
	e.string(s)
}

func (e *encoder) string(s string) {
	e.uvarint(uint64(len(s)))
	e.b = append(e.b, s...)
}

// nested writes what put appends as one bytes field.
func (e *encoder) nested(field int, put func()) {
	e.uvarint(uint64(field)<<1 | 1)
	start := len(e.b)
	put()
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(e.b)-start))
	e.b = slices.Insert(e.b, start, head[:n]...)
}

// part writes p and what is below it; from is the position its gap counts from.
func (e *encoder) part(p *Part, from int64, withEnvelope bool) {
	e.number(partGap, p.HeaderStart-from)
	e.number(partHeaderSize, p.HeaderSize())
	e.number(partSize, p.Size())
	e.number(partLines, p.Lines)
	e.mediaType(p)
	e.params(partParams, p.Params)
	e.word(partCoding, partEncoding, codingCodes[:], p.Encoding)
	e.word(partDisposed, partDisposition, disposedCodes[:], p.Disposition)
	e.params(partDispParams, p.DispositionParams)
	e.text(partID, p.ID)
	e.text(partDescription, p.Description)
	if len(p.Languages) > 0 {
		e.nested(partLanguages, func() {
			for _, l := range p.Languages {
				e.string(l)
			}
		})
	}
	e.text(partLocation, p.Location)
	e.text(partMD5, p.MD5)
	if withEnvelope && p.Envelope != nil {
		e.nested(partEnvelope, func() { e.envelope(p.Envelope) })
	}
	e.number(partChildren, int64(len(p.Parts)))
	e.b = append(e.b, 0)
	from = p.BodyStart
	for _, child := range p.Parts {
		e.part(child, from, true)
		from = child.BodyEnd
	}
}

func (e *encoder) mediaType(p *Part) {
	if p.Type == "text" && p.Subtype == "plain" {
		return
	}
	if code := slices.Index(typeCodes[:], mediaType{p.Type, p.Subtype}); code > 0 {
		e.number(partTypeCode, int64(code))
		return
	}
	e.textAlways(partType, p.Type)
	e.textAlways(partSubtype, p.Subtype)
}

func (e *encoder) word(code, field int, codes []string, s string) {
	if i := slices.Index(codes, s); i >= 0 {
		e.number(code, int64(i))
		return
	}
	e.text(field, s)
}

func (e *encoder) params(field int, params Params) {
	if len(params) == 0 {
		return
	}
	e.nested(field, func() {
		for _, a := range params {
			e.string(a.Name)
			e.string(a.Value)
		}
	})
}

func (e *encoder) envelope(v *Envelope) {
	lists := [...][]Address{v.From, v.Sender, v.ReplyTo, v.To, v.Cc, v.Bcc}
	for i := 1; i <= 2; i++ { // Sender and ReplyTo that repeat From
		if slices.Equal(lists[i], v.From) {
			lists[i] = nil
		}
	}
	total := 0
	for _, l := range lists {
		total += len(l)
	}
	e.number(envAddresses, int64(total))
	for i, s := range [...]string{v.Date, v.Subject, v.InReplyTo, v.MessageID} {
		if s != "" || v.Has&(1<<i) != 0 {
			e.textAlways(envDate+i, s)
		}
	}
	for i, list := range lists {
		if len(list) > 0 {
			e.nested(envFrom+i, func() { e.addresses(list) })
		}
	}
}

// addresses writes each as a byte of its kind and of which strings follow, and those strings.
func (e *encoder) addresses(list []Address) {
	for _, a := range list {
		at := len(e.b)
		e.b = append(e.b, byte(a.Kind)&3)
		for i, s := range [...]string{a.Name, a.Route, a.Local, a.Host} {
			if s != "" {
				e.b[at] |= 4 << i
				e.string(s)
			}
		}
	}
}
