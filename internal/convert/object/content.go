package object

import (
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Content is the message as a request of exmdb has it. names gives its named properties ids, and is sent with it.
func (m *Message) Content(names *oxcmsg.Names) exmdb.MessageContent {
	c := exmdb.MessageContent{Props: m.Props.numbered(names), Recipients: m.Recipients}
	for i := range m.Attachments {
		a := exmdb.Attachment{Number: uint32(i), Props: m.Attachments[i].Props.numbered(names)}
		if e := m.Attachments[i].Embedded; e != nil {
			inside := e.Content(names)
			a.IsMessage, a.Embedded = true, &inside
		}
		c.Attachments = append(c.Attachments, a)
	}
	return c
}

func (p *Props) numbered(names *oxcmsg.Names) mapi.PropBag {
	var bag mapi.PropBag
	for _, prop := range p.Bag.All() {
		bag.Set(prop.Tag, prop.Value)
	}
	for _, n := range p.Names() {
		v := p.Named[n]
		names.Set(&bag, mapi.NamedProperty{PropertyName: n, Type: mapi.TypeOf(v)}, v)
	}
	return bag
}

// Loader reads messages as exmdb gives them.
type Loader struct {
	// Name is what an id from 0x8000 on stands for in the mailbox.
	Name func(id uint16) (mapi.PropertyName, bool)
	// Open reads the content that a value stands for. Max bounds it: what is longer is left out, as a conversion has all of
	// a message in memory. Where it is nil, values that are content stay references.
	Open func(mapi.Reference) io.Reader
	Max  uint64
}

// Message is what content holds, with every value in its place.
func (l Loader) Message(c *exmdb.MessageContent) (*Message, error) {
	m := &Message{Recipients: c.Recipients}
	var err error
	if m.Props, err = l.props(&c.Props); err != nil {
		return nil, err
	}
	for i := range c.Attachments {
		var a Attachment
		if a.Props, err = l.props(&c.Attachments[i].Props); err != nil {
			return nil, err
		}
		if e := c.Attachments[i].Embedded; e != nil {
			if a.Embedded, err = l.Message(e); err != nil {
				return nil, err
			}
		}
		m.Attachments = append(m.Attachments, a)
	}
	return m, nil
}

func (l Loader) props(bag *mapi.PropBag) (Props, error) {
	var p Props
	for _, prop := range bag.All() {
		v, err := l.value(prop)
		if err != nil {
			return p, fmt.Errorf("read property %v: %w", prop.Tag, err)
		}
		name, named := mapi.PropertyName{}, false
		if prop.Tag.Named() {
			name, named = l.Name(prop.Tag.ID())
		}
		switch {
		case v == nil || prop.Tag.Named() && !named:
		case named:
			p.SetLid(mapi.NamedProperty{PropertyName: name}, v)
		default:
			p.Bag.Set(prop.Tag, v)
		}
	}
	return p, nil
}

// value is a property's value; content is read for strings and bytes, and nil stands for what is not read.
func (l Loader) value(prop mapi.Prop) (mapi.Value, error) {
	ref, referred := prop.Value.(mapi.Reference)
	if !referred || l.Open == nil {
		return prop.Value, nil
	}
	t := prop.Tag.Type()
	if t != mapi.TypeString && t != mapi.TypeBinary || ref.Size() > l.Max {
		return nil, nil //nolint:nilnil // left out, as Max and the kinds of values here say
	}
	b, err := io.ReadAll(l.Open(ref))
	if err != nil {
		return nil, err
	}
	if t == mapi.TypeString {
		return mapi.String(b), nil
	}
	return mapi.Binary(b), nil
}
