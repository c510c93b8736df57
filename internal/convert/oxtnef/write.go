package oxtnef

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// ErrTooLarge says that a message has no TNEF: its lengths have 32 bits.
var ErrTooLarge = errors.New("too large for TNEF")

// maxStream is the longest stream that is written.
const maxStream = 1<<31 - 1

// Writer makes the TNEF of messages.
type Writer struct {
	// Names are those of the named properties; a property whose id has none is left out.
	Names *oxcmsg.Names
	// Open reads content that a value refers to.
	Open func(mapi.Reference) io.Reader
}

// piece is a run of the stream: bytes, or content.
type piece struct {
	data []byte
	ref  mapi.Reference
}

// pieces is a stream before anyone reads it. Binary content stays where it is, so a long attachment takes no memory.
type pieces struct {
	list []piece
	size int64
}

func (p *pieces) add(b []byte) {
	if n := len(p.list); n > 0 && p.list[n-1].ref == nil {
		p.list[n-1].data = append(p.list[n-1].data, b...)
	} else {
		p.list = append(p.list, piece{data: bytes.Clone(b)})
	}
	p.size += int64(len(b))
}

func (p *pieces) uint16(n uint16) { p.add(binary.LittleEndian.AppendUint16(nil, n)) }
func (p *pieces) uint32(n uint32) { p.add(binary.LittleEndian.AppendUint32(nil, n)) }

func (p *pieces) refer(ref mapi.Reference) {
	p.list = append(p.list, piece{ref: ref})
	p.size += int64(ref.Size())
}

func (p *pieces) join(q *pieces) {
	for _, each := range q.list {
		if each.ref != nil {
			p.refer(each.ref)
		} else {
			p.add(each.data)
		}
	}
}

// Stream is the TNEF of a message and its size. Content is read twice: for the checksum that stands behind it, and when
// the stream is.
func (w *Writer) Stream(m *Message) (io.Reader, int64, error) {
	p, err := w.message(m, 0)
	if err != nil {
		return nil, 0, err
	}
	readers := make([]io.Reader, len(p.list))
	for i, each := range p.list {
		if readers[i] = bytes.NewReader(each.data); each.ref != nil {
			readers[i] = w.Open(each.ref)
		}
	}
	return io.MultiReader(readers...), p.size, nil
}

func (w *Writer) message(m *Message, depth int) (*pieces, error) {
	if depth >= MaxDepth {
		return nil, fmt.Errorf("messages nest %d deep: %w", depth, ErrTooLarge)
	}
	page := m.CodePage
	if _, known := mime.CodePageCharset(page); !known {
		page = westernEurope
	}
	s := stream{w: w, depth: depth, charset: page}
	s.out.uint32(Signature)
	s.out.uint16(m.Key)
	s.attribute(levelMessage, attTnefVersion, binary.LittleEndian.AppendUint32(nil, version))
	s.attribute(levelMessage, attOemCodepage, binary.LittleEndian.AppendUint64(nil, uint64(page)))
	if class, ok := m.Props.Get(mapi.PidTagMessageClass).(mapi.String); ok && class != "" {
		s.attribute(levelMessage, attMessageClass, append(s.string8(classThere(string(class))), 0))
	}
	for _, a := range m.Unknown {
		s.attribute(levelMessage, attributeID(a.ID), a.Data)
	}
	s.properties(levelMessage, attMsgProps, s.list(&m.Props, nil))
	if len(m.Recipients) > 0 {
		s.recipients(m.Recipients)
	}
	for i := range m.Attachments {
		s.attachment(&m.Attachments[i])
	}
	if s.err == nil && s.out.size > maxStream {
		s.err = ErrTooLarge
	}
	return &s.out, s.err
}

// stream is a message on its way out. It keeps its first error.
type stream struct {
	w       *Writer
	depth   int
	charset int
	out     pieces
	err     error
}

func (s *stream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *stream) attribute(at level, id attributeID, data []byte) {
	var p pieces
	p.add(data)
	s.properties(at, id, &p)
}

// properties writes an attribute whose data is in pieces.
func (s *stream) properties(at level, id attributeID, data *pieces) {
	if data.size > maxStream {
		s.fail(ErrTooLarge)
	}
	if s.err != nil {
		return
	}
	s.out.add([]byte{byte(at)})
	s.out.uint32(uint32(id))
	s.out.uint32(uint32(data.size))
	s.out.join(data)
	s.out.uint16(s.checksum(data))
}

