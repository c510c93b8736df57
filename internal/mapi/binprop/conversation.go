package binprop

import (
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// ConversationIndex is PidTagConversationIndex (MS-OXOMSG 2.2.1.3): when a conversation began, what it is called, and
// for each answer on the way to this message how long after.
type ConversationIndex struct {
	// Time is cut to the 40 bits that are kept.
	Time mapi.FileTime
	// ID is the conversation's.
	ID     mapi.GUID
	Levels []ResponseLevel
}

// ResponseLevel is one answer.
type ResponseLevel struct {
	// Coarse: Delta counts steps of 2^23 filetimes and not of 2^18, because the answer came more than 1.7 years later.
	Coarse bool
	Delta  uint32 // 31 bits
	Random uint8  // 4 bits
	Level  uint8  // 4 bits
}

const (
	conversationMark = 0x01 // the upper byte of a filetime between 1829 and 2057
	headerTime       = 5    // bytes of the filetime behind it
	timeBits         = 16   // of a filetime that are cut off
	fineBits         = 18
	coarseBits       = 23
	deltaBits        = 31
	levelSize        = 5
	// MaxResponseLevels bounds what Reply adds; longer indexes come from clients and are kept.
	MaxResponseLevels = 500
)

// ParseConversationIndex reads the property. Bytes behind the last whole level are left away, as clients do.
func ParseConversationIndex(b []byte) (ConversationIndex, error) {
	d := reader(b)
	var c ConversationIndex
	if mark := d.Uint8(); mark != conversationMark {
		d.Failf("conversation index begins with %#x", mark)
	}
	upper := mapi.FileTime(conversationMark)
	for _, byte := range d.Bytes(headerTime) {
		upper = upper<<8 | mapi.FileTime(byte)
	}
	c.Time = upper << timeBits
	c.ID = d.GUID()
	for d.Len() >= levelSize {
		l := d.Bytes(levelSize)
		word := uint32(l[0])<<24 | uint32(l[1])<<16 | uint32(l[2])<<8 | uint32(l[3])
		c.Levels = append(c.Levels, ResponseLevel{word>>deltaBits == 1, word &^ (1 << deltaBits), l[4] >> 4, l[4] & 0xF})
	}
	return c, d.Err()
}

// Append adds the property.
func (c ConversationIndex) Append(dst []byte) []byte {
	dst = append(dst, conversationMark)
	for shift := 48; shift >= timeBits; shift -= 8 {
		dst = append(dst, byte(c.Time>>shift))
	}
	dst = append(dst, c.ID[:]...)
	for _, l := range c.Levels {
		word := l.Delta &^ (1 << deltaBits)
		if l.Coarse {
			word |= 1 << deltaBits
		}
		dst = append(dst, byte(word>>24), byte(word>>16), byte(word>>8), byte(word), l.Random<<4|l.Level&0xF)
	}
	return dst
}

// NewConversationIndex begins a conversation. Of the time the bits that every time before 2057 shares are not kept.
func NewConversationIndex(now mapi.FileTime, id mapi.GUID) ConversationIndex {
	return ConversationIndex{Time: now>>timeBits<<timeBits&^(0xFF<<56) | conversationMark<<56, ID: id}
}

// Reply is the index of an answer written at now; random is any four bits.
func (c ConversationIndex) Reply(now mapi.FileTime, random uint8) ConversationIndex {
	if len(c.Levels) >= MaxResponseLevels {
		return c
	}
	delta := uint64(0)
	if now > c.Time {
		delta = uint64(now - c.Time)
	}
	l := ResponseLevel{Coarse: delta>>(fineBits+deltaBits) != 0, Random: random & 0xF}
	bits := fineBits
	if l.Coarse {
		bits = coarseBits
	}
	l.Delta = uint32(delta>>bits) &^ (1 << deltaBits)
	c.Levels = append(c.Levels[:len(c.Levels):len(c.Levels)], l)
	return c
}

// ReportTag is PidTagReportTag (MS-OXOMSG 2.2.2.22): which message a report is about.
type ReportTag struct {
	Version                              uint32
	Store, Folder, Message, SearchFolder []byte // entry ids
	SearchKey                            []byte
	Text                                 string
}

const (
	reportCookie = "PCDFEB09\x00"
	// ReportVersion is what is written: entry ids and all. Version 1 has no SearchFolder in use.
	ReportVersion = 0x0002_0001
)

// ParseReportTag reads the property.
func ParseReportTag(b []byte) (ReportTag, error) {
	d := reader(b)
	if cookie := d.Bytes(len(reportCookie)); string(cookie) != reportCookie {
		d.Failf("report tag begins with %q", cookie)
	}
	r := ReportTag{Version: d.Uint32(), Store: block(d), Folder: block(d), Message: block(d), SearchFolder: block(d), SearchKey: block(d)}
	r.Text = string(block(d))
	return r, d.Close()
}

// Append adds the property.
func (r ReportTag) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	e.Raw([]byte(reportCookie))
	e.Uint32(r.Version)
	for _, b := range [][]byte{r.Store, r.Folder, r.Message, r.SearchFolder, r.SearchKey, []byte(r.Text)} {
		putBlock(e, b)
	}
	return e.Bytes()
}

