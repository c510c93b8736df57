package store

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// A submitted message is sent by an intent, like all that a mailbox sends. One that is to wait has a record with a work at a
// time; the effect of that work is the record's end and the intent's beginning, so whoever owns the mailbox then, it goes
// once. The record hangs on the object: a message may be moved while it waits. Deleted, it does not go.

// DueSend is the work at a time that sends a message. Its key is the object. The number is on disk.
const DueSend uint16 = 6

// maxDeferral bounds PidTagDeferredSendNumber (MS-OXOMSG 2.2.3.2).
const maxDeferral = 999

// deferralUnits are the units of PidTagDeferredSendUnits (MS-OXOMSG 2.2.3.3).
var deferralUnits = [...]time.Duration{time.Minute, time.Hour, dayLength, 7 * dayLength}

// sendTime is when a message that is submitted now is sent: the later of both times that a client can set, never before now.
func sendTime(bag *mapi.PropBag, now time.Time) time.Time {
	at := now
	later := func(v mapi.Value) {
		if t, ok := v.(mapi.FileTime); ok && t.Time().After(at) {
			at = t.Time()
		}
	}
	later(bag.Get(mapi.PidTagDeferredDeliveryTime))
	units, hasUnits := bag.Get(mapi.PidTagDeferredSendUnits).(mapi.Integer32)
	number, hasNumber := bag.Get(mapi.PidTagDeferredSendNumber).(mapi.Integer32)
	if !hasUnits || !hasNumber || units < 0 || int(units) >= len(deferralUnits) || number < 0 || number > maxDeferral {
		later(bag.Get(mapi.PidTagDeferredSendTime))
		return at
	}
	later(mapi.FileTimeOf(now.Add(time.Duration(number) * deferralUnits[units])))
	return at
}

// submitMessage is OpSubmitMessage.
func submitMessage(t *tx, req *exmdb.SubmitRequest) (*exmdb.SubmitResponse, error) {
	d, err := t.reopen(req.Message, &exmdb.Payload{})
	if err != nil {
		return nil, err
	}
	if err := t.sendable(&d.before.row); err != nil {
		return nil, err
	}
	if err := t.maySend(req); err != nil {
		return nil, err
	}
	bag, err := t.bag(&d.before.row)
	if err != nil {
		return nil, err
	}
	leaves, err := t.mayPutAway(d.fid, &d.before, bag)
	if err != nil {
		return nil, err
	}
	set, at := t.stampSubmit(bag, req.Own[0])
	if err := d.apply(&exmdb.MessageEdit{Set: set}); err != nil {
		return nil, err
	}
	d.after.row.Bits |= schema.RowSubmitted
	if err := d.commit(); err != nil {
		return nil, err
	}
	object := d.after.row.Object
	t.set(schema.SubmittedKey(object), &schema.Submitted{At: at, Own: req.Own, Name: req.Name, Stays: !leaves})
	if at.After(t.now) {
		t.w.Schedule(sendDue(object, at))
		return &exmdb.SubmitResponse{At: at, Waits: true}, nil
	}
	return &exmdb.SubmitResponse{At: at}, t.sendObject(object)
}

// maySend refuses who may not send under the mailbox's address, and a mailbox that is too full to send.
func (t *tx) maySend(req *exmdb.SubmitRequest) error {
	may, err := sendRights(&t.view, nil)
	switch {
	case err != nil:
		return err
	case !may.As && !may.OnBehalf:
		return t.denied()
	case may.Full:
		return cluster.Errorf(exmdb.KindOverQuota, "the mailbox holds %d bytes and sends below %d", may.Used, may.Limit)
	case len(req.Own) == 0 || req.Own[0] == "":
		return cluster.Errorf(cluster.KindBadRequest, "nobody's message is sent")
	}
	return nil
}

func sendDue(o mapi.ObjectNumber, at time.Time) space.Due {
	return space.Due{At: at, Op: DueSend, Key: binary.BigEndian.AppendUint64(nil, uint64(o))}
}

