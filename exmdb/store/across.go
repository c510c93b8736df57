package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// A message that goes into another mailbox goes by an intent: it is copied there, under the intent's number, and then deleted
// here (CLUSTER 2.1). The message stays what it is and where it is until then. Whoever deletes it in between, or puts it
// elsewhere, has changed his mind; whoever edits it between the copy and the deletion keeps it.

// maxCrossing bounds the messages that one step sends on their way: each has its own intent, with who wants it.
const maxCrossing = 100

// carryAcross is OpCarryAcross.
func carryAcross(t *tx, req *exmdb.CarryAcrossRequest) (*exmdb.CarryAcrossResponse, error) {
	if req.Mailbox == t.mailbox() || req.Mailbox == (mapi.MailboxID{}) {
		return nil, cluster.Errorf(cluster.KindBadRequest, "messages are not carried from mailbox %v into itself", req.Mailbox)
	}
	grants := []grant{toRead}
	if !req.Copy {
		grants = append(grants, toDelete)
	}
	s, err := t.newSet(req.Folder, req.Messages, grants...)
	if err != nil {
		return nil, err
	}
	s.limit = maxCrossing
	resp := &exmdb.CarryAcrossResponse{}
	err = s.each(req.Messages, func(m *message) error {
		if waits, err := t.submitted(&m.row); err != nil || waits != nil {
			return orElse(err, cluster.Errorf(exmdb.KindSubmitted, "message %#x waits to be sent", uint64(m.row.MID)))
		}
		resp.Taken++
		t.w.Intend(space.Intent{Target: exmdb.TargetMailbox + req.Mailbox.String(), Op: exmdb.IntentAcross, Payload: wire.Marshal(&exmdb.Crossing{
			Folder: req.Folder, Message: m.row.MID, Mailbox: req.Mailbox, Target: req.Target, Copy: req.Copy, As: *t.as})})
		return nil
	})
	resp.Missing, resp.Next, resp.Denied = s.missing, s.next, s.passedOver
	return resp, err
}

// onItsWay finds a message that is to go, nil where it is not there any more.
func (v *view) onItsWay(c *exmdb.Crossing) (*message, error) {
	fid, m, err := v.find(c.Message)
	if cluster.KindOf(err) == exmdb.KindNoMessage && err != nil || err == nil && fid != c.Folder {
		return nil, nil
	}
	return m, err
}

// crossing is OpCrossing.
func crossing(v *view, req *exmdb.Crossing) (*exmdb.CrossingResponse, error) {
	m, err := v.onItsWay(req)
	if err != nil || m == nil {
		return &exmdb.CrossingResponse{Gone: m == nil}, err
	}
	v.as = &req.As // what is read is what he has read
	own, err := v.reader(req.Folder)
	if err != nil {
		return nil, err
	}
	row := &m.row
	resp := &exmdb.CrossingResponse{CN: row.CN, Message: exmdb.CarriedMessage{Marks: uint32(row.Bits & carriedMarks),
		Verb: row.Verb, Icon: row.Icon, Received: row.Received.Time(), HasRecipients: row.Bits&schema.RowRecipients != 0}}
	out := &resp.Message
	out.Flags.Bits = own.flags(row)
	if out.Flags.Keywords, err = v.keywordNames(row.Keywords); err != nil {
		return nil, err
	}
	if err := v.carriedBodies(row, out); err != nil {
		return nil, err
	}
	if err := v.carriedContent(row, &out.Content); err != nil {
		return nil, err
	}
	if out.Content.Props.Get(mapi.PidTagSearchKey) == nil { // copies have the same (MS-OXCPRPT 2.2.1.9), and it is made of where it is
		out.Content.Props.Set(mapi.PidTagSearchKey, v.show(req.Folder, m).searchKey())
	}
	out.Names, err = v.namesIn(out.Content.Bags()...)
	return resp, err
}

// carriedMarks are the marks of a row that say what the message is; others say where it is, or follow from what it has.
const carriedMarks = schema.RowFlagComplete | schema.RowBorn | schema.RowAssociated | schema.RowUnrendered | schema.RowRendered | schema.RowReheaded |
	schema.RowInConflict | schema.RowConverted

// carriedBodies reads the MIME forms of a message.
func (v *view) carriedBodies(row *schema.Row, out *exmdb.CarriedMessage) (err error) {
	if row.Bits&(schema.RowUnrendered|schema.RowAssociated) == 0 {
		if out.Body, err = v.storedBody(row.BodyNumber()); err != nil {
			return err
		}
	}
	if row.Original != 0 {
		out.Original, err = v.storedBody(row.Original)
	}
	return err
}

func (v *view) storedBody(body mapi.ObjectNumber) (*exmdb.NewMessage, error) {
	recipe, err := v.recipe(body)
	if err != nil {
		return nil, err
	}
	digest, err := v.r.Get(schema.DigestKey(body))
	return &exmdb.NewMessage{Recipe: *recipe, Digest: digest}, err
}

// carriedContent reads what is stored of a message's properties, recipients and attachments.
func (v *view) carriedContent(row *schema.Row, out *exmdb.MessageContent) error {
	bag, err := v.bag(row)
	if err != nil {
		return err
	}
	list, err := v.storedRecipients(row)
	if err != nil {
		return err
	}
	attachments, err := v.attachments(row)
	out.Props, out.Recipients, out.Attachments = *bag, list.Bags, bare(attachments)
	return err
}

// bare are attachments as they are stored, without what is computed of them.
func bare(list []schema.Attachment) []exmdb.Attachment {
	out := make([]exmdb.Attachment, len(list))
	for i := range list {
		a := &list[i]
		out[i] = exmdb.Attachment{Number: a.Number, Props: a.Bag, IsMessage: a.Embedded != nil}
		if a.Embedded != nil {
			out[i].Embedded = &exmdb.MessageContent{Props: *a.Embedded, Recipients: a.Recipients, Attachments: bare(a.Nested)}
		}
	}
	return out
}

// readCrossing is OpReadCrossing.
func readCrossing(v *view, req *exmdb.ReadCrossingRequest) (*exmdb.ReadBytesResponse, error) {
	held, err := v.r.Get(schema.ContentKey(req.Hash))
	if err != nil || held == nil {
		return nil, orElse(err, cluster.Errorf(exmdb.KindNoMessage, "nothing here has content %x", req.Hash[:8]))
	}
	data, err := v.r.Content(req.Hash)
	return &exmdb.ReadBytesResponse{Data: data}, err
}

// finishCrossing is OpFinishCrossing. Said again, it says nothing new.
func finishCrossing(t *tx, req *exmdb.FinishCrossingRequest) (*exmdb.FinishCrossingResponse, error) {
	m, err := t.onItsWay(&req.Crossing)
	if err != nil || m == nil {
		return &exmdb.FinishCrossingResponse{}, err
	}
	if m.row.CN != req.CN {
		return &exmdb.FinishCrossingResponse{Stays: true}, nil
	}
	c, err := t.edit(req.Crossing.Folder)
	if err != nil {
		return nil, err
	}
	var gone schema.Tombstone
	bury(&gone, m)
	if err := t.discard(req.Crossing.Folder, c, m, true); err != nil {
		return nil, err
	}
	_, err = t.tombstone(req.Crossing.Folder, c, gone)
	return &exmdb.FinishCrossingResponse{}, err
}
