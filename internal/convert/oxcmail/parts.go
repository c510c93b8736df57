package oxcmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxtnef"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// message writes a message, header and body.
func (r *renderer) message(m *exmdb.MessageContent, depth int) *mime.Part {
	var w headerWriter
	now := sayingOf(&m.Props, m.Recipients, r.Names)
	if header := mime.Legible(r.received(m), textCharset(&m.Props)); header != nil { // its Content-Type is not that of what is written
		if strings.HasPrefix(stringOf(&m.Props, mapi.PidTagMessageClass), classReport) {
			now.recipients = Recipients(mime.ParseEnvelope(header)) // a report's own recipients are whom it is about
		}
		w.kept(header, now, func(name string) bool { return !structural[name] && !(r.TNEF && name == correlatorField) })
	} else {
		w.all(now)
	}
	w.b.WriteString("MIME-Version: 1.0\r\n")
	r.whole = false
	if v := r.signed(m); v != nil {
		if p := r.entire(w.b.String(), v); p != nil {
			return p
		}
	}
	if r.TNEF && depth == 0 && r.Contents != nil {
		if n := r.winmail(m); n != nil {
			return r.entity(w.b.String()+correlator(&m.Props), n)
		}
	}
	return r.entity(w.b.String(), r.parts(m, depth))
}

// received is the header that the message came with, nil if it came with none.
func (r *renderer) received(m *exmdb.MessageContent) []byte {
	for _, v := range []mapi.Value{r.named(&m.Props, keptHeader), m.Props.Get(mapi.PidTagTransportMessageHeaders)} {
		if b := r.short(v, maxKeptHeader); len(b) > 0 {
			return mime.Normalize(b)
		}
	}
	return nil
}

// named is a property of a bag by its name.
func (r *renderer) named(bag *mapi.PropBag, p mapi.NamedProperty) mapi.Value {
	if r.Names == nil {
		return nil
	}
	return r.Names.Get(bag, p)
}

func (r *renderer) namedString(bag *mapi.PropBag, p mapi.NamedProperty) string {
	s, _ := r.named(bag, p).(mapi.String)
	return string(s)
}

// short is a value's bytes, read if it is content; nil if it is longer than the limit or cannot be read here.
func (r *renderer) short(v mapi.Value, limit uint64) []byte {
	switch v := v.(type) {
	case nil:
	case mapi.Reference:
		if r.Contents == nil || v.Size() > limit {
			return nil
		}
		b, err := io.ReadAll(r.Contents.Open(v))
		if err != nil {
			r.fail(fmt.Errorf("read content: %w", err))
		}
		return b
	default:
		return mapi.AppendValue(nil, v)
	}
	return nil
}

// signed is the signed part that the message holds as its one attachment (MS-OXOSMIME 2.1.3.1), nil if it is none.
func (r *renderer) signed(m *exmdb.MessageContent) mapi.Value {
	class := strings.ToUpper(stringOf(&m.Props, mapi.PidTagMessageClass))
	if !strings.HasSuffix(class, ".SMIME.MULTIPARTSIGNED") || len(m.Attachments) != 1 {
		return nil
	}
	a := &m.Attachments[0]
	if !strings.EqualFold(stringOf(&a.Props, mapi.PidTagAttachMimeTag), signedMediaType) {
		return nil
	}
	return a.Props.Get(mapi.PidTagAttachDataBinary)
}

// entire writes a message whose body, with the fields that say what it is, stands somewhere octet for octet.
func (r *renderer) entire(fields string, v mapi.Value) *mime.Part {
	ref, referred := v.(mapi.Reference)
	if referred && r.Contents == nil {
		return nil
	}
	var body io.Reader = bytes.NewReader(mapi.AppendValue(nil, v))
	if referred {
		body = r.Contents.Open(ref)
	}
	var lines lineCounter
	scan := mime.NewScanner(mime.DefaultLimits())
	if _, err := io.Copy(io.MultiWriter(scan, &lines), io.MultiReader(strings.NewReader(fields), body)); err != nil {
		r.fail(fmt.Errorf("read content: %w", err))
		return nil
	}
	root := scan.Finish()
	start := r.at
	r.text(fields)
	if referred {
		r.flush()
		s := exmdb.Segment{Encoding: exmdb.EncodingNone, Octets: ref.Size()}
		for _, c := range ref {
			s.Chunks = append(s.Chunks, exmdb.ChunkRef{Hash: c.Hash, Size: c.Size})
		}
		r.segments, r.last = append(r.segments, s), 0
		r.at += int64(ref.Size())
		r.lines += int64(lines) - int64(strings.Count(fields, "\n"))
	} else {
		r.text(string(mapi.AppendValue(nil, v)))
	}
	r.whole = true
	return shifted([]*mime.Part{root}, start)[0]
}

