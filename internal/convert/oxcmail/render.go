package oxcmail

import (
	"encoding/base64"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Form is the MIME form of a message: the recipe of its octets and the tree of its parts.
type Form struct {
	Recipe exmdb.Recipe
	Root   *mime.Part
}

// base64Line is how many characters a line of base64 has (RFC 2045 6.8).
const base64Line = 76

// Contents is the content that messages refer to, and takes more of it.
type Contents interface {
	// Open reads content.
	Open(ref mapi.Reference) io.Reader
	// Stream keeps what r yields.
	Stream(r io.Reader) (mapi.Reference, error)
}

// Writer says how messages become mails.
type Writer struct {
	// Names are those of the named properties; nil leaves what they hold out.
	Names *oxcmsg.Names
	// Contents is asked for RTF, for signed parts and for TNEF; without it these are written as what they are beside.
	// Attachments and texts are not read.
	Contents Contents
	// TNEF puts the message into a winmail.dat beside its text, for readers that are MAPI's too.
	TNEF bool
}

// Render is Write without content, so it reads none (MAILBOX 3).
func Render(m *exmdb.MessageContent) Form {
	r := &renderer{Writer: &Writer{}}
	return r.form(m)
}

// Write makes the MIME form of a message that was not received as one. Attachments are named in the recipe, and every
// length follows from their sizes. The same message gives the same octets. An error is that of Contents.
func (w *Writer) Write(m *exmdb.MessageContent) (Form, error) {
	r := &renderer{Writer: w}
	form := r.form(m)
	return form, r.err
}

func (r *renderer) form(m *exmdb.MessageContent) Form {
	root := r.message(m, 0)
	if root.IsLeaf() && !r.whole && r.last != '\n' { // the message ends a line; inside a multipart that is the delimiter's
		r.text(r.ending + "\r\n")
		root.BodyEnd, root.Lines = r.at, root.Lines+1
	}
	r.flush()
	return Form{exmdb.Recipe{Segments: r.segments}, root}
}

// renderer writes octets and notes where the parts are.
type renderer struct {
	*Writer
	segments []exmdb.Segment
	raw      []byte // not in a segment yet
	at       int64
	lines    int64
	last     byte // the last octet, if that is raw
	// ending is what a body that does not end a line wants before the end of the message.
	ending string
	// whole says that what was written last was a signed part, at whose end nothing is added.
	whole bool
	err   error
}

func (r *renderer) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *renderer) text(s string) {
	r.raw = append(r.raw, s...)
	r.at += int64(len(s))
	r.lines += int64(strings.Count(s, "\n"))
	if s != "" {
		r.last = s[len(s)-1]
	}
}

func (r *renderer) flush() {
	if len(r.raw) > 0 {
		r.segments = append(r.segments, exmdb.Segment{Raw: r.raw})
		r.raw = nil
	}
}

// body is the content of a leaf: bytes that are at hand, or content.
type body struct {
	data []byte
	ref  mapi.Reference
}

func bodyOf(v mapi.Value) (body, bool) {
	switch v := v.(type) {
	case nil:
		return body{}, false
	case mapi.Reference:
		return body{ref: v}, true
	}
	return body{data: mapi.AppendValue(nil, v)}, true
}

// encoded writes a body in base64; its last line has no end.
func (r *renderer) encoded(b body) {
	if len(b.ref) == 0 {
		text := base64.StdEncoding.EncodeToString(b.data)
		for len(text) > base64Line {
			r.text(text[:base64Line] + "\r\n")
			text = text[base64Line:]
		}
		r.text(text)
		return
	}
	r.flush()
	s := exmdb.Segment{Encoding: exmdb.EncodingBase64, Line: base64Line, Chunks: make([]exmdb.ChunkRef, len(b.ref))}
	for i, c := range b.ref {
		s.Chunks[i] = exmdb.ChunkRef{Hash: c.Hash, Size: c.Size}
	}
	var lines uint64
	s.Octets, lines = exmdb.Base64Size(b.ref.Size(), base64Line, false)
	r.segments = append(r.segments, s)
	r.last = 0
	r.at += int64(s.Octets)
	r.lines += int64(lines)
}

// header writes the header of a part and begins the part.
func (r *renderer) header(h string) (*mime.Part, int64) {
	p := mime.Scan([]byte(h))
	p.HeaderStart = r.at
	r.text(h)
	p.BodyStart = r.at
	return p, r.lines
}

// end ends a part whose body began with so many lines before it.
func (r *renderer) end(p *mime.Part, lines int64) *mime.Part {
	p.BodyEnd, p.Lines = r.at, r.lines-lines
	return p
}

// entity writes a part under fields that stand before those of its type.
func (r *renderer) entity(fields string, n *node) *mime.Part {
	p, lines := r.header(fields + n.header() + "\r\n")
	r.ending = ""
	switch {
	case len(n.children) > 0:
		p.Parts = nil
		for i := range n.children {
			r.text("--" + n.boundary + "\r\n")
			child := r.entity("", &n.children[i])
			child.Envelope = nil
			p.Parts = append(p.Parts, child)
			r.text("\r\n")
		}
		r.text("--" + n.boundary + "--\r\n")
	case n.message != nil:
		p.Parts = []*mime.Part{r.message(n.message, n.depth)}
	case n.text != "":
		r.text(n.text)
		r.ending = n.ending
	default:
		r.encoded(n.body)
	}
	return r.end(p, lines)
}

// Reheaded is the form of a received mail under the header that properties and recipients make of its own. What is
// behind the header stays octet for octet. It reports false where header and body are not apart in the recipe.
func Reheaded(old Form, header []byte, bag *mapi.PropBag, recipients []mapi.PropBag) (Form, bool) {
	rest, ok := behind(old.Recipe.Segments, uint64(len(header)))
	if !ok || int64(len(header)) != old.Root.HeaderSize() {
		return Form{}, false
	}
	now := Reheader(header, bag, recipients)
	root := mime.Scan(now)
	moved := int64(len(now) - len(header))
	root.BodyStart = int64(len(now))
	root.BodyEnd, root.Lines = old.Root.BodyEnd+moved, old.Root.Lines
	root.Parts = shifted(old.Root.Parts, moved)
	segments := append([]exmdb.Segment{{Raw: now}}, rest...)
	return Form{exmdb.Recipe{Prefix: old.Recipe.Prefix, Segments: segments}, root}, true
}

// behind is the segments after the first n octets, which must be raw.
func behind(segments []exmdb.Segment, n uint64) ([]exmdb.Segment, bool) {
	for i := range segments {
		s := &segments[i]
		if n == 0 {
			return segments[i:], true
		}
		if len(s.Chunks) > 0 {
			return nil, false
		}
		if n < uint64(len(s.Raw)) {
			return append([]exmdb.Segment{{Raw: s.Raw[n:]}}, segments[i+1:]...), true
		}
		n -= uint64(len(s.Raw))
	}
	return nil, n == 0
}

func shifted(parts []*mime.Part, by int64) []*mime.Part {
	out := make([]*mime.Part, len(parts))
	for i, p := range parts {
		moved := *p
		moved.HeaderStart, moved.BodyStart, moved.BodyEnd = p.HeaderStart+by, p.BodyStart+by, p.BodyEnd+by
		moved.Parts = shifted(p.Parts, by)
		out[i] = &moved
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
