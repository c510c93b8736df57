package oxtnef

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// fixed are the sizes of values that have no length of their own.
var fixed = map[mapi.Type]int{
	mapi.TypeNull: 0, mapi.TypeInteger16: 2, mapi.TypeInteger32: 4, mapi.TypeFloating32: 4, mapi.TypeFloating64: 8, mapi.TypeCurrency: 8,
	mapi.TypeAppTime: 8, mapi.TypeErrorCode: 4, mapi.TypeBoolean: 2, mapi.TypeInteger64: 8, mapi.TypeTime: 8, mapi.TypeGUID: 16,
}

// variable are the types whose values stand behind their number and length even where there is one.
var variable = map[mapi.Type]bool{mapi.TypeString: true, mapi.TypeString8: true, mapi.TypeBinary: true, mapi.TypeObject: true}

// padding is how many bytes stand behind n bytes.
func padding(n int) int { return -n & 3 }

// decoder reads a list of properties. After its first error it reads nothing more.
type decoder struct {
	rest []byte
	bad  bool
	r    *reader
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// length reads how many bytes are to come; more than there are is damage.
func (d *decoder) length() int {
	n := d.uint32()
	if int64(n) > int64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return 0
	}
	return int(n)
}

// sized reads bytes behind their length, and the padding.
func (d *decoder) sized() []byte {
	b := d.take(d.length())
	d.take(min(padding(len(b)), len(d.rest)))
	return b
}

// property is one of a list; object is what an attachment holds instead of bytes.
type property struct {
	tag    mapi.Tag
	value  mapi.Value
	object []byte
	iid    mapi.GUID
}

// properties reads a list up to its end or the damage.
func (d *decoder) properties(each func(property)) {
	for range d.uint32() {
		p, known := d.property()
		if d.bad {
			return
		}
		if known {
			each(p)
		}
	}
}

func (d *decoder) property() (property, bool) {
	t := mapi.Type(d.uint16())
	id := d.uint16()
	named := true
	if id >= 0x8000 {
		id, named = d.name()
	}
	p := property{tag: mapi.NewTag(id, t)}
	switch {
	case t.Multi():
		p.value = d.list(t)
	case t == mapi.TypeObject:
		p.object, p.iid = d.object()
	case variable[t]:
		p.value = d.one(t)
	default:
		size, known := fixed[t]
		if !known {
			d.bad = true
			return p, false
		}
		p.value = element(t, d.take(size))
		d.take(min(padding(size), len(d.rest)))
	}
	if p.value != nil {
		p.tag = p.tag.WithType(mapi.TypeOf(p.value))
	}
	return p, named && (p.value != nil || p.object != nil)
}

// name reads what names a property and gives its id here.
func (d *decoder) name() (uint16, bool) {
	n := mapi.PropertyName{}
	copy(n.Set[:], d.take(len(n.Set)))
	if d.uint32() == 0 {
		n.LID = d.uint32()
	} else {
		n.Kind, n.Name = mapi.NameByString, fromUTF16(d.sized())
	}
	if d.bad {
		return 0, false
	}
	return d.r.names.ID(n)
}

// one reads a value of variable length. There is one, though there may be said to be more.
func (d *decoder) one(t mapi.Type) mapi.Value {
	var v mapi.Value
	for i := range d.uint32() {
		b := d.sized()
		if d.bad {
			return nil
		}
		if i == 0 {
			v = d.r.text(t, b)
		}
	}
	return v
}

func (d *decoder) object() (data []byte, iid mapi.GUID) {
	for i := range d.uint32() {
		b := d.sized()
		if d.bad || len(b) < len(iid) {
			d.bad = true
			return nil, iid
		}
		if i == 0 {
			copy(iid[:], b)
			data = b[len(iid):]
		}
	}
	return data, iid
}

// list reads a list of values.
func (d *decoder) list(t mapi.Type) mapi.Value {
	n, e := int64(d.uint32()), t.Element()
	if variable[e] && e != mapi.TypeObject {
		return d.texts(e, n)
	}
	size, known := fixed[e]
	if !known || size == 0 || n*int64(size) > int64(len(d.rest)) {
		d.bad = true
		return nil
	}
	wire := binary.LittleEndian.AppendUint32(nil, uint32(n))
	for range n {
		wire = append(wire, d.take(size)...)
		d.take(min(padding(size), len(d.rest)))
	}
	if d.bad {
		return nil
	}
	return element(t, wire)
}

func (d *decoder) texts(e mapi.Type, n int64) mapi.Value {
	var strings mapi.Strings
	var binaries mapi.Binaries
	for range n {
		b := d.sized()
		if d.bad {
			return nil
		}
		switch v := d.r.text(e, b).(type) {
		case mapi.String:
			strings = append(strings, string(v))
		case mapi.Binary:
			binaries = append(binaries, v)
		}
	}
	if e == mapi.TypeBinary {
		return binaries
	}
	return strings
}

// element reads a value of fixed size, or a list of them.
func element(t mapi.Type, b []byte) mapi.Value {
	if t == mapi.TypeBoolean && len(b) == 2 {
		return mapi.Boolean(b[0] != 0)
	}
	return oxcdata.NewDecoder(b, oxcdata.ROP).Value(t)
}

// text is a value of variable length. Strings of bytes become Unicode.
func (r *reader) text(t mapi.Type, b []byte) mapi.Value {
	switch t {
	case mapi.TypeString:
		return mapi.String(fromUTF16(b))
	case mapi.TypeString8:
		return mapi.String(r.string8(b))
	}
	return mapi.Binary(b)
}

// string8 decodes a string in the message's code page.
func (r *reader) string8(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	charset, _ := mime.CodePageCharset(r.m.CodePage)
	return mime.DecodeCharset(charset, b)
}

// fromUTF16 reads up to a NUL.
func fromUTF16(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