// lineCounter counts line ends.
type lineCounter int64

func (c *lineCounter) Write(b []byte) (int, error) {
	*c += lineCounter(bytes.Count(b, []byte("\n")))
	return len(b), nil
}

// node is a part that is to be written.
type node struct {
	typ    string
	params mime.Params
	// fields stand beside the type, or, where kept says so, in its place too.
	fields   string
	kept     bool
	boundary string
	children []node
	// text is a body that is encoded already, in encoding; ending is what ends it before a line end that is not its own.
	text, encoding, ending string
	body                   body
	message                *exmdb.MessageContent
	depth                  int
}

func (n *node) header() string {
	var w headerWriter
	params := n.params
	if n.boundary != "" {
		params = append(params[:len(params):len(params)], mime.Param{Name: "boundary", Value: n.boundary})
	}
	if !n.kept {
		w.field("Content-Type", withParams(n.typ, params))
	}
	if len(n.children) == 0 && n.message == nil {
		encoding := n.encoding
		if n.text == "" {
			encoding = "base64"
		}
		w.field("Content-Transfer-Encoding", encoding)
	}
	w.b.WriteString(n.fields)
	return w.b.String()
}

// maxPlain bounds text that is written so that people can read it; longer text is written as content is.
const maxPlain = 32 << 10

// textNode is a text as a part: as it is if it is short ASCII in short lines, quoted-printable if most of it is, else
// in base64.
func textNode(typ string, params mime.Params, b body) node {
	n := node{typ: typ, params: params, body: b}
	if len(b.ref) > 0 || len(b.data) == 0 || len(b.data) > maxPlain {
		return n
	}
	high := 0
	for _, c := range b.data {
		if c >= 0x80 || c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			high++
		}
	}
	switch {
	case high == 0 && isLines(b.data):
		n.text, n.encoding = string(b.data), "7bit"
	case high*4 <= len(b.data):
		var out strings.Builder
		enc := mime.Layout{Form: mime.LayoutQP76}.Encoder(&out)
		_, _ = enc.Write(b.data) // a builder does not fail
		_ = enc.Close()
		n.text, n.encoding, n.ending = out.String(), "quoted-printable", "="
	}
	return n
}

// longestLine is the longest line that may be written as it is (RFC 5322 2.1.1).
const longestLine = 998

// isLines tells text of whole lines that end in CRLF and are no longer than they may be, without white space at their
// ends, which some take away.
func isLines(b []byte) bool {
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		return false
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > longestLine || bytes.ContainsAny(line, "\r\n") || bytes.HasPrefix(line, []byte("--")) || bytes.HasPrefix(line, []byte("From ")) {
			return false
		}
	}
	return true
}

// parts is the structure of a message: its text in all its forms, and beside it the attachments.
func (r *renderer) parts(m *exmdb.MessageContent, depth int) *node {
	kind, params := mime.ParseParams(r.namedString(&m.Props, keptStructure))
	kind = strings.ToLower(kind)
	if n := r.opaque(m, kind, params, depth); n != nil {
		return n
	}
	bodies := r.texts(m)
	var related, mixed []node
	for i := range m.Attachments {
		a := &m.Attachments[i]
		n := r.attachment(a, depth)
		switch place := r.namedString(&a.Props, keptPlace); {
		case place == string(placeAlternative) && n.message == nil && len(bodies) > 0:
			bodies = append(bodies, n)
		case isRelated(&a.Props) && len(bodies) > 0 && n.message == nil:
			related = append(related, n)
		default:
			mixed = append(mixed, n)
		}
	}
	if len(bodies) == 0 && len(mixed) > 0 && !isReport(m, kind) {
		if len(mixed) == 1 && mixed[0].message == nil {
			return &mixed[0]
		}
		whole := multipart("multipart/mixed", mixed, m, depth)
		return &whole
	}
	if len(bodies) == 0 {
		bodies = []node{{typ: "text/plain", params: mime.Params{{Name: "charset", Value: "utf-8"}}}}
	}
	whole := wrapped("multipart/alternative", bodies, m, depth)
	whole = wrapped("multipart/related", append([]node{whole}, related...), m, depth)
	if kind == "multipart/report" {
		whole = wrapped(kind, append([]node{whole}, mixed...), m, depth)
		whole.params = without(params, "boundary")
		return &whole
	}
	if kind, status := statusText(m); kind != "" {
		_, report, _ := strings.Cut(kind, "/")
		whole = wrapped("multipart/report", append([]node{whole, textNode(kind, nil, body{data: []byte(status)})}, mixed...), m, depth)
		whole.params = mime.Params{{Name: "report-type", Value: report}}
		return &whole
	}
	whole = wrapped("multipart/mixed", append([]node{whole}, mixed...), m, depth)
	return &whole
}

