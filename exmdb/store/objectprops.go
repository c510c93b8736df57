package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// checkID refuses names of objects that mean nothing.
func checkID(id *exmdb.ObjectID) error {
	switch {
	case id.Message == 0 && (len(id.Attachments) > 0 || id.Embedded), id.Embedded && len(id.Attachments) == 0:
		return cluster.Errorf(cluster.KindBadRequest, "object %+v is nowhere", *id)
	case len(id.Attachments) > maxEmbedded+1:
		return cluster.Errorf(cluster.KindBadRequest, "attachment %d levels deep", len(id.Attachments))
	}
	return nil
}

// locate finds the message that an object is or is inside. The folder, where the name has one, is where it must be.
func (v *view) locate(id *exmdb.ObjectID) (mapi.FID, *message, error) {
	fid, m, err := v.findObject(id)
	if err == nil && id.Folder != 0 && id.Folder != fid {
		err = noMessage(id.Message)
	}
	return fid, m, err
}

// findObject finds the message of an object's name: among those that there are, or among the soft-deleted ones and in
// soft-deleted folders.
func (v *view) findObject(id *exmdb.ObjectID) (mapi.FID, *message, error) {
	if !id.Deleted {
		return v.find(id.Message)
	}
	fid, d, err := v.findDeleted(id.Message)
	switch {
	case err == nil:
		return fid, &d.message, nil
	case cluster.KindOf(err) == exmdb.KindNoMessage:
		return v.findShelved(id.Message)
	}
	return 0, nil, err
}

// descend finds an attachment by the way there.
func (v *view) descend(object mapi.ObjectNumber, way []uint32) (*schema.Attachment, error) {
	a, err := v.attachment(object, way[0])
	for _, number := range way[1:] {
		if err != nil {
			break
		}
		a, err = nested(a, number)
	}
	return a, err
}

func nested(a *schema.Attachment, number uint32) (*schema.Attachment, error) {
	for i := range a.Nested {
		if a.Nested[i].Number == number {
			return &a.Nested[i], nil
		}
	}
	return nil, cluster.Errorf(exmdb.KindNoMessage, "no attachment %d", number)
}

// propsOf reads properties of any object, and its CN.
func (v *view) propsOf(id *exmdb.ObjectID, tags []mapi.Tag) (*mapi.PropBag, mapi.Stamp, error) {
	if err := checkID(id); err != nil {
		return nil, 0, err
	}
	switch {
	case id.Message != 0:
		fid, m, err := v.locate(id)
		if err != nil {
			return nil, 0, err
		}
		if len(id.Attachments) > 0 {
			bag, err := v.attachmentProps(m, id, tags)
			return bag, m.row.CN, err
		}
		bag, err := v.show(fid, m).some(tags)
		return bag, m.row.CN, err
	case id.Folder != 0:
		s, err := v.showFolder(id.Folder)
		if err != nil {
			return nil, 0, err
		}
		bag, err := s.some(tags)
		return bag, s.f.CN, err
	}
	bag, err := v.storeProps(tags)
	return bag, 0, err
}

func (v *view) attachmentProps(m *message, id *exmdb.ObjectID, tags []mapi.Tag) (*mapi.PropBag, error) {
	a, err := v.descend(m.row.Object, id.Attachments)
	if err != nil {
		return nil, err
	}
	table, bag := attachmentTable, &a.Bag
	if id.Embedded {
		if a.Embedded == nil {
			return nil, cluster.Errorf(exmdb.KindNoMessage, "no message in the attachment")
		}
		table, bag = embeddedTable, a.Embedded
	}
	if tags == nil {
		return table.all(a, bag), nil
	}
	return some(tags, func(t mapi.Tag) (mapi.Prop, bool) {
		return table.value(a, func() *mapi.PropBag { return bag }, t)
	}), nil
}

// readProps is OpReadProps.
func readProps(v *view, req *exmdb.ReadPropsRequest) (*exmdb.ReadPropsResponse, error) {
	bag, cn, err := v.propsOf(&req.Object, req.Tags)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ReadPropsResponse{Props: *bag, CN: cn, Sequence: v.r.Sequence()}
	if req.Names {
		resp.Names, err = v.namesIn(bag)
	}
	return resp, err
}

// writeProps is OpWriteProps.
func writeProps(t *tx, req *exmdb.WritePropsRequest) (*exmdb.WritePropsResponse, error) {
	if err := checkID(&req.Object); err != nil {
		return nil, err
	}
	switch {
	case req.Object.Message != 0:
		return t.writeMessageProps(req)
	case req.Object.Folder != 0:
		return t.writeFolderProps(req)
	}
	return t.writeStoreProps(req)
}

