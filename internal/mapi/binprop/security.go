package binprop

import (
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// SID names a user or group to Windows (MS-DTYP 2.4.2.2).
type SID struct {
	Revision  uint8
	Authority uint64 // 48 bits
	Sub       []uint32
}

// String is the form S-1-5-21-….
func (s SID) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "S-%d-%d", s.Revision, s.Authority)
	for _, n := range s.Sub {
		fmt.Fprintf(&b, "-%d", n)
	}
	return b.String()
}

func readSID(d *oxcdata.Decoder) SID {
	s := SID{Revision: d.Uint8()}
	n := d.Number(1)
	for _, byte := range d.Bytes(6) {
		s.Authority = s.Authority<<8 | uint64(byte)
	}
	s.Sub = many(d, n, d.Uint32)
	return s
}

func putSID(e *oxcdata.Encoder, s SID) {
	e.Uint8(s.Revision)
	e.Number(len(s.Sub), 1)
	for shift := 40; shift >= 0; shift -= 8 {
		e.Uint8(uint8(s.Authority >> shift))
	}
	put32(e, s.Sub...)
}

// ParseSID reads a SID, all of b.
func ParseSID(b []byte) (SID, error) {
	d := reader(b)
	s := readSID(d)
	return s, d.Close()
}

// Append adds the bytes.
func (s SID) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	putSID(e, s)
	return e.Bytes()
}

// Types of ACE that are taken apart (MS-DTYP 2.4.4.1).
const (
	ACEAllowed       = 0x00
	ACEDenied        = 0x01
	ACEAllowedObject = 0x05
	ACEDeniedObject  = 0x06
)

// ACE allows or denies a SID what the mask says. Of the object types ObjectFlags says which GUIDs there are.
type ACE struct {
	Type, Flags       uint8
	Mask              uint32
	ObjectFlags       uint32
	Object, Inherited mapi.GUID
	SID               SID
	// Data is all behind the head of another type.
	Data []byte
}

const (
	hasObject    = 0x1
	hasInherited = 0x2
	aceHead      = 4
	aclHead      = 8
)

func readACE(outer *oxcdata.Decoder) ACE {
	a := ACE{Type: outer.Uint8(), Flags: outer.Uint8()}
	d := outer.Inner(outer.Number(2) - aceHead)
	switch a.Type {
	case ACEAllowed, ACEDenied:
		a.Mask = d.Uint32()
		a.SID = readSID(d)
	case ACEAllowedObject, ACEDeniedObject:
		a.Mask, a.ObjectFlags = d.Uint32(), d.Uint32()
		if a.ObjectFlags&hasObject != 0 {
			a.Object = d.GUID()
		}
		if a.ObjectFlags&hasInherited != 0 {
			a.Inherited = d.GUID()
		}
		a.SID = readSID(d)
	default:
		a.Data = d.Bytes(d.Len())
	}
	if err := d.Close(); err != nil {
		outer.Fail(err)
	}
	return a
}

func putACE(e *oxcdata.Encoder, a ACE) {
	body := writer(nil)
	switch a.Type {
	case ACEAllowed, ACEDenied:
		body.Uint32(a.Mask)
		putSID(body, a.SID)
	case ACEAllowedObject, ACEDeniedObject:
		put32(body, a.Mask, a.ObjectFlags)
		if a.ObjectFlags&hasObject != 0 {
			body.GUID(a.Object)
		}
		if a.ObjectFlags&hasInherited != 0 {
			body.GUID(a.Inherited)
		}
		putSID(body, a.SID)
	default:
		body.Raw(a.Data)
	}
	b, err := body.Bytes()
	if err != nil {
		e.Fail(err)
	}
	e.Uint8(a.Type)
	e.Uint8(a.Flags)
	e.Number(len(b)+aceHead, 2)
	e.Raw(b)
}

// ParseACE reads one entry, all of b.
func ParseACE(b []byte) (ACE, error) {
	d := reader(b)
	a := readACE(d)
	return a, d.Close()
}

// ACL is a list of entries.
type ACL struct {
	Revision uint8
	Entries  []ACE
}

func readACL(outer *oxcdata.Decoder) ACL {
	l := ACL{Revision: outer.Uint8()}
	outer.Uint8()
	size, n := outer.Number(2), outer.Number(2)
	outer.Uint16()
	d := outer.Inner(size - aclHead)
	l.Entries = many(d, n, func() ACE { return readACE(d) })
	d.Bytes(d.Len()) // a list may be larger than its entries
	if err := d.Err(); err != nil {
		outer.Fail(err)
	}
	return l
}

