package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// takeIn is OpTakeIn: a message of another mailbox becomes one of this, with octets, properties and flags as they are. Whether
// it came before is asked first: rights and room are needed once.
func takeIn(t *tx, req *exmdb.TakeInRequest) (*exmdb.TakeInResponse, error) {
	done, err := space.Once(t.w, req.Source, req.Number)
	if err != nil || done {
		return &exmdb.TakeInResponse{Duplicate: done}, err
	}
	counts, err := t.edit(req.Target)
	if err != nil {
		return nil, err
	}
	t.as, t.whole = &req.As, whole(&req.As, t.header.Owner)
	in := &newcomer{tx: t, m: &req.Message}
	if err := in.begin(); err != nil {
		return nil, err
	}
	if may, err := t.mayOn(req.Target, &message{row: in.row}, toCreate); err != nil || !may {
		return nil, orElse(err, t.denied())
	}
	if in.staged, err = stage(req.Inline); err != nil {
		return nil, err
	}
	if err := in.store(); err != nil {
		return nil, err
	}
	if uint64(in.row.Props) > t.config.MaxMessage && in.row.Bits&schema.RowInConflict == 0 {
		return nil, cluster.Errorf(exmdb.KindTooBig, "message of %d bytes, %d at most", in.row.Props, t.config.MaxMessage)
	}
	if err := t.room(in.row.MessageSize()); err != nil {
		return nil, err
	}
	t.enter(&in.row)
	_, err = t.place(req.Target, counts, &in.row)
	return &exmdb.TakeInResponse{MID: in.row.MID}, err
}

// newcomer is a message of another mailbox on its way in.
type newcomer struct {
	*tx
	m      *exmdb.CarriedMessage
	row    schema.Row
	staged *staged
	names  names
}

// begin makes the row, without what follows from the records.
func (in *newcomer) begin() error {
	marks := schema.RowBits(in.m.Marks)
	formless := marks&(schema.RowAssociated|schema.RowUnrendered) != 0
	made := marks&schema.RowRendered != 0
	switch {
	case marks&^carriedMarks != 0, in.m.Flags.Bits&^allFlags != 0,
		formless == (in.m.Body != nil), formless && made,
		marks&schema.RowReheaded != 0 && (!made || in.m.Original == nil),
		marks&schema.RowAssociated != 0 && in.m.Original != nil,
		!formless && !made && in.m.Original != nil:
		return cluster.Errorf(exmdb.KindBadContent, "message of marks %#x has not what they say", in.m.Marks)
	}
	flags := in.m.Flags.Bits
	if marks&schema.RowBorn == 0 {
		flags &^= exmdb.FlagDraft
	}
	if marks&schema.RowFlagComplete != 0 {
		flags &^= exmdb.FlagFlagged
	}
	in.row = schema.Row{Object: in.object(), Received: mapi.FileTimeOf(orNow(in.m.Received, in.now)), Verb: in.m.Verb, Icon: in.m.Icon,
		Bits: marks | schema.RowBits(flags), Creator: in.creator()}
	if err := checkCarried(&in.m.Content, 0); err != nil {
		return err
	}
	var err error
	in.row.Keywords, err = in.internKeywords(in.m.Flags.Keywords)
	return err
}

// checkCarried refuses a message that could not have been made here.
func checkCarried(c *exmdb.MessageContent, depth int) error {
	if len(c.Recipients) > maxRecipients || len(c.Attachments) > maxAttachments || depth > maxEmbedded {
		return cluster.Errorf(exmdb.KindTooBig, "%d recipients, %d attachments, %d deep", len(c.Recipients), len(c.Attachments), depth)
	}
	for i := range c.Attachments {
		a := &c.Attachments[i]
		if i > 0 && a.Number <= c.Attachments[i-1].Number {
			return cluster.Errorf(exmdb.KindBadContent, "attachment %d behind %d", a.Number, c.Attachments[i-1].Number)
		}
		if a.Embedded == nil {
			continue
		}
		if err := checkCarried(a.Embedded, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// store writes octets and properties.
func (in *newcomer) store() error {
	if err := in.body(in.m.Body, in.row.Object); err != nil {
		return err
	}
	if in.m.Body != nil {
		in.row.Size, in.row.Prefix = in.m.Body.Recipe.Size(), uint32(len(in.m.Body.Recipe.Prefix))
	}
	if in.m.Original != nil {
		in.row.Original = in.object()
	}
	if err := in.body(in.m.Original, in.row.Original); err != nil {
		return err
	}
	for _, bag := range in.m.Content.Bags() {
		if err := in.staged.admit(bag); err != nil {
			return err
		}
	}
	if err := in.nameAll(); err != nil {
		return err
	}
	return in.records()
}

// body writes one MIME form.
func (in *newcomer) body(m *exmdb.NewMessage, number mapi.ObjectNumber) error {
	if m == nil {
		return nil
	}
	if _, err := content.Check(&exmdb.NewMessage{Recipe: m.Recipe, Digest: m.Digest}, maxForm); err != nil {
		return err
	}
	for i := range m.Recipe.Segments {
		for _, c := range m.Recipe.Segments[i].Chunks {
			if size, known := in.staged.named[c.Hash]; known && size != c.Size {
				return cluster.Errorf(exmdb.KindBadContent, "chunk %x of %d bytes", c.Hash[:8], c.Size)
			}
		}
	}
	has, err := in.putBody(number, m, in.staged.inline)
	if has {
		in.row.Bits |= schema.RowContent
	}
	return err
}

// nameAll gives the names of the other mailbox the ids that they have here.
func (in *newcomer) nameAll() error {
	in.names.ids = make([]uint16, schema.MaxNamedProps)
	for _, n := range in.m.Names {
		at := int(n.ID) - schema.FirstNamedProp
		if n.Name.Kind == mapi.NameNone || at < 0 || at >= len(in.names.ids) {
			continue // what has no name means nothing here
		}
		id, err := in.internName(n.Name)
		if err != nil {
			return err
		}
		in.names.ids[at] = id
	}
	return nil
}

// records writes bag, recipients and attachments.
func (in *newcomer) records() error {
	c, bag := &in.m.Content, new(mapi.PropBag)
	in.names.rename(bag, &c.Props, nowhere)
	if err := in.staged.long(bag); err != nil {
		return err
	}
	if err := checkRecord(bag.AppendWire(nil)); err != nil {
		return err
	}
	if err := in.setBag(&in.row, nil, bag, in.staged.inline); err != nil {
		return err
	}
	if in.m.HasRecipients {
		list := &schema.Recipients{Bags: make([]mapi.PropBag, len(c.Recipients))}
		for i := range c.Recipients {
			in.names.rename(&list.Bags[i], &c.Recipients[i], nowhere)
		}
		if err := in.setRecipients(&in.row, new(schema.Recipients), list, in.staged.inline); err != nil {
			return err
		}
	}
	list := in.names.attachments(c.Attachments)
	numberAs(list, c.Attachments)
	if err := checkAttachments(list); err != nil {
		return err
	}
	for i := range list {
		if err := in.setAttachment(&in.row, nil, &list[i], in.staged.inline); err != nil {
			return err
		}
	}
	return nil
}

// numberAs gives attachments the numbers that they had.
func numberAs(list []schema.Attachment, were []exmdb.Attachment) {
	for i := range list {
		list[i].Number = were[i].Number
		if list[i].Embedded != nil {
			numberAs(list[i].Nested, were[i].Embedded.Attachments)
		}
	}
}
