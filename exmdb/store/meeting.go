package store

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// A mail about a meeting has the calendar follow in the effect that delivers it (MS-OXOCAL 3.1.4.7, 3.1.4.8, 3.1.5): so it
// follows once, whoever owns the mailbox by then. What is made of appointment and message is convert/oxcical's; here is which
// appointment it is, who may change it, and whether a room is free.

// bookingWindow is how far ahead a room can be booked; a series has to end within it, as in Exchange.
const bookingWindow = 180 * dayLength

// meetingWork is what becomes of the calendar by a mail.
type meetingWork struct {
	// mid is the appointment that there is, zero for a new one; next is what it becomes, nil where it stays.
	mid  mapi.MID
	next *object.Message
	// decision is what the organizer is told, zero for nothing.
	decision  exmdb.MeetingDecision
	organizer exmdb.OutgoingRecipient
}

// appointment is one of the calendar.
type appointment struct {
	message
	*object.Message
}

// meeting decides what becomes of the calendar, nil for nothing. It writes nothing.
func (in *incoming) meeting() (*meetingWork, error) {
	c := in.req.Message.Converted
	switch {
	case in.req.About.Meetings == exmdb.MeetingsLeft, c == nil, c != nil && c.Meeting == nil, in.req.About.Delegator != nil,
		len(in.plan.Places) == 0 || in.plan.Places[0] == schema.Junk, !schema.Fixed(schema.Calendar).In(in.view.header.Kind),
		in.counters.NamedProp >= maxMailNames:
		return nil, nil
	}
	came, err := object.Loader{Name: nameIn(c.Names)}.Message(c.Meeting)
	if err != nil || oxcical.MeetingID(came) == nil {
		return nil, err
	}
	there, err := in.appointmentOf(came)
	if err != nil {
		return nil, err
	}
	switch oxcical.Method(came) {
	case oxcical.MethodRequest:
		return in.requested(there, came)
	case oxcical.MethodCancel:
		if there == nil || !ofSameOrganizer(there.Message, came) || !in.ofOrganizer(there.Message, came) {
			return nil, nil
		}
		return changed(there, oxcical.Cancel(there.Message, came)), nil
	}
	_, attendee := oxcical.Organizer(came)
	if there == nil || !oxcical.Organized(there.Message) || !in.writtenBy(attendee, author) {
		return nil, nil
	}
	return changed(there, oxcical.Track(there.Message, came)), nil
}

// inZone is the delivery of a mail whose calendar has times without zone, as they are on the clock of the mailbox's owner. The mail
// was converted before anybody knew who gets it, and may have been for many; where that cannot be done again, it is as it came.
func inZone(req *exmdb.DeliverRequest) *exmdb.DeliverRequest {
	c := req.Message.Converted
	if c == nil || c.Meeting == nil || len(c.Floating) == 0 || req.About.Zone == "" {
		return req
	}
	cal, err := oxcical.Parse(c.Floating)
	var props mapi.PropBag
	if err != nil || props.UnmarshalWire(req.Message.Props) != nil {
		return req
	}
	names := oxcmsg.Names{Max: maxMailNames}
	for i, name := range c.Names {
		if id, ok := names.ID(name); !ok || int(id) != oxcmsg.FirstNamed+i {
			return req
		}
	}
	meeting := oxcical.Importer{Zone: req.About.Zone}.AboutAgain(cal, c.Meeting, &props, &names)
	if meeting == nil {
		return req
	}
	next, there := *req, *c
	there.Meeting, there.Names = meeting, names.List()
	next.Message.Props, next.Message.Converted = props.AppendWire(nil), &there
	return &next
}

// nameIn looks names up in the list of a request.
func nameIn(list []mapi.PropertyName) func(id uint16) (mapi.PropertyName, bool) {
	return func(id uint16) (mapi.PropertyName, bool) {
		i := int(id) - schema.FirstNamedProp
		if i < 0 || i >= len(list) {
			return mapi.PropertyName{}, false
		}
		return list[i], true
	}
}

