package oxcmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	stdmime "mime"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
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

// Render makes the MIME form of a message that was not received as one (MAILBOX 3). It reads no content: what is kept
// as such is named in the recipe, and every length follows from its size. The same message gives the same octets.
func Render(m *exmdb.MessageContent) Form {
	r := &renderer{}
	root := r.message(m, 0)
	if root.IsLeaf() { // the message ends a line; inside a multipart that is the delimiter's
		r.text("\r\n")
		root.BodyEnd, root.Lines = r.at, root.Lines+1
	}
	r.flush()
	return Form{exmdb.Recipe{Segments: r.segments}, root}
}

// renderer writes octets and notes where the parts are.
type renderer struct {
	segments []exmdb.Segment
	raw      []byte // not in a segment yet
	at       int64
	lines    int64
}

func (r *renderer) text(s string) {
	r.raw = append(r.raw, s...)
	r.at += int64(len(s))
	r.lines += int64(strings.Count(s, "\n"))
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

// message writes a message, header and body.
func (r *renderer) message(m *exmdb.MessageContent, depth int) *mime.Part {
	var w headerWriter
	w.fields(&m.Props, m.Recipients)
	w.b.WriteString("MIME-Version: 1.0\r\n")
	return r.entity(w.b.String(), parts(m, depth))
}

// entity writes a part under fields that stand before those of its type.
func (r *renderer) entity(fields string, n *node) *mime.Part {
	p, lines := r.header(fields + n.header() + "\r\n")
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
	default:
		r.encoded(n.body)
	}
	return r.end(p, lines)
}

// node is a part that is to be written.
type node struct {
	typ      string
	params   map[string]string
	fields   string // beside the type
	boundary string
	children []node
	body     body
	message  *exmdb.MessageContent
	depth    int
}

func (n *node) header() string {
	var w headerWriter
	params := n.params
	if n.boundary != "" {
		params = map[string]string{"boundary": n.boundary}
	}
	w.field("Content-Type", stdmime.FormatMediaType(n.typ, params))
	if len(n.children) == 0 && n.message == nil {
		w.b.WriteString("Content-Transfer-Encoding: base64\r\n")
	}
	w.b.WriteString(n.fields)
	return w.b.String()
}

// parts is the structure of a message: its text in all its forms, and beside it the attachments.
func parts(m *exmdb.MessageContent, depth int) *node {
	var bodies, related, mixed []node
	if b, ok := bodyOf(m.Props.Get(mapi.PidTagBody)); ok {
		bodies = append(bodies, node{typ: "text/plain", params: map[string]string{"charset": "utf-8"}, body: b})
	}
	if b, charset, ok := htmlOf(&m.Props); ok {
		bodies = append(bodies, node{typ: "text/html", params: map[string]string{"charset": charset}, body: b})
	}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		n := attachment(a, depth)
		if stringOf(&a.Props, mapi.PidTagAttachContentId) != "" && len(bodies) > 0 && n.message == nil {
			related = append(related, n)
		} else {
			mixed = append(mixed, n)
		}
	}
	if len(bodies) == 0 {
		bodies = []node{{typ: "text/plain", params: map[string]string{"charset": "utf-8"}}}
	}
	whole := wrapped("multipart/alternative", bodies, m, depth)
	whole = wrapped("multipart/related", append([]node{whole}, related...), m, depth)
	whole = wrapped("multipart/mixed", append([]node{whole}, mixed...), m, depth)
	return &whole
}

// wrapped puts parts into a multipart; one alone needs none. The boundary is no line of base64, and tells by level and
// kind from those around it.
func wrapped(typ string, of []node, m *exmdb.MessageContent, depth int) node {
	if len(of) == 1 {
		return of[0]
	}
	sum := sha256.Sum256(m.Props.AppendWire([]byte(typ + strconv.Itoa(depth))))
	return node{typ: typ, boundary: "=_" + hex.EncodeToString(sum[:12]), children: of}
}

// charsets are the names of code pages that HTML is kept in.
var charsets = map[mapi.Integer32]string{
	65001: "utf-8", 20127: "us-ascii", 1250: "windows-1250", 1251: "windows-1251", 1252: "windows-1252", 1253: "windows-1253",
	1254: "windows-1254", 1255: "windows-1255", 1256: "windows-1256", 1257: "windows-1257", 1258: "windows-1258", 28591: "iso-8859-1",
	28592: "iso-8859-2", 28605: "iso-8859-15", 20866: "koi8-r", 21866: "koi8-u", 932: "shift_jis", 50220: "iso-2022-jp", 51932: "euc-jp",
	936: "gb2312", 54936: "gb18030", 949: "ks_c_5601-1987", 51949: "euc-kr", 950: "big5", 874: "windows-874",
}

// htmlOf is the HTML of a message with its charset.
func htmlOf(bag *mapi.PropBag) (body, string, bool) {
	if b, ok := bodyOf(bag.Get(mapi.PidTagHtml)); ok {
		page, _ := bag.Get(mapi.PidTagInternetCodepage).(mapi.Integer32)
		charset, known := charsets[page]
		if !known {
			charset = "utf-8"
		}
		return b, charset, true
	}
	b, ok := bodyOf(bag.Get(mapi.PidTagBodyHtml))
	return b, "utf-8", ok
}

// attachment is one attachment as a part (MS-OXCMAIL 2.1.3.4).
func attachment(a *exmdb.Attachment, depth int) node {
	var w headerWriter
	name := oneLine(stringOf(&a.Props, mapi.PidTagAttachLongFilename, mapi.PidTagAttachFilename, mapi.PidTagDisplayName))
	id := strings.Trim(oneLine(stringOf(&a.Props, mapi.PidTagAttachContentId)), "<> ")
	disposition := "attachment"
	if id != "" {
		disposition = "inline"
		w.field("Content-ID", "<"+id+">")
	}
	params := map[string]string{}
	if name != "" {
		params["filename"] = name
	}
	w.field("Content-Disposition", stdmime.FormatMediaType(disposition, params))
	if a.Embedded != nil {
		return node{typ: "message/rfc822", fields: w.b.String(), message: a.Embedded, depth: depth + 1}
	}
	n := node{typ: mediaType(stringOf(&a.Props, mapi.PidTagAttachMimeTag)), fields: w.b.String()}
	if b, ok := bodyOf(a.Props.Get(mapi.PidTagAttachDataBinary)); ok {
		n.body = b
	} else if b, ok := bodyOf(a.Props.Get(mapi.PidTagAttachDataObject)); ok {
		n.body = b
	}
	return n
}

// mediaType is a type for one file: what would promise a structure that is not there is just bytes.
func mediaType(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	major, minor, ok := strings.Cut(s, "/")
	token := func(s string) bool {
		return s != "" && !bytes.ContainsFunc([]byte(s), func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
		})
	}
	if !ok || !token(major) || !token(minor) || major == "multipart" || major == "message" {
		return "application/octet-stream"
	}
	return s
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