// checksum reads all pieces.
func (s *stream) checksum(p *pieces) uint16 {
	sum := summer(0)
	for _, each := range p.list {
		if each.ref == nil {
			sum += summer(checksum(each.data))
			continue
		}
		n, err := io.Copy(&sum, s.w.Open(each.ref))
		if err == nil && uint64(n) != each.ref.Size() {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			s.fail(fmt.Errorf("read content: %w", err))
		}
	}
	return uint16(sum)
}

// summer is a checksum that is written to.
type summer uint16

func (s *summer) Write(b []byte) (int, error) {
	*s += summer(checksum(b))
	return len(b), nil
}

// string8 writes a string in the message's code page, what is not in it as a question mark.
func (s *stream) string8(text string) []byte {
	charset, _ := mime.CodePageCharset(s.charset)
	return mime.EncodeCharset(charset, text)
}

// list is a list of properties. object, where there is one, stands in the place of the attachment's data.
func (s *stream) list(bag *mapi.PropBag, object func(*pieces)) *pieces {
	var body pieces
	count := uint32(0)
	for _, p := range bag.All() {
		if s.property(&body, p) {
			count++
		}
	}
	if object != nil {
		object(&body)
		count++
	}
	var p pieces
	p.uint32(count)
	p.join(&body)
	return &p
}

// property writes one, unless it cannot be written.
func (s *stream) property(p *pieces, prop mapi.Prop) bool {
	t := prop.Tag.Type()
	_, sized := fixed[t.Element()]
	if !sized && !variable[t] && !variable[t.Element()] || t.Multi() && t.Element() == mapi.TypeObject {
		return false
	}
	var head pieces
	head.uint16(uint16(t))
	head.uint16(prop.Tag.ID())
	if prop.Tag.Named() {
		name, known := s.w.Names.Name(prop.Tag.ID())
		if !known {
			return false
		}
		putName(&head, name)
	}
	p.join(&head)
	s.value(p, t, prop.Value)
	return true
}

func putName(p *pieces, n mapi.PropertyName) {
	p.add(n.Set[:])
	if n.Kind == mapi.NameByLID {
		p.uint32(0)
		p.uint32(n.LID)
		return
	}
	p.uint32(1)
	putSized(p, utf16Bytes(n.Name))
}

func putSized(p *pieces, b []byte) {
	p.uint32(uint32(len(b)))
	p.add(b)
	p.add(make([]byte, padding(len(b))))
}

func (s *stream) value(p *pieces, t mapi.Type, v mapi.Value) {
	switch {
	case t.Multi() && variable[t.Element()]:
		s.texts(p, v)
	case t.Multi():
		s.values(p, t, v)
	case t == mapi.TypeObject:
		s.object(p, iidStorage, s.bytes(t, v))
	case variable[t]:
		p.uint32(1)
		content := s.bytes(t, v)
		p.uint32(uint32(content.size))
		p.join(content)
		p.add(make([]byte, padding(int(content.size))))
	case t == mapi.TypeBoolean:
		n := uint32(0)
		if v == mapi.Boolean(true) {
			n = 1
		}
		p.uint32(n)
	default:
		b := s.wire(t, v)
		p.add(b)
		p.add(make([]byte, padding(len(b))))
	}
}

// object writes an object of an interface.
func (s *stream) object(p *pieces, iid mapi.GUID, content *pieces) {
	p.uint32(1)
	p.uint32(uint32(content.size) + uint32(len(iid)))
	p.add(iid[:])
	p.join(content)
	p.add(make([]byte, padding(int(content.size))))
}

// bytes is a value of variable length as it stands in the stream. Text that is content has to be read, since it stands
// there in another form.
func (s *stream) bytes(t mapi.Type, v mapi.Value) *pieces {
	var p pieces
	ref, referred := v.(mapi.Reference)
	switch {
	case referred && t == mapi.TypeString:
		text, err := io.ReadAll(s.w.Open(ref))
		if err != nil {
			s.fail(fmt.Errorf("read content: %w", err))
		}
		p.add(utf16Bytes(string(text)))
	case referred:
		p.refer(ref)
	case t == mapi.TypeString:
		p.add(utf16Bytes(string(v.(mapi.String))))
	case t == mapi.TypeString8:
		p.add(append([]byte(v.(mapi.String8)), 0))
	default:
		p.add(mapi.AppendValue(nil, v))
	}
	return &p
}