// changed is work on an appointment that there is; nil where it stays.
func changed(there *appointment, next *object.Message) *meetingWork {
	if next == nil {
		return nil
	}
	return &meetingWork{mid: there.row.MID, next: next}
}

// ofSameOrganizer reports whether an appointment is an attendee's of the meeting that a message is about: nobody else moves or
// cancels it, and what the organizer himself has entered is not changed by mail.
func ofSameOrganizer(there, came *object.Message) bool {
	_, was := oxcical.Organizer(there)
	_, is := oxcical.Organizer(came)
	return !oxcical.Organized(there) && strings.EqualFold(was, is)
}

// ofOrganizer reports whether a mail that speaks for the organizer says that it is from him, or from whom he has named to write for
// him (RFC 5546 6.1.1, RFC 6047 2.2.1). Who that is, an appointment says that he has made before; a mail that names somebody else
// speaks for itself only where there is none to be changed.
func (in *incoming) ofOrganizer(named, came *object.Message) bool {
	_, organizer := oxcical.Organizer(came)
	return in.writtenBy(organizer, author, sender) || in.writtenBy(oxcical.SentBy(named), author, sender)
}

// writtenBy reports whether the mail says that one of those who made it is somebody.
func (in *incoming) writtenBy(address string, as ...personTags) bool {
	return address != "" && slices.ContainsFunc(as, func(who personTags) bool { return strings.EqualFold(textOf(in.bag, who[0]), address) })
}

// requested is what becomes of a request.
func (in *incoming) requested(there *appointment, came *object.Message) (*meetingWork, error) {
	name, organizer := oxcical.Organizer(came)
	for _, own := range in.req.About.Own {
		if strings.EqualFold(own, organizer) {
			return nil, nil
		}
	}
	w := &meetingWork{next: oxcical.Appointment(came), organizer: exmdb.OutgoingRecipient{Name: name, Address: organizer}}
	named := came
	if there != nil {
		if !ofSameOrganizer(there.Message, came) {
			return nil, nil
		}
		named = there.Message
		w.mid, w.next = there.row.MID, oxcical.Revise(there.Message, came)
	}
	if w.next == nil || !in.ofOrganizer(named, came) {
		return nil, nil
	}
	if in.req.About.Meetings == exmdb.MeetingsDecided {
		return in.decide(w, there, came)
	}
	return w, nil
}

// decide answers a request for a room. People of ours are answered, in meetings of their own; what others want is mail.
func (in *incoming) decide(w *meetingWork, there *appointment, came *object.Message) (*meetingWork, error) {
	if !in.req.About.Internal || in.req.Sender == "" || !in.writtenBy(w.organizer.Address, author, sender) {
		return nil, nil
	}
	var err error
	if w.decision, err = in.free(w.mid, oxcical.Appointment(came)); err != nil {
		return nil, err
	}
	one := came.LidBool(mapi.PidLidIsException) && there != nil && there.LidBool(mapi.PidLidRecurring)
	switch {
	case w.decision == exmdb.MeetingAccepted && !one:
		oxcical.Respond(w.next, oxcical.Accepted, in.req.About.Name, in.now)
	case w.decision == exmdb.MeetingAccepted:
	case there == nil:
		w.next = nil
	case one: // where it was nobody comes any more
		w.next = oxcical.Cancel(there.Message, came)
	default:
		oxcical.Respond(w.next, oxcical.Declined, in.req.About.Name, in.now)
	}
	return w, nil
}

