package mime

import "iter"

// Part is one entity of a message: the message itself, a part of a multipart, or the message inside a
// message/rfc822. Offsets are absolute in the scanned bytes.
type Part struct {
	HeaderStart int64 // first byte of the header; equal to BodyStart when there is none
	BodyStart   int64 // first byte after the header and its empty line
	BodyEnd     int64 // first byte after the body; the line end before a delimiter belongs to the delimiter
	Lines       int64 // line ends in the body

	Type    string // media type, lower case; "text" when absent
	Subtype string // lower case; "plain" when absent
	Params  Params // of Content-Type, as received

	Encoding          string   // Content-Transfer-Encoding, lower case; "" when absent
	Disposition       string   // lower case; "" when absent
	DispositionParams Params   // as received
	ID                string   // Content-ID with its angle brackets
	Description       string   // undecoded
	Languages         []string // Content-Language
	Location          string   // Content-Location
	MD5               string   // Content-MD5

	// Envelope is there exactly on a message: on the root, and on the only child of a message/rfc822.
	Envelope *Envelope
	// Parts are the children of a multipart, or the one message inside a message/rfc822. A leaf has none.
	Parts []*Part
}

// HeaderSize is the number of octets of the header with its empty line.
func (p *Part) HeaderSize() int64 { return p.BodyStart - p.HeaderStart }

// Size is the number of octets of the body, as IMAP counts it.
func (p *Part) Size() int64 { return p.BodyEnd - p.BodyStart }

// IsMultipart tells whether the parts of p are those of a multipart.
func (p *Part) IsMultipart() bool { return len(p.Parts) > 0 && p.Type == "multipart" }

// IsMessage tells whether p holds an embedded message, which is its only child.
func (p *Part) IsMessage() bool { return len(p.Parts) > 0 && p.Type == "message" }

// IsLeaf tells whether p has content of its own.
func (p *Part) IsLeaf() bool { return len(p.Parts) == 0 }

// Shown is the media type under which a structure of RFC 9051 7.5.2 lists p. A multipart there needs parts and a
// message/rfc822 needs a message, so where the scan found none a multipart is text and a message is a byte stream.
// The defaults of RFC 2045 5.2 and 6.1 are filled in.
func (p *Part) Shown() (typ, subtype string, params Params, encoding string) {
	typ, subtype, params, encoding = p.Type, p.Subtype, p.Params, p.Encoding
	switch {
	case p.IsLeaf() && typ == "multipart":
		typ, subtype, params = "text", "plain", nil
	case p.IsLeaf() && holdsMessage(typ, subtype):
		typ, subtype = "application", "octet-stream"
	}
	if typ == "text" && subtype == "plain" && len(params) == 0 {
		params = Params{{"charset", "us-ascii"}}
	}
	if encoding == "" {
		encoding = "7bit"
	}
	return typ, subtype, params, encoding
}

// IsText tells whether p is a leaf to be read as text.
func (p *Part) IsText() bool {
	return p.IsLeaf() && (p.Type == "text" || p.Type == "multipart")
}

// Charset is the declared charset, "" when there is none.
func (p *Part) Charset() string { return p.Params.Get("charset") }

// Filename is the decoded name of the file in p: from the disposition, else from the type, else "".
func (p *Part) Filename() string {
	if name := p.DispositionParams.Get("filename"); name != "" {
		return name
	}
	return p.Params.Get("name")
}

// IsAttachment tells whether a reader would list p as a file: it is disposed as one, or it is a leaf with a name
// or an embedded message.
func (p *Part) IsAttachment() bool {
	switch {
	case p.Disposition == "attachment", p.IsMessage():
		return true
	case p.Disposition == "inline" && p.ID != "", p.IsMultipart():
		return false
	}
	return p.Filename() != ""
}

// HasAttachments tells whether any part below p is an attachment.
func (p *Part) HasAttachments() bool {
	for part := range p.All() {
		if part != p && part.Envelope == nil && part.IsAttachment() {
			return true
		}
	}
	return p.IsAttachment()
}

// All yields p and everything below it in the order of the bytes.
func (p *Part) All() iter.Seq[*Part] {
	return func(yield func(*Part) bool) { p.walk(yield) }
}

// Leaves yields the parts below p that have content of their own, in the order of the bytes.
func (p *Part) Leaves() iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		p.walk(func(part *Part) bool { return !part.IsLeaf() || yield(part) })
	}
}

func (p *Part) walk(yield func(*Part) bool) bool {
	if !yield(p) {
		return false
	}
	for _, child := range p.Parts {
		if !child.walk(yield) {
			return false
		}
	}
	return true
}

// holdsMessage tells the media types whose body is a message (RFC 2046 5.2.1, RFC 6532 3.7).
func holdsMessage(typ, subtype string) bool {
	return typ == "message" && (subtype == "rfc822" || subtype == "global")
}

// IsIdentity tells the transfer encodings under which a body is its own content (RFC 2045 6.2). An unknown word is taken for
// one: mailers that wrote "8 bit" or "utf-8" there did not encode.
func IsIdentity(encoding string) bool { return transferOf(encoding) == identity }