// isReport tells a message whose structure is a report's.
func isReport(m *exmdb.MessageContent, kind string) bool {
	_, status := statusText(m)
	return kind == "multipart/report" || status != ""
}

// opaque is the structure of a message that only its recipient can read, nil if it is none.
func (r *renderer) opaque(m *exmdb.MessageContent, kind string, params mime.Params, depth int) *node {
	class := strings.ToUpper(stringOf(&m.Props, mapi.PidTagMessageClass))
	switch {
	case kind == "multipart/encrypted" && len(m.Attachments) > 0:
		var children []node
		for i := range m.Attachments {
			children = append(children, r.attachment(&m.Attachments[i], depth))
		}
		n := multipart(kind, children, m, depth)
		n.params = without(params, "boundary")
		return &n
	case strings.HasPrefix(class, "IPM.") && strings.HasSuffix(class, ".SMIME") && len(m.Attachments) == 1 && m.Attachments[0].Embedded == nil:
		n := r.attachment(&m.Attachments[0], depth)
		if kind == "" || !strings.HasSuffix(kind, "pkcs7-mime") {
			kind, params = "application/pkcs7-mime", mime.Params{{Name: "smime-type", Value: "enveloped-data"}, {Name: "name", Value: entityName}}
		}
		n.typ, n.params, n.kept = kind, params, false
		n.fields = "Content-Disposition: attachment; filename=" + entityName + "\r\n"
		return &n
	}
	return nil
}

// without leaves a parameter out.
func without(params mime.Params, name string) mime.Params {
	var out mime.Params
	for _, p := range params {
		if p.Name != name {
			out = append(out, p)
		}
	}
	return out
}

// isRelated tells an attachment that the text shows.
func isRelated(bag *mapi.PropBag) bool {
	if flags, ok := bag.Get(mapi.PidTagAttachFlags).(mapi.Integer32); ok {
		return flags&renderedInBody != 0
	}
	return stringOf(bag, mapi.PidTagAttachContentId) != ""
}

// texts are the forms of a message's text, the plainest first; RTF is written as what it was made of (MS-OXCMAIL
// 2.1.3.3).
func (r *renderer) texts(m *exmdb.MessageContent) []node {
	var bodies []node
	plain, hasPlain := bodyOf(m.Props.Get(mapi.PidTagBody))
	html, charset, hasHTML := htmlOf(&m.Props)
	if !hasHTML {
		if b := r.short(m.Props.Get(mapi.PidTagRtfCompressed), maxRTF); len(b) > 0 {
			plain, hasPlain, html, hasHTML = fromRTF(b, plain, hasPlain)
			charset = "utf-8"
		}
	}
	if hasPlain {
		params := mime.Params{{Name: "charset", Value: "utf-8"}}
		typ := "text/plain"
		if kept, more := mime.ParseParams(r.namedString(&m.Props, keptText)); kept != "" {
			params = append(params, without(more, "charset")...)
		}
		bodies = append(bodies, textNode(typ, params, plain))
	}
	if hasHTML {
		n := textNode("text/html", mime.Params{{Name: "charset", Value: charset}}, html)
		var w headerWriter
		if id := oneLine(stringOf(&m.Props, mapi.PidTagBodyContentId)); id != "" {
			w.field("Content-ID", "<"+id+">")
		}
		w.field("Content-Location", stringOf(&m.Props, mapi.PidTagBodyContentLocation))
		n.fields = w.b.String()
		bodies = append(bodies, n)
	}
	return bodies
}

