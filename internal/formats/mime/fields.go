package mime

import (
	"bytes"
	"strings"
)

// fieldID numbers the header fields that a structure or an envelope is made of.
type fieldID int8

const (
	fieldType fieldID = iota
	fieldEncoding
	fieldDisposition
	fieldContentID
	fieldDescription
	fieldLanguage
	fieldLocation
	fieldMD5
	fieldDate
	fieldSubject
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	fieldMessageID
	fieldCount
	fieldNone fieldID = -1
)

// fieldNames holds the names by number, lower case.
var fieldNames = [fieldCount]string{
	"content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-description",
	"content-language", "content-location", "content-md5",
	"date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id",
}

// isAddressList tells the fields whose repetitions add up.
func (id fieldID) isAddressList() bool { return id >= fieldFrom && id <= fieldBcc }

func fieldByName(name []byte) fieldID {
	for id, want := range fieldNames {
		if len(name) == len(want) && equalFold(name, want) {
			return fieldID(id)
		}
	}
	return fieldNone
}

// equalFold compares to a lower case ASCII word of the same length.
func equalFold(b []byte, lower string) bool {
	for i := range b {
		if lowerASCII(b[i]) != lower[i] {
			return false
		}
	}
	return true
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// fieldName is the name with which a header line begins, nil if it begins with none. White space before the colon
// is obsolete but legal (RFC 5322 4.5).
func fieldName(line []byte) []byte {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return nil
	}
	name := bytes.TrimRight(line[:colon], " \t")
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return nil
		}
	}
	if len(name) == 0 {
		return nil
	}
	return name
}

// fieldValues are the unfolded values of one header.
type fieldValues struct {
	value   [fieldCount]string
	present [fieldCount]bool
	size    int
}

// fieldReader collects the fields of one header from its lines.
type fieldReader struct {
	values fieldValues
	id     fieldID
	val    []byte
	room   int
	// longest bounds every field but address lists, so that one of them cannot leave no room for those.
	longest int
}

func (r *fieldReader) reset(room int) {
	r.values, r.id, r.val, r.room, r.longest = fieldValues{}, fieldNone, r.val[:0], room, room/8
}

// line takes one line with its line end.
func (r *fieldReader) line(line []byte) {
	if line[0] != ' ' && line[0] != '\t' {
		r.commit()
		name := fieldName(line)
		r.id = fieldByName(name)
		if r.id == fieldNone {
			return
		}
		line = line[bytes.IndexByte(line, ':')+1:]
	}
	if r.id == fieldNone {
		return
	}
	room := r.room
	if !r.id.isAddressList() {
		room = min(room, r.longest-len(r.val))
	}
	line = line[:min(len(line), max(0, room))]
	r.room -= len(line)
	r.val = appendUnfolded(r.val, line)
}

func (r *fieldReader) commit() {
	if r.id == fieldNone {
		return
	}
	v := string(bytes.Trim(r.val, " \t"))
	have := &r.values.value[r.id]
	switch {
	case !r.values.present[r.id]:
		*have = v
	case r.id.isAddressList() && v != "":
		*have += ", " + v
	default:
		v = ""
	}
	r.values.present[r.id] = true
	r.values.size += len(v)
	r.id, r.val = fieldNone, r.val[:0]
}

func (r *fieldReader) finish() *fieldValues {
	r.commit()
	if cap(r.val) > 8<<10 {
		r.val = nil
	}
	return &r.values
}

// appendUnfolded appends a value without CR, LF and NUL.
func appendUnfolded(dst, src []byte) []byte {
	for len(src) > 0 {
		i := 0
		for i < len(src) && src[i] != '\r' && src[i] != '\n' && src[i] != 0 {
			i++
		}
		dst = append(dst, src[:i]...)
		if i == len(src) {
			break
		}
		src = src[i+1:]
	}
	return dst
}

type mediaType struct{ typ, subtype string }

// fillType sets type, parameters and encoding of p.
func (v *fieldValues) fillType(p *Part, absent mediaType) {
	p.Type, p.Subtype = absent.typ, absent.subtype
	if v.value[fieldType] != "" {
		var value string
		value, p.Params = ParseParams(v.value[fieldType])
		p.Type, p.Subtype = parseMediaType(value)
	}
	p.Encoding, _ = ParseParams(v.value[fieldEncoding])
	p.Encoding = common(strings.ToLower(p.Encoding))
}

// fillRest sets what else a structure shows of p.
func (v *fieldValues) fillRest(p *Part) {
	if v.present[fieldDisposition] {
		p.Disposition, p.DispositionParams = ParseParams(v.value[fieldDisposition])
		p.Disposition = common(strings.ToLower(p.Disposition))
	}
	p.ID, p.Description = v.value[fieldContentID], v.value[fieldDescription]
	p.Location, p.MD5 = v.value[fieldLocation], v.value[fieldMD5]
	p.Languages = parseLanguages(v.value[fieldLanguage])
}

// parseMediaType splits a media type. A word that is a top-level type alone gets that type's plainest subtype; for
// what is not a type at all RFC 2045 5.2 lets a reader choose, and a byte stream promises least.
func parseMediaType(value string) (typ, subtype string) {
	typ, subtype, ok := strings.Cut(strings.ToLower(value), "/")
	typ, subtype = strings.TrimSpace(typ), strings.TrimSpace(subtype)
	switch {
	case ok && isToken(typ) && isToken(subtype):
		return common(typ), common(subtype)
	case typ == "text":
		return "text", "plain"
	case typ == "multipart":
		return "multipart", "mixed"
	case typ == "message":
		return "message", "rfc822"
	}
	return "application", "octet-stream"
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte tells the characters of a token (RFC 2045 5.1), with 8-bit ones let in.
func isTokenByte(c byte) bool {
	return c > ' ' && c != 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, rune(c))
}

func parseLanguages(value string) []string {
	var list []string
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if list = append(list, word); len(list) == 32 {
			break
		}
	}
	return list
}

// common shares the memory of words that nearly every mail has.
func common(s string) string {
	for _, w := range commonWords {
		if s == w {
			return w
		}
	}
	return s
}

var commonWords = [...]string{
	"text", "plain", "html", "multipart", "mixed", "alternative", "related", "7bit", "8bit", "quoted-printable",
	"base64", "attachment", "inline", "application", "octet-stream", "image", "message", "rfc822",
}