// free says whether the time of a meeting can be had, beside all appointments but one.
func (in *incoming) free(except mapi.MID, a *object.Message) (exmdb.MeetingDecision, error) {
	last := in.now.Add(bookingWindow)
	spans, ends, ok := oxcical.Occurrences(a, in.now, last)
	switch {
	case !ok:
		return exmdb.MeetingUnclear, nil
	case !ends.IsZero() && !ends.After(in.now):
		return exmdb.MeetingPast, nil
	case ends.IsZero() || ends.After(last):
		return exmdb.MeetingTooFar, nil
	case len(spans) == 0:
		return exmdb.MeetingAccepted, nil
	}
	conflict := false
	err := in.eachAppointment(nil, func(m *message, bag *mapi.PropBag) (bool, error) {
		if m.row.MID == except {
			return true, nil
		}
		other, err := in.timesIn(bag)
		conflict = err == nil && oxcical.Taken(other) && meets(spans, other)
		return !conflict, err
	})
	if conflict {
		return exmdb.MeetingConflict, err
	}
	return exmdb.MeetingAccepted, err
}

// ofTime are the properties that say when an appointment takes time.
var ofTime = []mapi.NamedProperty{mapi.PidLidBusyStatus, mapi.PidLidAppointmentStateFlags, mapi.PidLidRecurring, mapi.PidLidAppointmentStartWhole,
	mapi.PidLidAppointmentEndWhole, mapi.PidLidAppointmentRecur, mapi.PidLidTimeZoneDescription, mapi.PidLidTimeZoneStruct,
	mapi.PidLidAppointmentTimeZoneDefinitionStartDisplay, mapi.PidLidAppointmentTimeZoneDefinitionRecur}

// timesIn is an appointment with nothing but when it takes time.
func (v *view) timesIn(bag *mapi.PropBag) (*object.Message, error) {
	m := &object.Message{}
	for _, n := range ofTime {
		value, err := v.named(bag, n)
		if err != nil {
			return nil, err
		}
		if value != nil {
			m.SetLid(n, value)
		}
	}
	return m, nil
}

// meets reports whether an appointment meets any of some times. Of one that recurs as nobody can tell, nothing is known.
func meets(spans []oxcical.Span, other *object.Message) bool {
	var until time.Time
	for _, s := range spans {
		if s.End.After(until) {
			until = s.End
		}
	}
	list, _, ok := oxcical.Occurrences(other, spans[0].Start, until)
	return ok && oxcical.Overlap(spans, list)
}

// eachAppointment walks over the calendar, past those in whose bags some octets do not stand. The walk takes as long as the
// calendar is; mail about meetings is little of all mail, and no delivery of any other pays for an index.
func (v *view) eachAppointment(with []byte, fn func(m *message, bag *mapi.PropBag) (more bool, err error)) error {
	walk := v.walkBags()
	err := v.scan(schema.Calendar, nil, func(uid mapi.UID, stored []byte) (bool, error) {
		m := message{uid: uid}
		if err := m.row.UnmarshalWire(stored); err != nil {
			return false, err
		}
		b := walk.stored(m.row.Object)
		if b == nil || !bytes.Contains(b, with) {
			return true, nil
		}
		bag := new(mapi.PropBag)
		if err := schema.Decode(b, bag); err != nil {
			return false, err
		}
		return fn(&m, bag)
	})
	return errors.Join(err, walk.close())
}

// instanceEnd is where in a global object id the part begins that all occurrences have (MS-OXOCAL 2.2.1.27).
const instanceEnd = 20

// appointmentOf is the appointment that a message is about: of its very id, else, where it is about an occurrence, the series;
// nil where there is none.
func (v *view) appointmentOf(came *object.Message) (*appointment, error) {
	clean, exact := oxcical.MeetingID(came), came.LidBinary(mapi.PidLidGlobalObjectId)
	one := came.LidBool(mapi.PidLidIsException)
	var found *message
	err := v.eachAppointment(clean[min(instanceEnd, len(clean)):], func(m *message, bag *mapi.PropBag) (bool, error) {
		id, err := v.meetingIn(bag)
		if err != nil || !bytes.Equal(id, clean) {
			return err == nil, err
		}
		own, err := v.named(bag, mapi.PidLidGlobalObjectId)
		if err != nil {
			return false, err
		}
		whole, _ := own.(mapi.Binary)
		if bytes.Equal(whole, exact) {
			found = m
			return false, nil
		}
		if one && bytes.Equal(whole, clean) {
			found = m
		}
		return true, nil
	})
	if err != nil || found == nil {
		return nil, err
	}
	return v.appointment(found)
}

