package oxcical

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// The methods of messages about meetings, as Method says them.
const (
	MethodRequest = "REQUEST"
	MethodReply   = "REPLY"
	MethodCancel  = "CANCEL"
	MethodCounter = "COUNTER"
)

// Method is what a message says about a meeting, "" for one that says nothing.
func Method(m *object.Message) string { return methodOf(m) }

// MeetingID is the clean global object id of an appointment or of a message about one, nil where it has none.
func MeetingID(m *object.Message) []byte {
	if id := m.LidBinary(mapi.PidLidCleanGlobalObjectId); id != nil {
		return id
	}
	return m.LidBinary(mapi.PidLidGlobalObjectId)
}

// Organizer is whom a meeting is of; in an answer it is who answers.
func Organizer(m *object.Message) (name, address string) {
	who, _ := representing.get(m)
	return who.name, who.address
}

// SentBy is the address of whom the organizer has named to write for him, his own where he has named nobody.
func SentBy(m *object.Message) string {
	who, _ := sender.get(m)
	return who.address
}

// Organized reports whether an appointment is the organizer's own: what others send does not change when it is.
func Organized(a *object.Message) bool {
	flags, _ := a.LidInt(mapi.PidLidAppointmentStateFlags)
	status, _ := a.LidInt(mapi.PidLidResponseStatus)
	return response(status) == respOrganized || flags&(stateMeeting|stateReceived) == stateMeeting
}

// Answer is PidLidResponseStatus of an attendee.
type Answer = response

// The answers of attendees.
const (
	Tentative = respTentative
	Accepted  = respAccepted
	Declined  = respDeclined
)

// Appointment is what a request enters into an attendee's calendar: the time is tentatively his until he answers (MS-OXOCAL
// 3.1.4.7.2).
func Appointment(request *object.Message) *object.Message {
	a := &object.Message{Recipients: request.Recipients, Attachments: request.Attachments}
	overlay(a, request)
	a.SetText(mapi.PidTagMessageClass, classAppointment)
	for _, n := range []mapi.NamedProperty{mapi.PidLidMeetingType, mapi.PidLidIsRecurring, mapi.PidLidWhere} {
		a.DeleteLid(n)
	}
	intended, said := a.LidInt(mapi.PidLidIntendedBusyStatus)
	if !said {
		intended = busyBusy
		a.SetLid(mapi.PidLidIntendedBusyStatus, mapi.Integer32(intended))
	}
	a.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(min(intended, busyTentative)))
	a.SetLid(mapi.PidLidResponseStatus, mapi.Integer32(respWaiting))
	a.SetLid(mapi.PidLidAppointmentStateFlags, mapi.Integer32(stateMeeting|stateReceived))
	a.SetLid(mapi.PidLidFInvited, mapi.Boolean(true))
	icon := int32(iconMeeting)
	if a.LidBool(mapi.PidLidRecurring) {
		icon++
	}
	a.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(icon))
	return a
}

// Respond notes in an attendee's appointment what he has answered (MS-OXOCAL 3.1.4.8): who declines is free.
func Respond(a *object.Message, answer Answer, as string, now time.Time) {
	busy, said := a.LidInt(mapi.PidLidIntendedBusyStatus)
	switch {
	case answer == Declined:
		busy = busyFree
	case answer == Tentative:
		busy = busyTentative
	case !said:
		busy = busyBusy
	}
	a.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(busy))
	a.SetLid(mapi.PidLidResponseStatus, mapi.Integer32(answer))
	a.SetLid(mapi.PidLidAppointmentReplyTime, mapi.FileTimeOf(now))
	a.SetLidText(mapi.PidLidAppointmentReplyName, as)
}

// older reports whether what came is of a version of the meeting that is there already, or of one before it (MS-OXOCAL
// 3.1.5.1): by sequence number, then by the time of the organizer's change.
func older(there, came *object.Message) bool {
	if has, now := sequence(there), sequence(came); has != now {
		return now < has
	}
	was, known := there.LidTime(mapi.PidLidOwnerCriticalChange)
	at, said := came.LidTime(mapi.PidLidOwnerCriticalChange)
	return known && said && at <= was
}