// Verb is one thing a recipient may do with a message, a vote for one (MS-OXOMSG 2.2.1.74).
type Verb struct {
	Type uint32
	// Name and Prefix are bytes in a code page; the wide ones say the same in Unicode.
	Name, Class, Form, Prefix string
	Internal2                 uint32
	Internal3                 uint8
	USHeaders                 uint32
	Internal4                 uint32
	SendBehavior              uint32
	Internal5                 uint32
	ID                        uint32
	Internal6                 uint32
	WideName, WidePrefix      string
}

// VerbStream is PidLidVerbStream.
type VerbStream struct {
	Verbs []Verb
	// Trailer is what some clients leave behind the end.
	Trailer []byte
}

const (
	verbVersion, verbVersion2 = 0x0102, 0x0104
)

// ParseVerbStream reads the property.
func ParseVerbStream(b []byte) (VerbStream, error) {
	d := reader(b)
	if v := d.Uint16(); v != verbVersion {
		d.Failf("verbs of version %#x", v)
	}
	s := VerbStream{Verbs: many(d, d.Number(4), func() Verb { return readVerb(d) })}
	if v := d.Uint16(); v != verbVersion2 {
		d.Failf("wide names of version %#x", v)
	}
	for i := range s.Verbs {
		s.Verbs[i].WideName = d.UTF16(d.Number(1))
		s.Verbs[i].WidePrefix = d.UTF16(d.Number(1))
	}
	s.Trailer = d.Bytes(d.Len())
	return s, d.Err()
}

func readVerb(d *oxcdata.Decoder) Verb {
	short := func() string { return string(d.Bytes(d.Number(1))) }
	return Verb{
		Type: d.Uint32(), Name: short(), Class: short(), Form: short(), Prefix: short(),
		Internal2: d.Uint32(), Internal3: d.Uint8(), USHeaders: d.Uint32(), Internal4: d.Uint32(), SendBehavior: d.Uint32(),
		Internal5: d.Uint32(), ID: d.Uint32(), Internal6: d.Uint32(),
	}
}

// Append adds the property.
func (s VerbStream) Append(dst []byte) ([]byte, error) {
	e := writer(dst)
	e.Uint16(verbVersion)
	e.Number(len(s.Verbs), 4)
	for _, v := range s.Verbs {
		e.Uint32(v.Type)
		for _, text := range []string{v.Name, v.Class, v.Form, v.Prefix} {
			e.Number(len(text), 1)
			e.Raw([]byte(text))
		}
		e.Uint32(v.Internal2)
		e.Uint8(v.Internal3)
		put32(e, v.USHeaders, v.Internal4, v.SendBehavior, v.Internal5, v.ID, v.Internal6)
	}
	e.Uint16(verbVersion2)
	for _, v := range s.Verbs {
		e.UTF16(v.WideName, 1)
		e.UTF16(v.WidePrefix, 1)
	}
	e.Raw(s.Trailer)
	return e.Bytes()
}