func putACL(e *oxcdata.Encoder, l ACL) {
	body := writer(nil)
	for _, a := range l.Entries {
		putACE(body, a)
	}
	b, err := body.Bytes()
	if err != nil {
		e.Fail(err)
	}
	e.Uint8(l.Revision)
	e.Uint8(0)
	e.Number(len(b)+aclHead, 2)
	e.Number(len(l.Entries), 2)
	e.Uint16(0)
	e.Raw(b)
}

// ParseACL reads a list, all of b.
func ParseACL(b []byte) (ACL, error) {
	d := reader(b)
	l := readACL(d)
	return l, d.Close()
}

// Append adds the bytes.
func (l ACL) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	putACL(e, l)
	return e.Bytes()
}

// SecurityDescriptor says who owns an object and what others may do with it (MS-DTYP 2.4.6), in its self-relative form.
type SecurityDescriptor struct {
	Revision, Reserved uint8
	Control            uint16
	Owner, Group       *SID
	SACL, DACL         *ACL
}

const descriptorHead = 20

// ParseSecurityDescriptor reads the self-relative form.
func ParseSecurityDescriptor(b []byte) (SecurityDescriptor, error) {
	d := reader(b)
	s := SecurityDescriptor{Revision: d.Uint8(), Reserved: d.Uint8(), Control: d.Uint16()}
	offsets := [...]uint32{d.Uint32(), d.Uint32(), d.Uint32(), d.Uint32()}
	if err := d.Err(); err != nil {
		return SecurityDescriptor{}, err
	}
	reads := [...]func(*oxcdata.Decoder){
		func(d *oxcdata.Decoder) { s.Owner = new(readSID(d)) },
		func(d *oxcdata.Decoder) { s.Group = new(readSID(d)) },
		func(d *oxcdata.Decoder) { s.SACL = new(readACL(d)) },
		func(d *oxcdata.Decoder) { s.DACL = new(readACL(d)) },
	}
	for i, at := range offsets {
		if at == 0 {
			continue
		}
		if at < descriptorHead || uint64(at) > uint64(len(b)) {
			return SecurityDescriptor{}, fmt.Errorf("part of a security descriptor at %#x: %w", at, oxcdata.ErrMalformed)
		}
		part := reader(b[at:])
		reads[i](part)
		if err := part.Err(); err != nil {
			return SecurityDescriptor{}, err
		}
	}
	return s, nil
}

// Append adds the self-relative form: lists first, then owner and group.
func (s SecurityDescriptor) Append(dst []byte) ([]byte, error) {
	var offsets [4]uint32
	body := writer(nil)
	place := func(i int, there bool, put func()) {
		if !there {
			return
		}
		b, _ := body.Bytes()
		offsets[i] = descriptorHead + uint32(len(b))
		put()
	}
	place(2, s.SACL != nil, func() { putACL(body, *s.SACL) })
	place(3, s.DACL != nil, func() { putACL(body, *s.DACL) })
	place(0, s.Owner != nil, func() { putSID(body, *s.Owner) })
	place(1, s.Group != nil, func() { putSID(body, *s.Group) })
	b, err := body.Bytes()
	if err != nil {
		return nil, err
	}
	e := writer(dst)
	e.Uint8(s.Revision)
	e.Uint8(s.Reserved)
	e.Uint16(s.Control)
	put32(e, offsets[:]...)
	e.Raw(b)
	return e.Bytes()
}

// transferVersion is the only version of a descriptor's head in a property.
const (
	transferVersion = 3
	transferHead    = 8
)

// ParseNTSecurityDescriptor reads PidTagExchangeNTSecurityDescriptor: a descriptor behind a head of its own.
func ParseNTSecurityDescriptor(b []byte) (SecurityDescriptor, error) {
	d := reader(b)
	size, version := d.Uint16(), d.Uint16()
	d.Uint32()
	if err := d.Err(); err != nil {
		return SecurityDescriptor{}, err
	}
	if size != transferHead || version != transferVersion {
		return SecurityDescriptor{}, fmt.Errorf("security descriptor of version %d behind %d bytes: %w", version, size, oxcdata.ErrMalformed)
	}
	return ParseSecurityDescriptor(b[transferHead:])
}

// AppendNTSecurityDescriptor adds PidTagExchangeNTSecurityDescriptor.
func AppendNTSecurityDescriptor(dst []byte, s SecurityDescriptor) ([]byte, error) {
	e := writer(dst)
	e.Uint16(transferHead)
	e.Uint16(transferVersion)
	e.Uint32(0)
	head, err := e.Bytes()
	if err != nil {
		return nil, err
	}
	return s.Append(head)
}