// ofOrganizer are the properties of an appointment that a request without them takes away.
var ofOrganizer = []mapi.NamedProperty{mapi.PidLidAppointmentRecur, mapi.PidLidRecurrenceType, mapi.PidLidTimeZoneStruct,
	mapi.PidLidAppointmentTimeZoneDefinitionRecur, mapi.PidLidClipStart, mapi.PidLidClipEnd, mapi.PidLidLocation,
	mapi.PidLidContacts, mapi.PidLidNonSendableBcc}

// whenProps say when an appointment is; as long as they stay what the attendee has answered stays (MS-OXOCAL 3.1.4.7.2).
var whenProps = []mapi.NamedProperty{mapi.PidLidAppointmentStartWhole, mapi.PidLidAppointmentEndWhole, mapi.PidLidAppointmentRecur}

// answered are what an attendee has answered; reminding are what he is reminded by, which is his own matter.
var (
	answered = []mapi.NamedProperty{mapi.PidLidBusyStatus, mapi.PidLidResponseStatus, mapi.PidLidAppointmentReplyTime,
		mapi.PidLidAppointmentReplyName}
	reminding = []mapi.NamedProperty{mapi.PidLidReminderSet, mapi.PidLidReminderDelta, mapi.PidLidReminderTime,
		mapi.PidLidReminderSignalTime}
)

// Revise is an attendee's appointment after a further request for it, nil if the request changes nothing: it is older than
// what is there, or of an occurrence that the series cannot say. What the attendee has put on the appointment stays.
func Revise(there, request *object.Message) *object.Message {
	next := copyOf(there)
	if ofSeries(there, request) {
		if sequence(request) < sequence(there) || !replaceOccurrence(next, Appointment(request)) {
			return nil
		}
		return next
	}
	if older(there, request) {
		return nil
	}
	for _, n := range ofOrganizer {
		next.DeleteLid(n)
	}
	for _, d := range direct {
		if d.lid != mapi.PidLidAppointmentReplyTime { // that is the attendee's own
			next.DeleteLid(d.lid)
		}
	}
	for _, t := range texts {
		next.Bag.Delete(t)
	}
	kept.Forget(&next.Props)
	made := Appointment(request)
	overlay(next, made)
	next.Recipients = made.Recipients
	if sameTime(there, made) {
		stay(next, there, reminding)
		if !Canceled(there) {
			stay(next, there, answered)
		}
	}
	return next
}

// texts are what a request says anew: the forms of its body, and what stands in front of its subject.
var texts = []mapi.Tag{mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed, mapi.PidTagSubjectPrefix}

// copyOf is a message that can be changed without the other.
func copyOf(m *object.Message) *object.Message {
	c := &object.Message{Recipients: slices.Clone(m.Recipients)}
	overlay(c, m)
	c.Recipients, c.Attachments = slices.Clone(m.Recipients), slices.Clone(m.Attachments)
	return c
}

func stay(next, there *object.Message, names []mapi.NamedProperty) {
	for _, n := range names {
		if v := there.Lid(n); v != nil {
			next.SetLid(n, v)
		}
	}
}

func sameTime(a, b *object.Message) bool {
	for _, n := range whenProps {
		if !reflect.DeepEqual(a.Lid(n), b.Lid(n)) {
			return false
		}
	}
	return true
}

// Canceled reports whether a meeting does not take place.
func Canceled(a *object.Message) bool {
	flags, _ := a.LidInt(mapi.PidLidAppointmentStateFlags)
	return flags&stateCanceled != 0
}

// Taken reports whether somebody with an appointment is not free at its time.
func Taken(a *object.Message) bool {
	busy, said := a.LidInt(mapi.PidLidBusyStatus)
	return !Canceled(a) && (!said || busy != busyFree)
}

// canceledPrefix is what clients show in front of the subject of a meeting that does not take place (MS-OXOCAL 3.1.4.9).
const canceledPrefix = "Canceled: "