// sendable refuses what cannot be sent.
func (t *tx) sendable(row *schema.Row) error {
	switch {
	case row.Bits&schema.RowAssociated != 0:
		return cluster.Errorf(cluster.KindBadRequest, "associated messages are not sent")
	case row.Bits&schema.RowUnrendered != 0:
		return cluster.Errorf(exmdb.KindTooBig, "the message has no form in which it could be sent")
	}
	to, err := t.sendsTo(row)
	if err == nil && len(to) == 0 {
		err = cluster.Errorf(cluster.KindBadRequest, "the message has no recipients")
	}
	return err
}

// sendsTo are the recipients of a message.
func (v *view) sendsTo(row *schema.Row) (to []exmdb.OutgoingRecipient, err error) {
	list, err := v.recipients(row)
	for i := range list {
		r := exmdb.OutgoingRecipient{Name: oxcmsg.NameOf(&list[i])}
		if r.Address, r.DN = oxcmsg.ReachOf(&list[i]); r.Address != "" || r.DN != "" {
			to = append(to, r)
		}
	}
	return to, err
}

// stampSubmit is what a message gets when it is submitted, and when it is sent.
func (t *tx) stampSubmit(bag *mapi.PropBag, from string) (set mapi.PropBag, at time.Time) {
	at = sendTime(bag, t.now)
	set.Set(mapi.PidTagClientSubmitTime, mapi.FileTimeOf(t.now))
	if bag.Get(mapi.PidTagDeferredSendNumber) != nil && at.After(t.now) {
		set.Set(mapi.PidTagDeferredSendTime, mapi.FileTimeOf(at))
	}
	if bag.Get(mapi.PidTagInternetMessageId) == nil {
		_, domain, _ := strings.Cut(from, "@")
		set.Set(mapi.PidTagInternetMessageId, mapi.String(fmt.Sprintf("<%s@%s>", mapi.NewGUID(), domain)))
	}
	return set, at
}

// submitted reads what a message waits with, nil where it does not.
func (v *view) submitted(row *schema.Row) (*schema.Submitted, error) {
	if row.Bits&schema.RowSubmitted == 0 {
		return nil, nil
	}
	s := new(schema.Submitted)
	found, err := load(v.r, schema.SubmittedKey(row.Object), s)
	if err != nil || !found {
		return nil, err
	}
	return s, nil
}

// abortSubmit is OpAbortSubmit.
func abortSubmit(t *tx, req *exmdb.AbortSubmitRequest) (*exmdb.Empty, error) {
	_, m, err := t.find(req.Message)
	if err != nil {
		return nil, err
	}
	s, err := t.submitted(&m.row)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, cluster.Errorf(exmdb.KindNotWaiting, "message %#x does not wait to be sent", uint64(req.Message))
	}
	t.w.Unschedule(sendDue(m.row.Object, s.At))
	t.w.Delete(schema.SubmittedKey(m.row.Object))
	_, err = t.settle(req.Message, 0)
	return &exmdb.Empty{}, err
}

// settle takes the mark from a message that waits no more, and flags with it.
func (t *tx) settle(mid mapi.MID, flags exmdb.FlagBits) (*draft, error) {
	d, err := t.reopen(mid, &exmdb.Payload{})
	if err != nil {
		return nil, err
	}
	d.after.row.Bits &^= schema.RowSubmitted | schema.RowBits(flags)
	return d, d.commit()
}

// dueSend is DueSend. A work that is left of a time which was given up finds another time, or nothing.
func (t *tx) dueSend(key []byte) error {
	if len(key) != 8 {
		return cluster.Errorf(cluster.KindInternal, "object of %d bytes is to be sent", len(key))
	}
	object := mapi.ObjectNumber(binary.BigEndian.Uint64(key))
	var s schema.Submitted
	found, err := load(t.r, schema.SubmittedKey(object), &s)
	if err != nil || !found || s.At.After(t.now) {
		return err
	}
	return t.sendObject(object)
}