// texts writes a list of values of variable length.
func (s *stream) texts(p *pieces, v mapi.Value) {
	var list [][]byte
	switch v := v.(type) {
	case mapi.Strings:
		for _, each := range v {
			list = append(list, utf16Bytes(each))
		}
	case mapi.Strings8:
		for _, each := range v {
			list = append(list, append([]byte(each), 0))
		}
	case mapi.Binaries:
		list = v
	}
	p.uint32(uint32(len(list)))
	for _, b := range list {
		putSized(p, b)
	}
}

// values writes a list of values of fixed size, each to a multiple of four bytes.
func (s *stream) values(p *pieces, t mapi.Type, v mapi.Value) {
	b := s.wire(t, v)
	if len(b) < 4 {
		p.uint32(0)
		return
	}
	p.add(b[:4])
	size := fixed[t.Element()]
	for b = b[4:]; len(b) >= size && size > 0; b = b[size:] {
		p.add(b[:size])
		p.add(make([]byte, padding(size)))
	}
}

// wire is a value of fixed size, or a list of them, in MAPI's own form.
func (s *stream) wire(t mapi.Type, v mapi.Value) []byte {
	e := oxcdata.NewEncoder(nil, oxcdata.ROP)
	e.Value(t, v)
	b, err := e.Bytes()
	if err != nil {
		s.fail(err)
	}
	return b
}

// utf16Bytes is a string in UTF-16 with its NUL.
func utf16Bytes(s string) []byte {
	b := make([]byte, 0, 2*len(s)+2)
	for _, r := range s {
		if r == 0 {
			break
		}
		if r == utf8.RuneError {
			b = binary.LittleEndian.AppendUint16(b, uint16(r))
			continue
		}
		for _, u := range utf16.AppendRune(nil, r) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
	}
	return append(b, 0, 0)
}

func (s *stream) recipients(list []mapi.PropBag) {
	var p pieces
	p.uint32(uint32(len(list)))
	for i := range list {
		p.join(s.list(&list[i], nil))
	}
	s.properties(levelMessage, attRecipTable, &p)
}

// fileTitle is what an attachment is called by readers that know attributes only.
func fileTitle(bag *mapi.PropBag) string {
	for _, t := range []mapi.Tag{mapi.PidTagAttachFilename, mapi.PidTagAttachLongFilename, mapi.PidTagDisplayName} {
		if name, ok := bag.Get(t).(mapi.String); ok && name != "" {
			return string(name)
		}
	}
	return "attachment"
}

func (s *stream) attachment(a *exmdb.Attachment) {
	method, _ := a.Props.Get(mapi.PidTagAttachMethod).(mapi.Integer32)
	position, ok := a.Props.Get(mapi.PidTagRenderingPosition).(mapi.Integer32)
	if !ok {
		position = -1
	}
	kind := uint16(1)
	if method == methodOLE {
		kind = 2
	}
	var head pieces
	head.uint16(kind)
	head.uint32(uint32(position))
	head.add(make([]byte, 8))
	s.properties(levelAttachment, attAttachRenddata, &head)
	s.attribute(levelAttachment, attAttachTitle, append(s.string8(fileTitle(&a.Props)), 0))
	rest := a.Props
	var object func(*pieces)
	switch v := a.Props.Get(mapi.PidTagAttachDataBinary); {
	case a.Embedded != nil:
		rest = without(rest, mapi.PidTagAttachDataBinary, mapi.PidTagAttachDataObject)
		object = func(p *pieces) { s.embedded(p, a.Embedded) }
	case v != nil:
		rest = without(rest, mapi.PidTagAttachDataBinary)
		s.properties(levelAttachment, attAttachData, s.bytes(mapi.TypeBinary, v))
	}
	s.properties(levelAttachment, attAttachment, s.list(&rest, object))
}

// embedded writes the message inside an attachment as the property that holds it.
func (s *stream) embedded(p *pieces, m *exmdb.MessageContent) {
	inner, err := s.w.message(&Message{MessageContent: *m, CodePage: s.charset}, s.depth+1)
	if err != nil {
		s.fail(err)
		return
	}
	p.uint16(uint16(mapi.TypeObject))
	p.uint16(mapi.PidTagAttachDataObject.ID())
	s.object(p, iidMessage, inner)
}

// without is a bag that lacks some properties.
func without(bag mapi.PropBag, tags ...mapi.Tag) mapi.PropBag {
	var out mapi.PropBag
	for _, p := range bag.All() {
		out.Set(p.Tag, p.Value)
	}
	for _, t := range tags {
		out.Delete(t)
	}
	return out
}