// meetingIn is the clean global object id in a bag, nil where there is none.
func (v *view) meetingIn(bag *mapi.PropBag) ([]byte, error) {
	id, err := v.named(bag, mapi.PidLidCleanGlobalObjectId)
	if b, is := id.(mapi.Binary); err != nil || is {
		return b, err
	}
	id, err = v.named(bag, mapi.PidLidGlobalObjectId)
	b, is := id.(mapi.Binary)
	if err != nil || !is {
		return nil, err
	}
	whole, err := binprop.ParseGlobalObjectID(b)
	if err != nil {
		return nil, nil // no id that anything is of
	}
	return whole.Clean().Append(nil)
}

// appointment reads one of the calendar, with what is inside.
func (v *view) appointment(m *message) (*appointment, error) {
	c := &exmdb.MessageContent{}
	if err := v.carriedContent(&m.row, c); err != nil {
		return nil, err
	}
	whole, err := v.objectOf(c)
	return &appointment{*m, whole}, err
}

// objectOf is what is stored of a message without the mailbox's names. Long values stay where they are.
func (v *view) objectOf(c *exmdb.MessageContent) (*object.Message, error) {
	var failed error
	m, err := object.Loader{Name: func(id uint16) (mapi.PropertyName, bool) {
		name, err := v.propertyName(id)
		failed = errors.Join(failed, err)
		return name, err == nil && name.Kind != mapi.NameNone
	}}.Message(c)
	return m, errors.Join(err, failed)
}

// enterMeeting has the calendar be what was decided, and the organizer told. There is always room: the mail itself had it.
func (in *incoming) enterMeeting(w *meetingWork) error {
	if w == nil {
		return nil
	}
	if w.next != nil {
		if err := in.beyond(func() error { return in.fileAppointment(w) }); err != nil {
			return err
		}
	}
	if w.decision == 0 {
		return nil
	}
	return in.send(&exmdb.Outgoing{Kind: exmdb.OutgoingMeeting, Decision: w.decision, To: []exmdb.OutgoingRecipient{w.organizer}})
}

// fileAppointment writes an appointment in the place of the one there was, or a new one.
func (t *tx) fileAppointment(w *meetingWork) error {
	var names oxcmsg.Names
	c := w.next.Content(&names)
	edit := contentEdit(&c)
	p := &exmdb.Payload{Names: names.List()}
	if w.mid != 0 {
		d, err := t.reopen(w.mid, p)
		if err == nil {
			err = d.apply(&edit)
		}
		if err != nil {
			return err
		}
		return d.commit()
	}
	d, err := t.newDraft(schema.Calendar, p)
	if err != nil {
		return err
	}
	d.begin(0)
	d.after.row.Bits &^= schema.RowBits(exmdb.FlagDraft)
	if err := d.apply(&edit); err != nil {
		return err
	}
	return d.arrive()
}

// contentEdit is the edit that makes a message what c is.
func contentEdit(c *exmdb.MessageContent) exmdb.MessageEdit {
	edit := exmdb.MessageEdit{Clear: true, Set: c.Props, ReplaceRecipients: true, Recipients: c.Recipients}
	for i := range c.Attachments {
		a := exmdb.AttachmentEdit{Number: uint32(i), Set: c.Attachments[i].Props}
		if e := c.Attachments[i].Embedded; e != nil {
			inner := contentEdit(e)
			a.Embedded = &inner
		}
		edit.Attachments = append(edit.Attachments, a)
	}
	return edit
}
