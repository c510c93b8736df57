package inspect

import (
	"context"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Props are the properties of a mailbox, folder, message or attachment, in order of their tags.
type Props struct {
	Object string     `json:"object"`
	CN     mapi.Stamp `json:"cn"`
	Props  []Prop     `json:"props"`
	// Recipients and Attachments are a message's.
	Recipients  [][]Prop     `json:"recipients,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
}

// Prop is a property.
type Prop struct {
	Tag  string `json:"tag"`
	Name string `json:"name"`
	// Value is nil where it is not shown.
	Value any `json:"value"`
	// Size is how many bytes the value takes.
	Size uint64 `json:"size"`
	// Hidden says why the value is not shown, or not whole.
	Hidden string `json:"hidden,omitempty"`
}

// Attachment is an attachment of a message.
type Attachment struct {
	Number  uint32 `json:"number"`
	Message bool   `json:"message"`
	Props   []Prop `json:"props"`
}

// texts are what a message says: they are shown when they are asked for.
var texts = map[uint16]bool{mapi.PidTagBody.ID(): true, mapi.PidTagHtml.ID(): true, mapi.PidTagRtfCompressed.ID(): true,
	mapi.PidTagAttachDataBinary.ID(): true, mapi.PidTagAttachRendering.ID(): true}

// object refuses queries that lead to nothing, or to two things.
func (q *Query) object() error {
	text := ""
	switch {
	case q.Item != "" && q.Folder != "":
		text = "an item is asked for by its id alone, whichever folder it is in"
	case q.Item == "" && (len(q.Attachments) > 0 || q.Embedded):
		text = "an attachment is asked for with the id of its item, as 'items' shows it"
	case q.Embedded && len(q.Attachments) == 0:
		text = "which attachment the message is in is asked for too: its number, as 'props' of the item shows it"
	default:
		return nil
	}
	return &cluster.Error{Kind: cluster.KindBadRequest, Text: text}
}

func (m *Mailbox) props(ctx context.Context, q *Query) (*Props, error) {
	if err := q.object(); err != nil {
		return nil, err
	}
	id := exmdb.ObjectID{Attachments: q.Attachments, Embedded: q.Embedded}
	t, err := m.tree(ctx)
	if err != nil {
		return nil, err
	}
	what := "the mailbox"
	if q.Folder != "" {
		if id.Folder, err = t.find(q.Folder); err != nil {
			return nil, err
		}
		what = "folder " + t.path(id.Folder)
	}
	if q.Item != "" {
		mid, ok := ParseID(q.Item)
		if !ok {
			return nil, cluster.Errorf(cluster.KindBadRequest, "item %q: want an id as 'items' shows it, 1-10a", q.Item)
		}
		id.Message, what = mapi.MID(mid), "item "+mid.String()
	}
	if id.Message != 0 && (len(q.Attachments) == 0 || q.Embedded) {
		return m.message(ctx, q, id, t, what)
	}
	resp, err := do(ctx, m, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Names: true})
	if err != nil {
		return nil, err
	}
	out := &Props{Object: what, CN: resp.CN}
	out.Props, err = m.bag(ctx, wordsOf(resp.Names, t, q), id, &resp.Props)
	return out, err
}

func wordsOf(names []exmdb.NamedID, t *tree, q *Query) *words {
	w := &words{names: make(map[uint16]mapi.PropertyName, len(names)), tree: t, bodies: q.Bodies}
	for _, n := range names {
		w.names[n.ID] = n.Name
	}
	return w
}

// message is a message with what is inside it.
func (m *Mailbox) message(ctx context.Context, q *Query, id exmdb.ObjectID, t *tree, what string) (*Props, error) {
	resp, err := do(ctx, m, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: id, Names: true})
	if cluster.KindOf(err) == exmdb.KindNoMessage && len(id.Attachments) == 0 {
		return nil, cluster.Errorf(exmdb.KindNoMessage, "no item %v: 'items' lists those of a folder", ID(id.Message))
	}
	if err != nil {
		return nil, err
	}
	w := wordsOf(resp.Names, t, q)
	out := &Props{Object: what, CN: resp.State.CN}
	if out.Props, err = m.bag(ctx, w, id, &resp.Content.Props); err != nil {
		return nil, err
	}
	for i := range resp.Content.Recipients {
		props, err := m.bag(ctx, w, exmdb.ObjectID{}, &resp.Content.Recipients[i])
		if err != nil {
			return nil, err
		}
		out.Recipients = append(out.Recipients, props)
	}
	for i := range resp.Content.Attachments {
		a := &resp.Content.Attachments[i]
		inside := exmdb.ObjectID{Message: id.Message, Attachments: append(append([]uint32{}, id.Attachments...), a.Number)}
		props, err := m.bag(ctx, w, inside, &a.Props)
		if err != nil {
			return nil, err
		}
		out.Attachments = append(out.Attachments, Attachment{Number: a.Number, Message: a.IsMessage, Props: props})
	}
	return out, nil
}

func (m *Mailbox) bag(ctx context.Context, w *words, id exmdb.ObjectID, bag *mapi.PropBag) ([]Prop, error) {
	out := make([]Prop, 0, bag.Len())
	for _, p := range bag.All() {
		one := Prop{Tag: p.Tag.String(), Name: w.tag(p.Tag), Size: sizeOf(p.Value)}
		value, err := p.Value, error(nil)
		switch refs, apart := value.(mapi.Reference); {
		case texts[p.Tag.ID()] && !w.bodies:
			one.Hidden = "a text or data: shown with 'bodies'"
		case apart && (!w.bodies || id.Message == 0):
			one.Hidden = "long: shown with 'bodies'"
		case apart:
			if value, err = m.long(ctx, id, p.Tag, refs); err != nil {
				return nil, err
			}
			if value == nil {
				one.Hidden = fmt.Sprintf("longer than %d bytes", maxLong)
			}
		}
		if one.Hidden == "" {
			var cut bool
			if one.Value, cut = w.value(p.Tag, value); cut {
				one.Hidden = "cut: shown with 'bodies'"
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// sizeOf is the size of a value, also of one that is kept apart.
func sizeOf(v mapi.Value) uint64 {
	refs, apart := v.(mapi.Reference)
	if !apart {
		return mapi.SizeOf(v)
	}
	n := uint64(0)
	for _, r := range refs {
		n += uint64(r.Size)
	}
	return n
}

// maxLong is the longest value that is shown.
const maxLong = 1 << 20

// long reads a value that is kept apart, nil where it is too long to show.
func (m *Mailbox) long(ctx context.Context, id exmdb.ObjectID, t mapi.Tag, refs mapi.Reference) (mapi.Value, error) {
	if sizeOf(refs) > maxLong {
		return nil, nil
	}
	var all []byte
	for {
		resp, err := do(ctx, m, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: id, Tag: t, Offset: uint64(len(all)), Length: exmdb.MaxReadBytes})
		if err != nil {
			return nil, err
		}
		all = append(all, resp.Data...)
		if len(resp.Data) == 0 || uint64(len(all)) >= resp.Size {
			break
		}
	}
	switch t.Type() {
	case mapi.TypeString:
		return mapi.String(all), nil
	case mapi.TypeString8:
		return mapi.String8(all), nil
	case mapi.TypeBinary:
		return mapi.Binary(all), nil
	}
	return mapi.Opaque(all), nil
}