func (t *tx) writeMessageProps(req *exmdb.WritePropsRequest) (*exmdb.WritePropsResponse, error) {
	if _, _, err := t.locate(&req.Object); err != nil {
		return nil, err
	}
	d, err := t.reopen(req.Object.Message, &req.Payload)
	if err != nil {
		return nil, err
	}
	if err := unmoved(req.Base, d.before.row.CN); err != nil {
		return nil, err
	}
	edit := exmdb.MessageEdit{Set: req.Set, Delete: req.Delete}
	if way := req.Object.Attachments; len(way) > 0 {
		if _, err := t.descend(d.before.row.Object, way); err != nil {
			return nil, err // an edit would make it
		}
		edit = wrap(edit, way, req.Object.Embedded)
	}
	if err := d.apply(&edit); err != nil {
		return nil, err
	}
	if err := d.commit(); err != nil {
		return nil, err
	}
	return &exmdb.WritePropsResponse{Problems: d.problems, CN: d.after.row.CN}, nil
}

// wrap is the edit of a message that makes an edit of an attachment in it, or of the message inside that.
func wrap(edit exmdb.MessageEdit, way []uint32, embedded bool) exmdb.MessageEdit {
	last := exmdb.AttachmentEdit{Number: way[len(way)-1], Set: edit.Set, Delete: edit.Delete}
	if embedded {
		last = exmdb.AttachmentEdit{Number: last.Number, Embedded: &edit}
	}
	for i := len(way) - 2; i >= 0; i-- {
		last = exmdb.AttachmentEdit{Number: way[i], Embedded: &exmdb.MessageEdit{Attachments: []exmdb.AttachmentEdit{last}}}
	}
	return exmdb.MessageEdit{Attachments: []exmdb.AttachmentEdit{last}}
}

// readValue is OpReadValue.
func readValue(v *view, req *exmdb.ReadValueRequest) (*exmdb.ReadValueResponse, error) {
	bag, cn, err := v.propsOf(&req.Object, []mapi.Tag{req.Tag})
	if err != nil {
		return nil, err
	}
	if err := unmoved(req.Base, cn); err != nil {
		return nil, err
	}
	if bag.Len() == 0 {
		return nil, cluster.Errorf(exmdb.KindNoProperty, "no property %v", req.Tag)
	}
	p := bag.All()[0]
	resp := &exmdb.ReadValueResponse{Tag: p.Tag}
	length := min(uint64(req.Length), exmdb.MaxReadBytes)
	if ref, is := p.Value.(mapi.Reference); is {
		resp.Size = ref.Size()
		resp.Data, err = content.ReadReference(v.r, ref, req.Offset, length)
		return resp, err
	}
	stored := mapi.AppendValue(nil, p.Value)
	resp.Size = uint64(len(stored))
	from := min(req.Offset, resp.Size)
	resp.Data = stored[from:min(from+length, resp.Size)]
	return resp, nil
}

// readMessage is OpReadMessage.
func readMessage(v *view, req *exmdb.ReadMessageRequest) (*exmdb.ReadMessageResponse, error) {
	if err := checkID(&req.Object); err != nil {
		return nil, err
	}
	if len(req.Object.Attachments) > 0 && !req.Object.Embedded {
		return nil, cluster.Errorf(cluster.KindBadRequest, "an attachment is no message")
	}
	fid, m, err := v.locate(&req.Object)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ReadMessageResponse{Sequence: v.r.Sequence()}
	if resp.State, err = v.state(fid, m); err != nil {
		return nil, err
	}
	if len(req.Object.Attachments) > 0 {
		err = v.readEmbedded(m, req, &resp.Content)
	} else {
		err = v.readWhole(fid, m, req, &resp.Content)
	}
	if err == nil && req.Names {
		resp.Names, err = v.namesIn(resp.Content.Bags()...)
	}
	return resp, err
}

func (v *view) readWhole(fid mapi.FID, m *message, req *exmdb.ReadMessageRequest, out *exmdb.MessageContent) error {
	bag, err := v.show(fid, m).some(nil)
	if err != nil {
		return err
	}
	out.Props = *bag
	if out.Recipients, err = v.recipients(&m.row); err != nil {
		return err
	}
	attachments, err := v.attachments(&m.row)
	out.Attachments = describeAttachments(attachments, req.Nested)
	return err
}

func (v *view) readEmbedded(m *message, req *exmdb.ReadMessageRequest, out *exmdb.MessageContent) error {
	a, err := v.descend(m.row.Object, req.Object.Attachments)
	if err != nil {
		return err
	}
	if a.Embedded == nil {
		return cluster.Errorf(exmdb.KindNoMessage, "no message in the attachment")
	}
	*out = *describeEmbedded(a, req.Nested)
	return nil
}

func describeEmbedded(a *schema.Attachment, deep bool) *exmdb.MessageContent {
	return &exmdb.MessageContent{Props: *embeddedTable.all(a, a.Embedded), Recipients: a.Recipients,
		Attachments: describeAttachments(a.Nested, deep)}
}

// describeAttachments is attachments as they are read; deep, with the messages inside.
func describeAttachments(list []schema.Attachment, deep bool) []exmdb.Attachment {
	out := make([]exmdb.Attachment, len(list))
	for i := range list {
		a := &list[i]
		out[i] = exmdb.Attachment{Number: a.Number, Props: *attachmentTable.all(a, &a.Bag), IsMessage: a.Embedded != nil}
		if deep && a.Embedded != nil {
			out[i].Embedded = describeEmbedded(a, deep)
		}
	}
	return out
}
