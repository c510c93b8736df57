package mime

// Specifier says which bytes of an entity a section means (RFC 9051 6.4.5).
type Specifier uint8

// The specifiers. HEADER.FIELDS is SpecHeader put through FilterHeader.
const (
	SpecAll    Specifier = iota // BODY[] and BODY[1.2]: a whole message, or the body of a part
	SpecHeader                  // HEADER of a message
	SpecText                    // TEXT of a message
	SpecMIME                    // MIME header of a part
)

// Range is a piece of the scanned bytes.
type Range struct{ Start, End int64 }

// Len is the number of octets.
func (r Range) Len() int64 { return max(0, r.End-r.Start) }

// Partial is the piece of count octets at offset off, cut to what there is (RFC 9051 6.4.5: <origin.size>).
func (r Range) Partial(off, count int64) Range {
	start := r.Start + min(max(0, off), r.Len())
	return Range{start, start + min(max(0, count), r.End-start)}
}

// At finds the part with a section number: 1.2.3. The root of a message is no part and has no number, but the
// number 1 of a message that is no multipart is the message itself. It returns nil if there is no such part.
func (p *Part) At(path []int) *Part {
	inside, at := p, p // the entity whose parts the next number counts, and the one found last
	for _, n := range path {
		switch {
		case inside == nil:
			return nil
		case inside.IsMultipart():
			if n < 1 || n > len(inside.Parts) {
				return nil
			}
			at = inside.Parts[n-1]
		case n == 1 && inside.Envelope != nil:
			at = inside
		default:
			return nil
		}
		inside = at.inside(inside)
	}
	return at
}

// inside is the entity whose parts are counted below p, which was found in up; nil if p is a leaf.
func (p *Part) inside(up *Part) *Part {
	switch {
	case p.IsMessage():
		return p.Parts[0]
	case p.IsMultipart() && p != up:
		return p
	}
	return nil
}

// Section finds the bytes of BODY[path.spec] in the message p; ok is false if the message has no such section.
func (p *Part) Section(path []int, spec Specifier) (r Range, ok bool) {
	at := p.At(path)
	if at == nil {
		return Range{}, false
	}
	if spec == SpecMIME {
		return Range{at.HeaderStart, at.BodyStart}, len(path) > 0
	}
	if spec == SpecAll {
		if len(path) == 0 {
			return Range{at.HeaderStart, at.BodyEnd}, true
		}
		return Range{at.BodyStart, at.BodyEnd}, true
	}
	if len(path) > 0 {
		if !at.IsMessage() {
			return Range{}, false
		}
		at = at.Parts[0]
	}
	if spec == SpecHeader {
		return Range{at.HeaderStart, at.BodyStart}, true
	}
	return Range{at.BodyStart, at.BodyEnd}, true
}
