// Package object is what conversions make and read: a message's properties, its recipients and its attachments, in
// memory and without a mailbox. Named properties stand under their names, because only a mailbox gives them ids.
//
// It knows values and names; never where they are stored, nor what they mean.
package object

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Props are properties: those with an id of their own, and those with a name.
type Props struct {
	Bag   mapi.PropBag
	Named map[mapi.PropertyName]mapi.Value
}

// Message is a message with what is in it.
type Message struct {
	Props
	Recipients  []mapi.PropBag
	Attachments []Attachment
}

// Attachment is an attachment; Embedded is the message in it, if it is one.
type Attachment struct {
	Props
	Embedded *Message
}

// Lid is the value of a named property, nil when it is not there.
func (p *Props) Lid(n mapi.NamedProperty) mapi.Value { return p.Named[n.Canonical()] }

// SetLid gives a named property a value.
func (p *Props) SetLid(n mapi.NamedProperty, v mapi.Value) {
	if p.Named == nil {
		p.Named = map[mapi.PropertyName]mapi.Value{}
	}
	p.Named[n.Canonical()] = v
}

// DeleteLid takes a named property out.
func (p *Props) DeleteLid(n mapi.NamedProperty) { delete(p.Named, n.Canonical()) }

// SetText sets a string unless it is empty.
func (p *Props) SetText(t mapi.Tag, s string) {
	if s != "" {
		p.Bag.Set(t, mapi.String(Clean(s)))
	}
}

// SetLidText sets a named string unless it is empty.
func (p *Props) SetLidText(n mapi.NamedProperty, s string) {
	if s != "" {
		p.SetLid(n, mapi.String(Clean(s)))
	}
}

// Text is a string, "" when it is not there.
func (p *Props) Text(t mapi.Tag) string { return textOf(p.Bag.Get(t)) }

// LidText is a named string, "" when it is not there.
func (p *Props) LidText(n mapi.NamedProperty) string { return textOf(p.Lid(n)) }

func textOf(v mapi.Value) string {
	s, _ := v.(mapi.String)
	return string(s)
}

// Int is a number of 32 bits and whether it is there.
func (p *Props) Int(t mapi.Tag) (int32, bool) {
	n, ok := p.Bag.Get(t).(mapi.Integer32)
	return int32(n), ok
}

// LidInt is a named number of 32 bits and whether it is there.
func (p *Props) LidInt(n mapi.NamedProperty) (int32, bool) {
	v, ok := p.Lid(n).(mapi.Integer32)
	return int32(v), ok
}

// LidBool is a named truth; what is not there is none.
func (p *Props) LidBool(n mapi.NamedProperty) bool {
	v, _ := p.Lid(n).(mapi.Boolean)
	return bool(v)
}

// LidTime is a named time and whether it is there.
func (p *Props) LidTime(n mapi.NamedProperty) (mapi.FileTime, bool) {
	v, ok := p.Lid(n).(mapi.FileTime)
	return v, ok
}

// LidBinary is named bytes, nil when they are not there.
func (p *Props) LidBinary(n mapi.NamedProperty) []byte {
	v, _ := p.Lid(n).(mapi.Binary)
	return v
}

// Names are the names in one order.
func (p *Props) Names() []mapi.PropertyName {
	return slices.SortedFunc(maps.Keys(p.Named), func(a, b mapi.PropertyName) int {
		if c := bytes.Compare(a.Set[:], b.Set[:]); c != 0 {
			return c
		}
		if a.LID != b.LID {
			return int(int64(a.LID) - int64(b.LID))
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// Clean is a string as a property may hold it: UTF-8, without NUL.
func Clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}