// fromRTF is the text and the HTML that RTF was made of; its own text only where the message has none.
func fromRTF(compressed []byte, plain body, hasPlain bool) (_ body, _ bool, html body, hasHTML bool) {
	b, err := rtf.Decompress(compressed, maxRTF)
	if err != nil {
		return plain, hasPlain, body{}, false
	}
	if s, ok := rtf.HTML(b); ok {
		return plain, hasPlain, body{data: []byte(s)}, true
	}
	if !hasPlain {
		plain, hasPlain = body{data: []byte(rtf.Text(b))}, true
	}
	return plain, hasPlain, body{}, false
}

// wrapped puts parts into a multipart; one alone needs none.
func wrapped(typ string, of []node, m *exmdb.MessageContent, depth int) node {
	if len(of) == 1 && typ != "multipart/report" {
		return of[0]
	}
	return multipart(typ, of, m, depth)
}

// multipart has a boundary that is no line of base64 or quoted-printable, and tells by level and kind from those around
// it.
func multipart(typ string, of []node, m *exmdb.MessageContent, depth int) node {
	sum := sha256.Sum256(m.Props.AppendWire([]byte(typ + strconv.Itoa(depth))))
	return node{typ: typ, boundary: "=_" + hex.EncodeToString(sum[:12]), children: of}
}

// htmlOf is the HTML of a message with its charset.
func htmlOf(bag *mapi.PropBag) (body, string, bool) {
	if b, ok := bodyOf(bag.Get(mapi.PidTagHtml)); ok {
		page, _ := bag.Get(mapi.PidTagInternetCodepage).(mapi.Integer32)
		charset, known := mime.CodePageCharset(int(page))
		if !known {
			charset = "utf-8"
		}
		return b, charset, true
	}
	b, ok := bodyOf(bag.Get(mapi.PidTagBodyHtml))
	return b, "utf-8", ok
}

// attachment is one attachment as a part (MS-OXCMAIL 2.1.3.4).
func (r *renderer) attachment(a *exmdb.Attachment, depth int) node {
	n := node{typ: mediaType(stringOf(&a.Props, mapi.PidTagAttachMimeTag))}
	kept := r.short(r.named(&a.Props, keptPart), maxPartHeader)
	if a.Embedded != nil {
		n.typ, n.message, n.depth = "message/rfc822", a.Embedded, depth+1
	} else if b, ok := bodyOf(a.Props.Get(mapi.PidTagAttachDataBinary)); ok {
		n.body = b
	} else if b, ok := bodyOf(a.Props.Get(mapi.PidTagAttachDataObject)); ok {
		n.body = b
	}
	tag := stringOf(&a.Props, mapi.PidTagAttachMimeTag)
	if header, same := sameHeader(kept, &a.Props); same && (a.Embedded == nil || tag == "message/rfc822" || tag == "message/global") {
		n.fields, n.kept = string(header), true
		return n
	}
	n.fields = dispositionOf(&a.Props) + string(otherFields(kept))
	return n
}

// sameHeader is a part's header as it came, if it still says what the attachment's properties say. How the content is
// encoded is not for it to say.
func sameHeader(kept []byte, bag *mapi.PropBag) ([]byte, bool) {
	if len(kept) == 0 {
		return nil, false
	}
	kept = mime.Normalize(kept)
	p := mime.Scan(append(bytes.Clone(kept), "\r\n\r\n"...))
	var b builder
	describe(&b, p)
	for _, t := range []mapi.Tag{mapi.PidTagAttachMimeTag, mapi.PidTagAttachContentId, mapi.PidTagAttachContentLocation} {
		if stringOf(&b.bag, t) != stringOf(bag, t) {
			return nil, false
		}
	}
	name, now := cleanName(p.Filename()), stringOf(bag, mapi.PidTagAttachLongFilename)
	if name != now && (name != "" || !strings.HasPrefix(now, "ATT") && now != "") || p.Type == "multipart" {
		return nil, false
	}
	out := fieldsBut(kept, map[string]bool{"content-transfer-encoding": true})
	typed := false
	for _, f := range mime.ParseHeader(out) {
		typed = typed || strings.EqualFold(f.Name, "Content-Type")
	}
	return out, typed
}

// otherFields are the fields of a part's header that no property has.
func otherFields(kept []byte) []byte { return fieldsBut(mime.Normalize(kept), structural) }