// sendObject sends a message that waits, if it is where it can be sent from: what was deleted meanwhile is not.
func (t *tx) sendObject(object mapi.ObjectNumber) error {
	var s schema.Submitted
	if _, err := load(t.r, schema.SubmittedKey(object), &s); err != nil {
		return err
	}
	t.w.Delete(schema.SubmittedKey(object))
	counter, err := t.r.Get(schema.ObjectKey(object))
	if err != nil || counter == nil {
		return err
	}
	c, err := schema.ParseCounter(counter)
	if err != nil {
		return err
	}
	mid := mapi.NewMID(mapi.LocalReplica, c)
	fid, m, err := t.find(mid)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoMessage {
			err = nil
		}
		return err
	}
	if fid == schema.DeletedItems {
		_, err := t.settle(mid, 0)
		return err
	}
	if err := t.sendOut(&m.row, &s); err != nil {
		return err
	}
	if _, err := t.settle(mid, exmdb.FlagDraft); err != nil {
		return err
	}
	return t.putAway(mid, s.Stays)
}

// sendOut writes the message into the outbox, with a share in its form.
func (t *tx) sendOut(row *schema.Row, s *schema.Submitted) error {
	to, err := t.sendsTo(row)
	if err != nil {
		return err
	}
	if err := t.holdBody(row.BodyNumber()); err != nil {
		return err
	}
	t.intend(&exmdb.Outgoing{Kind: exmdb.OutgoingSubmitted, Sender: s.Own[0], Received: t.now, Own: s.Own, Name: s.Name, Internal: true, To: to},
		row.BodyNumber(), row.Bits&schema.RowContent != 0)
	return nil
}

// putAway does with a sent message what its properties say (MS-OXOMSG 3.2.5.1): it is deleted, or goes to the folder of what
// was sent, unless it is one that stays where it is.
func (t *tx) putAway(mid mapi.MID, stays bool) error {
	fid, m, err := t.find(mid)
	if err != nil || stays {
		return err
	}
	bag, err := t.bag(&m.row)
	if err != nil {
		return err
	}
	source, err := t.edit(fid)
	if err != nil {
		return err
	}
	var gone schema.Tombstone
	if dropsSent(bag) {
		bury(&gone, m)
		if err := t.discard(fid, source, m, true); err != nil {
			return err
		}
		_, err := t.tombstone(fid, source, gone)
		return err
	}
	target, err := t.sentFolder(bag)
	if err != nil || target == 0 || target == fid {
		return err
	}
	carried := carriage{from: fid, to: target}
	if err := t.carry(&carried, &gone, m); err != nil {
		return err
	}
	return t.moved(source, gone, &carried)
}

// dropsSent reports whether a message is deleted once it is sent (MS-OXOMSG 2.2.3.8).
func dropsSent(bag *mapi.PropBag) bool {
	drop, _ := bag.Get(mapi.PidTagDeleteAfterSubmit).(mapi.Boolean)
	return bool(drop)
}

// mayPutAway reports whether the caller may have a message deleted, or put into the folder that it names for itself: either way it
// leaves where it is, which needs what a deletion needs (MS-OXCPERM 2.2.7), and the folder is to let him create (MS-OXOMSG
// 2.2.3.10). It is asked when the message is submitted: when it is sent, nobody is there to be asked. Who may not sends it all the
// same, and it stays.
func (t *tx) mayPutAway(fid mapi.FID, m *message, bag *mapi.PropBag) (bool, error) {
	may, err := t.mayOn(fid, m, toDelete)
	if err != nil || !may || dropsSent(bag) {
		return may, err
	}
	target, err := t.sentFolder(bag)
	if err != nil || target == 0 {
		return t.whole, err
	}
	return t.mayOn(target, m, toCreate)
}

// sentFolder is the folder that a message names for itself once it is sent, by server id or, from clients with stores of their
// own, by entry id. It is zero where neither names one that is there and holds messages.
func (t *tx) sentFolder(bag *mapi.PropBag) (mapi.FID, error) {
	fid := mapi.FID(0)
	if v, is := bag.Get(mapi.PidTagSentMailSvrEID).(mapi.Opaque); is {
		if id, err := oxcdata.ServerIDOf(v); err == nil && id.Ours {
			fid = id.FID
		}
	} else if v, is := bag.Get(mapi.PidTagSentMailEntryId).(mapi.Binary); is {
		var err error
		if fid, err = t.folderNamed(v); err != nil {
			return 0, err
		}
	}
	if fid == 0 {
		return 0, nil
	}
	return t.holdsMessages(fid)
}