// Cancel is an attendee's appointment after the organizer has canceled the meeting, or an occurrence of it; nil if that
// changes nothing.
func Cancel(there, cancellation *object.Message) *object.Message {
	if sequence(cancellation) < sequence(there) {
		return nil
	}
	next := copyOf(there)
	if ofSeries(there, cancellation) {
		if !removeOccurrence(next, cancellation) {
			return nil
		}
		return next
	}
	if Canceled(there) {
		return nil
	}
	flags, _ := there.LidInt(mapi.PidLidAppointmentStateFlags)
	next.SetLid(mapi.PidLidAppointmentStateFlags, mapi.Integer32(flags|stateCanceled))
	next.SetLid(mapi.PidLidBusyStatus, mapi.Integer32(busyFree))
	next.SetLid(mapi.PidLidReminderSet, mapi.Boolean(false))
	next.SetText(mapi.PidTagSubjectPrefix, canceledPrefix)
	stay(next, cancellation, []mapi.NamedProperty{mapi.PidLidAppointmentSequence, mapi.PidLidOwnerCriticalChange})
	return next
}

func sequence(m *object.Message) int32 {
	n, _ := m.LidInt(mapi.PidLidAppointmentSequence)
	return n
}

// Track is the organizer's appointment with what an attendee has answered, nil if that changes nothing: the answer is to an
// earlier version of the meeting or before another of his, or it is of nobody who was asked, or to one occurrence alone.
func Track(there, answer *object.Message) *object.Message {
	_, address := Organizer(answer)
	at, said := answer.LidTime(mapi.PidLidAttendeeCriticalChange)
	if sequence(answer) < sequence(there) || responseOf(answer) == respNone || answer.LidBool(mapi.PidLidIsException) {
		return nil
	}
	i := slices.IndexFunc(there.Recipients, func(bag mapi.PropBag) bool {
		who, ok := personOf(&bag)
		return ok && strings.EqualFold(who.address, address)
	})
	if i < 0 {
		return nil
	}
	was, told := there.Recipients[i].Get(mapi.PidTagRecipientTrackStatusTime).(mapi.FileTime)
	same := there.Recipients[i].Get(mapi.PidTagRecipientTrackStatus) == mapi.Integer32(responseOf(answer))
	if told && said && (at < was || at == was && same) { // of two in one second, which is as fine as DTSTAMP is, the one that comes later
		return nil
	}
	next := copyOf(there)
	who := &object.Message{}
	for _, p := range there.Recipients[i].All() {
		who.Bag.Set(p.Tag, p.Value)
	}
	who.Bag.Set(mapi.PidTagRecipientTrackStatus, mapi.Integer32(responseOf(answer)))
	if said {
		who.Bag.Set(mapi.PidTagRecipientTrackStatusTime, at)
	}
	if answer.LidBool(mapi.PidLidAppointmentCounterProposal) {
		propose(next, who, answer)
	}
	next.Recipients[i] = who.Bag
	return next
}

// propose notes another time that an attendee has proposed (MS-OXOCAL 2.2.4.10.4 to 2.2.4.10.6).
func propose(next, who, answer *object.Message) {
	start, starts := answer.LidTime(mapi.PidLidAppointmentProposedStartWhole)
	end, ends := answer.LidTime(mapi.PidLidAppointmentProposedEndWhole)
	if !starts || !ends {
		return
	}
	before, _ := who.Bag.Get(mapi.PidTagRecipientProposed).(mapi.Boolean)
	who.Bag.Set(mapi.PidTagRecipientProposed, mapi.Boolean(true))
	who.Bag.Set(mapi.PidTagRecipientProposedStartTime, start)
	who.Bag.Set(mapi.PidTagRecipientProposedEndTime, end)
	n, _ := next.LidInt(mapi.PidLidAppointmentProposalNumber)
	if !before {
		n++
	}
	next.SetLid(mapi.PidLidAppointmentProposalNumber, mapi.Integer32(n))
	next.SetLid(mapi.PidLidAppointmentCounterProposal, mapi.Boolean(true))
}

// ofSeries reports whether a message is about one occurrence of what is there.
func ofSeries(there, came *object.Message) bool {
	return came.LidBool(mapi.PidLidIsException) && there.LidBool(mapi.PidLidRecurring)
}