// fieldsBut are the fields of a header without some.
func fieldsBut(header []byte, names map[string]bool) []byte {
	var out []byte
	for _, f := range mime.ParseHeader(header) {
		if f.Name != "" && !names[strings.ToLower(f.Name)] {
			out = append(out, header[f.Start:f.End]...)
		}
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, "\r\n"...)
	}
	return out
}

// dispositionOf is what an attachment's header says beside its type.
func dispositionOf(bag *mapi.PropBag) string {
	var w headerWriter
	name := oneLine(stringOf(bag, mapi.PidTagAttachLongFilename, mapi.PidTagAttachFilename, mapi.PidTagDisplayName))
	disposition := "attachment"
	if id := strings.Trim(oneLine(stringOf(bag, mapi.PidTagAttachContentId)), "<> "); id != "" {
		if isRelated(bag) {
			disposition = "inline"
		}
		w.field("Content-ID", "<"+id+">")
	}
	w.field("Content-Location", stringOf(bag, mapi.PidTagAttachContentLocation))
	var params mime.Params
	if name != "" {
		params = mime.Params{{Name: "filename", Value: name}}
	}
	w.field("Content-Disposition", withParams(disposition, params))
	return w.b.String()
}

// mediaType is a type for one file: what would promise a structure that is not there is just bytes.
func mediaType(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	major, minor, ok := strings.Cut(s, "/")
	token := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !isToken(r) })
	}
	if !ok || !token(major) || !token(minor) || major == "multipart" || major == "message" {
		return "application/octet-stream"
	}
	return s
}

// neverInTNEF are properties that are for nobody else to see, or that a reader makes himself.
var neverInTNEF = []mapi.Tag{
	mapi.PidTagTransportMessageHeaders, mapi.PidTagDisplayBcc, mapi.PidTagEntryId, mapi.PidTagParentEntryId, mapi.PidTagMessageFlags,
}

// ofSource tells what a conversion kept of the source that a message was made of. In TNEF it is of the sender's, and says nothing
// of the mail that the TNEF is in.
func ofSource(t mapi.Tag, names *oxcmsg.Names) bool {
	name, known := names.Name(t.ID())
	return known && kept.OfSource(name)
}

// winmail is a message in TNEF with a text beside it (MS-OXCMAIL 2.1.3.5), nil where it cannot be written so.
func (r *renderer) winmail(m *exmdb.MessageContent) *node {
	names := r.Names
	if names == nil {
		names = &oxcmsg.Names{}
	}
	t := &oxtnef.Message{CodePage: utf8Page}
	for _, p := range m.Props.All() {
		if !slices.Contains(neverInTNEF, p.Tag) && !ofSource(p.Tag, names) {
			t.Props.Set(p.Tag, p.Value)
		}
	}
	t.Props.Set(mapi.PidTagTnefCorrelationKey, mapi.Binary(append([]byte(stringOf(&m.Props, mapi.PidTagInternetMessageId)), 0)))
	for _, each := range m.Recipients {
		if oxcmsg.TypeOf(&each) != oxcmsg.RecipientBcc {
			t.Recipients = append(t.Recipients, each)
		}
	}
	t.Attachments = m.Attachments
	w := oxtnef.Writer{Names: names, Open: r.Contents.Open}
	stream, _, err := w.Stream(t)
	if err != nil {
		return nil
	}
	ref, err := r.Contents.Stream(stream)
	if err != nil {
		r.fail(fmt.Errorf("keep TNEF: %w", err))
		return nil
	}
	text := node{typ: "text/plain", params: mime.Params{{Name: "charset", Value: "utf-8"}}}
	if texts := r.texts(m); len(texts) > 0 && texts[0].typ == "text/plain" {
		text = texts[0]
	}
	file := node{typ: "application/ms-tnef", params: mime.Params{{Name: "name", Value: "winmail.dat"}}, body: body{ref: ref},
		fields: "Content-Disposition: attachment; filename=winmail.dat\r\n"}
	n := multipart("multipart/mixed", []node{text, file}, m, 0)
	return &n
}

// correlatorField is the field that correlator writes, in lower case.
const correlatorField = "x-ms-tnef-correlator"

// correlator says of which message the TNEF is.
func correlator(bag *mapi.PropBag) string {
	var w headerWriter
	w.field("X-MS-TNEF-Correlator", stringOf(bag, mapi.PidTagInternetMessageId))
	return w.b.String()
}