// seriesIn is the recurrence of a series, and the place in it of the occurrence that a message is about: by its moment, or else by its
// day, as its global object id has it (MS-OXOCAL 2.2.1.27). A series has no two occurrences on a day, and programs say less of one
// than its moment, or a midnight of another zone.
func seriesIn(m, one *object.Message) (s series, was binprop.Minutes, at time.Time, ok bool) {
	replaced, said := one.LidTime(mapi.PidLidExceptionReplaceTime)
	p, err := binprop.ParseAppointmentRecurrencePattern(m.LidBinary(mapi.PidLidAppointmentRecur))
	if !said || err != nil {
		return s, 0, at, false
	}
	s = series{m: m, pattern: p, span: span{zone: zoneOf(m)}}
	wall := occurrence(&p, s.span.zone, replaced.Time())
	moved := func(x binprop.Exception) bool { return x.OriginalStart == binprop.MinutesOf(wall) }
	id, err := binprop.ParseGlobalObjectID(one.LidBinary(mapi.PidLidGlobalObjectId))
	on := time.Date(int(id.Year), time.Month(id.Month), int(id.Day), 0, 0, 0, 0, time.UTC)
	if err == nil && representable(on) && !wall.Equal(onDay(&p, wall)) && !slices.ContainsFunc(p.Exceptions, moved) {
		wall = onDay(&p, on)
	}
	return s, binprop.MinutesOf(wall), ical.At(wall, s.span.zone.loc), true
}

// replaceOccurrence makes a message an exception of a series, in the place of an older one for the same occurrence.
func replaceOccurrence(m, one *object.Message) bool {
	s, was, at, ok := seriesIn(m, one)
	start, starts := one.LidTime(mapi.PidLidAppointmentStartWhole)
	end, ends := one.LidTime(mapi.PidLidAppointmentEndWhole)
	if !ok || !starts || !ends {
		return false
	}
	if i := slices.IndexFunc(m.Attachments, s.replacing(was)); i >= 0 && m.Attachments[i].Embedded != nil && older(m.Attachments[i].Embedded, one) {
		return false
	}
	s.drop(was)
	x := binprop.Exception{Start: binprop.MinutesOf(s.wall(start.Time())), End: binprop.MinutesOf(s.wall(end.Time())), OriginalStart: was}
	if one.LidBool(mapi.PidLidAppointmentSubType) { // days are the same on all clocks
		days := zoneOf(one)
		x.Start, x.End = binprop.MinutesOf(days.day(start.Time()).Wall), binprop.MinutesOf(days.day(end.Time()).Wall)
	}
	if s.taken(x.Start) || len(s.pattern.Exceptions) >= maxExceptions {
		return false
	}
	one.SetText(mapi.PidTagMessageClass, classException)
	setOccurrence(one, at, was.Wall())
	override(&x, m, one)
	s.remove(was.Wall())
	s.add(x)
	m.Attachments = append(m.Attachments, s.attachment(one, &x, at))
	return s.put()
}

// removeOccurrence takes an occurrence out of a series.
func removeOccurrence(m, one *object.Message) bool {
	s, was, _, ok := seriesIn(m, one)
	if !ok {
		return false
	}
	s.drop(was)
	s.remove(was.Wall())
	return s.put()
}

// drop takes the exception of an occurrence away; the occurrence then is deleted.
func (s *series) drop(was binprop.Minutes) {
	p := &s.pattern
	i := slices.IndexFunc(p.Exceptions, func(x binprop.Exception) bool { return x.OriginalStart == was })
	if i < 0 {
		return
	}
	on := midnightOf(p.Exceptions[i].Start)
	p.Exceptions = slices.Delete(p.Exceptions, i, i+1)
	p.Pattern.Modified = slices.DeleteFunc(p.Pattern.Modified, func(m binprop.Minutes) bool { return m == on })
	s.m.Attachments = slices.DeleteFunc(s.m.Attachments, s.replacing(was))
}

// replacing tells the attachment of an exception by the occurrence that it replaces.
func (s *series) replacing(was binprop.Minutes) func(object.Attachment) bool {
	return func(a object.Attachment) bool {
		of, has := a.Bag.Get(mapi.PidTagExceptionReplaceTime).(mapi.FileTime)
		return has && binprop.MinutesOf(occurrence(&s.pattern, s.span.zone, of.Time())) == was
	}
}
